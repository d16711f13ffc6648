// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/tests/rig"
)

const (
	patience = 20 * time.Second // for a command that is not killed
	settle   = 5 * time.Second  // for processes to vanish after delete
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }

// TestKilledAnywhere spreads the points over the verbs and over two configs.
func TestKilledAnywhere(t *testing.T) {
	r := rig.Subject(t)
	seed := number(t, "BERTH_SWEEP_SEED", time.Now().UnixNano())
	points := int(number(t, "BERTH_SWEEP_POINTS", 252))
	t.Logf("BERTH_SWEEP_SEED=%d, %d points, %s", seed, points, r.Version())
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	kinds := []struct {
		verb   string
		userns bool
	}{
		{"create", false}, {"create", true}, {"start", false}, {"start", true}, {"run", false}, {"run", true},
	}
	for _, k := range kinds {
		name := k.verb
		if k.userns {
			name += "-userns"
		}
		t.Run(name, func(t *testing.T) {
			s := &sweeper{r: r, verb: k.verb, bundle: bundle(t, k.userns)}
			s.sweep(t, random, points/len(kinds))
		})
	}
}

// enough failures of one kind show the picture.
const enough = 5

// sweep goes on until the verb has been killed want times before its end: a
// point after the end proves nothing, and no two runs take the same time.
func (s *sweeper) sweep(t *testing.T, random *rand.Rand, want int) {
	whole := s.measure(t)
	cut, tried := 0, 0
	for ; cut < want && tried < 5*want && s.failed < enough; tried++ {
		if s.point(t, tried, time.Duration(random.Int64N(int64(whole)))) {
			cut++
		}
	}
	t.Logf("%s takes %v; killed %d of %d times before its end", s.verb, whole.Round(10*time.Microsecond), cut, tried)
	if cut < want && s.failed < enough {
		t.Errorf("%s was killed %d times before its end, want %d", s.verb, cut, want)
	}
}

// sweeper kills one verb on one bundle again and again.
type sweeper struct {
	r            rig.Runtime
	verb, bundle string
	failed       int
}

func bundle(t *testing.T, userns bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bundle")
	for d := filepath.Dir(dir); d != os.TempDir() && len(d) > 1; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := rig.Bundle(dir, nil); err != nil {
		t.Fatal(err)
	}
	s := rig.DefaultSpec("", "sleep", "1000")
	limit := int64(64 << 20)
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
	if userns {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	}
	if err := rig.WriteConfig(dir, s); err != nil {
		t.Fatal(err)
	}
	return dir
}

// configure gives the container of this point its own cgroup and marker.
func (s *sweeper) configure(t *testing.T, id, marker string) {
	t.Helper()
	path := filepath.Join(s.bundle, "config.json")
	spec, err := rig.ReadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	spec.Linux.CgroupsPath = rig.CgroupBase() + "/" + id
	spec.Process.Env = []string{"PATH=/bin", marker}
	if err := rig.WriteConfig(s.bundle, spec); err != nil {
		t.Fatal(err)
	}
}

// measure is how long the verb takes, at least, when nobody disturbs it.
func (s *sweeper) measure(t *testing.T) time.Duration {
	t.Helper()
	shortest := time.Hour
	for i := range 5 {
		id := fmt.Sprintf("%s-whole-%d", s.verb, i)
		s.configure(t, id, "BERTH_MARK="+id)
		s.prepare(t, id)
		begin := time.Now()
		res, err := s.r.Do(patience, s.args(id, true)...)
		if err != nil || res.Code != 0 {
			t.Fatalf("%s: %v %v", s.verb, err, res)
		}
		shortest = min(shortest, time.Since(begin))
		s.remove(t, "whole "+s.verb, id)
	}
	return shortest
}

// prepare does what has to be there before the verb.
func (s *sweeper) prepare(t *testing.T, id string) {
	t.Helper()
	if s.verb != "start" {
		return
	}
	if res, err := s.r.Do(patience, "create", "--bundle", s.bundle, id); err != nil || res.Code != 0 {
		t.Fatalf("create: %v %v", err, res)
	}
}

func (s *sweeper) args(id string, detach bool) []string {
	switch {
	case s.verb == "start":
		return []string{"start", id}
	case s.verb == "run" && detach:
		return []string{"run", "--detach", "--bundle", s.bundle, id}
	}
	return []string{s.verb, "--bundle", s.bundle, id}
}

// point kills the verb after the given time, deletes, and looks. It reports
// whether the command was still running.
func (s *sweeper) point(t *testing.T, i int, after time.Duration) bool {
	t.Helper()
	id := fmt.Sprintf("%s-point-%d", s.verb, i)
	trace := rig.Trace{Runtime: s.r, ID: id, Bundle: s.bundle, Marker: fmt.Sprintf("BERTH_MARK=%d-%s", os.Getpid(), id)}
	s.configure(t, id, trace.Marker)
	s.prepare(t, id)

	// Every other run is a foreground one, which outlives its container's start.
	cmd := s.r.Command(s.args(id, i%2 == 0)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill() // it may have ended
	err := cmd.Wait()
	killed := err != nil && cmd.ProcessState.ExitCode() == -1

	what := fmt.Sprintf("%s killed after %v", id, after)
	s.remove(t, what, id)
	if left := trace.Leftovers(settle); len(left) > 0 {
		s.failed++
		t.Errorf("%s: left %q", what, left)
		trace.Clean()
	}
	s.reuse(t, what, id)
	return killed
}

// remove deletes by force while reaping what the runtime orphaned.
func (s *sweeper) remove(t *testing.T, what, id string) {
	t.Helper()
	cmd := s.r.Command("delete", "--force", id)
	stop, done := make(chan struct{}), make(chan struct{})
	var own atomic.Int64
	own.Store(-1)
	go func() {
		defer close(done)
		rig.Adopted(stop, func(pid int) bool { o := own.Load(); return o == -1 || int64(pid) == o })
	}()
	res, err := rig.CollectStarted(cmd, patience, func(p *os.Process) { own.Store(int64(p.Pid)) })
	close(stop)
	<-done
	if err != nil || res.Code != 0 {
		t.Errorf("%s: delete --force: %v %v", what, err, res)
	}
}

// reuse creates a container with the same id, which must be free.
func (s *sweeper) reuse(t *testing.T, what, id string) {
	t.Helper()
	res, err := s.r.Do(patience, "create", "--bundle", s.bundle, id)
	if err != nil || res.Code != 0 {
		t.Errorf("%s: the id is not free: %v %v", what, err, res)
	}
	s.remove(t, what+", used again", id)
}

func number(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("$%s: %v", name, err)
	}
	return n
}
