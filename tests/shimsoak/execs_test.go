// SPDX-License-Identifier: Apache-2.0

package shimsoak

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/emptypb"

	"berth/tests/rig"
)

var (
	execs = flag.Int("execs", 1000, "number of execs through one shim")
	kills = flag.Int("kills", 24, "number of shims that are killed")
)

// maxGrowth is what the shim may grow between the first tenth of the execs and
// the last one, in kB.
const maxGrowth = 2 << 10

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(rig.Main(m))
}

// usage is what a shim has and what it costs.
type usage struct {
	rss, anonymous                   int // kB
	descriptors, threads, goroutines int
	children                         int
}

func (u usage) String() string {
	return fmt.Sprintf("RSS %d kB, anonymous %d kB, %d descriptors, %d threads, %d goroutines, %d children",
		u.rss, u.anonymous, u.descriptors, u.threads, u.goroutines, u.children)
}

func (s *shim) usage() usage {
	s.t.Helper()
	u := usage{goroutines: s.goroutines()}
	for _, f := range []struct {
		file, field string
		into        *int
	}{{"status", "VmRSS:", &u.rss}, {"status", "Threads:", &u.threads}, {"smaps_rollup", "Anonymous:", &u.anonymous}} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.pid, f.file))
		if err != nil {
			s.t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(data), f.field)
		words := strings.Fields(after)
		if len(words) == 0 {
			s.t.Fatalf("no %s in %s", f.field, f.file)
		}
		if *f.into, err = strconv.Atoi(words[0]); err != nil {
			s.t.Fatal(err)
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	u.descriptors = len(fds)
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, list := range lists {
		data, _ := os.ReadFile(list) // the thread may have ended
		u.children += len(strings.Fields(string(data)))
	}
	return u
}

// settled is the usage once what an exec leaves for a moment has gone: a zombie
// that waits for us, the pump of a stream.
func (s *shim) settled(like usage) usage {
	s.t.Helper()
	for deadline := time.Now().Add(settle); ; time.Sleep(100 * time.Millisecond) {
		u := s.usage()
		flat := u.descriptors <= like.descriptors && u.goroutines <= like.goroutines && u.children <= like.children
		if flat || time.Now().After(deadline) {
			return u
		}
	}
}

// TestExecsLeaveNothingInTheShim.
func TestExecsLeaveNothingInTheShim(t *testing.T) {
	e := newEngine(t)
	s := e.start("execs", "sleep", "100000")
	s.create()
	s.begin()
	streams := s.fifos()
	idle := s.settled(s.usage())
	t.Logf("before the first: %v", idle)
	begin := time.Now()
	var middle usage
	for i := range *execs {
		s.oneExec(i, streams)
		if i+1 == max(1, *execs/10) {
			middle = s.settled(idle)
			t.Logf("after %d: %v", i+1, middle)
		}
	}
	last := s.settled(middle)
	t.Logf("after %d: %v; %v for each", *execs, last, (time.Since(begin) / time.Duration(*execs)).Round(time.Microsecond))
	if grown := last.rss - middle.rss; grown > maxGrowth {
		t.Errorf("RSS has grown by %d kB, more than %d", grown, maxGrowth)
	}
	if grown := last.anonymous - middle.anonymous; grown > maxGrowth {
		t.Errorf("anonymous memory has grown by %d kB, more than %d", grown, maxGrowth)
	}
	// Threads are made when all others are in system calls: one may come late.
	if last.descriptors > idle.descriptors || last.goroutines > idle.goroutines || last.children > idle.children || last.threads > middle.threads+2 {
		t.Errorf("left: %v; at first: %v; between: %v", last, idle, middle)
	}
	must[emptypb.Empty](s, "Kill", &task.KillRequest{ID: s.id, Signal: uint32(unix.SIGKILL)})
	must[task.WaitResponse](s, "Wait", &task.WaitRequest{ID: s.id})
	must[task.DeleteResponse](s, "Delete", &task.DeleteRequest{ID: s.id})
	must[emptypb.Empty](s, "Shutdown", &task.ShutdownRequest{ID: s.id})
	s.gone()
	for topic, want := range map[string]int{
		"/tasks/exec-added": *execs, "/tasks/exec-started": *execs, "/tasks/exit": *execs + 1,
		"/tasks/delete": 1, // as runc's shim has it: of the container only
	} {
		if got := e.told(topic); got != want {
			t.Errorf("%d events %s, want %d", got, topic, want)
		}
	}
	s.nothingLeft("after the delete")
}

// fifos are those of an exec, with a reader as containerd is one.
func (s *shim) fifos() (paths [3]string) {
	s.t.Helper()
	for i, name := range []string{"in", "out", "err"} {
		paths[i] = filepath.Join(s.dir, name)
		if err := unix.Mkfifo(paths[i], 0o600); err != nil {
			s.t.Fatal(err)
		}
		f, err := os.OpenFile(paths[i], os.O_RDWR|unix.O_NONBLOCK, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { _ = f.Close() })
	}
	return paths
}

// oneExec is the life of one, in which every fifth fails, every seventh is
// killed, and every eleventh has no streams.
func (s *shim) oneExec(i int, streams [3]string) {
	s.t.Helper()
	id, args, want := fmt.Sprint("x", i), []string{"true"}, uint32(0)
	switch {
	case i%5 == 4:
		args, want = []string{"false"}, 1
	case i%7 == 6:
		args, want = []string{"sleep", "1000"}, 137
	}
	if i%11 == 10 {
		streams = [3]string{}
	}
	s.addExec(id, streams[0], streams[1], streams[2], args...)
	if want == 137 {
		must[emptypb.Empty](s, "Kill", &task.KillRequest{ID: s.id, ExecID: id, Signal: uint32(unix.SIGKILL)})
	}
	if x := must[task.WaitResponse](s, "Wait", &task.WaitRequest{ID: s.id, ExecID: id}); x.ExitStatus != want {
		s.t.Fatalf("exec %d: status %d, want %d", i, x.ExitStatus, want)
	}
	if x := must[task.DeleteResponse](s, "Delete", &task.DeleteRequest{ID: s.id, ExecID: id}); x.ExitStatus != want {
		s.t.Fatalf("delete of exec %d: status %d, want %d", i, x.ExitStatus, want)
	}
}

// nothingLeft looks for what a container and its shim leave.
func (s *shim) nothingLeft(when string) {
	s.t.Helper()
	left := s.trace.Leftovers(settle)
	if _, err := os.Lstat(s.socket); err == nil {
		left = append(left, "socket "+s.socket)
	}
	if len(left) > 0 {
		s.t.Errorf("%s of %s: left %q", when, s.id, left)
		s.trace.Clean()
	}
}
