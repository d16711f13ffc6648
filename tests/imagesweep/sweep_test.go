// SPDX-License-Identifier: Apache-2.0

package imagesweep

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/registryfault"
	"berth/tests/rig"
)

var kills = flag.Int("kills", 3, "how often each verb is killed")

const (
	patience = 60 * time.Second // for a command that is not killed
	settle   = 5 * time.Second  // for processes to vanish
	enough   = 3                // failures show the picture
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(rig.Main(m))
}

// TestKilledAnywhere takes one verb after the other.
func TestKilledAnywhere(t *testing.T) {
	seed := time.Now().UnixNano()
	if s := os.Getenv("BERTH_SWEEP_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("BERTH_SWEEP_SEED=%d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	s := newStore(t)
	for _, v := range verbs(s) {
		t.Run(v.name, func(t *testing.T) {
			s.t = t
			s.sweep(v, random)
		})
	}
}

// store is the one that all points use, one after the other, and what is beside
// it.
type store struct {
	t       *testing.T
	program string
	runtime rig.Runtime
	dir     string // of the store, and of what is unpacked
	image   string // in the registry
	other   string // with the same lower layers
	tar     string
	want    string // what the image's tree is
	marker  string // in the environment of all that is started
	failed  int
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{t: t, runtime: rig.Subject(t), program: os.Getenv("BERTH_IMAGE")}
	module, err := rig.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	if s.program == "" {
		s.program = filepath.Join(module, "bin", "berth-image")
	}
	if _, err := os.Stat(s.program); err != nil {
		rig.Missing(t, err.Error()+" (run: make build)")
	}
	memory, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// No disk: on ext4, making files is slow where others were just removed.
	if err := unix.Mount("tmpfs", memory, "tmpfs", unix.MS_NOSUID, "mode=755,size=1g"); err != nil {
		t.Fatalf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(memory, unix.MNT_DETACH) }) // our mount namespace ends soon
	s.dir = filepath.Join(memory, "place")
	if err := os.MkdirAll(s.path("bundles"), 0o755); err != nil {
		t.Fatal(err)
	}
	r := registryfault.New(t, registryfault.Options{})
	tars := layers(t)
	s.image = serve(t, r, "app", tars)
	s.other = serve(t, r, "other", tars[:2])
	s.tar = s.path("rootfs.tar")
	if err := os.WriteFile(s.tar, tars[1], 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("pull", s.image)
	s.must("unpack", "--mode", "copy", s.image, s.path("bundles/first"))
	s.want = tree(t, s.path("bundles/first/rootfs"))
	if !strings.Contains(s.want, "\ndata/4/new ") || strings.Contains(s.want, "\ndata/3/7 ") {
		t.Fatalf("the image's tree is not as it should be:\n%s", s.want)
	}
	s.empty("at first")
	return s
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *store) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.program, append([]string{"--root", s.path("store"), "--insecure", "--quiet"}, args...)...)
	cmd.Env = append(os.Environ(), s.marker)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// do runs a command to its end.
func (s *store) do(args ...string) rig.Result {
	s.t.Helper()
	res, err := rig.Collect(s.command(args...), patience)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

// must is do of what cannot fail.
func (s *store) must(args ...string) string {
	s.t.Helper()
	res := s.do(args...)
	if res.Code != 0 {
		s.fail("%v: %v", args, res)
	}
	return res.Stdout
}

func (s *store) fail(format string, args ...any) {
	s.t.Helper()
	s.failed++
	s.t.Errorf(format, args...)
}

// sweep goes on until the verb was killed so often before its end: a point after
// the end proves nothing, and no two runs take the same time.
func (s *store) sweep(v verb, random *rand.Rand) {
	s.failed = 0
	whole := s.measure(v)
	cut, tried := 0, 0
	for ; cut < *kills && tried < 5**kills && s.failed < enough; tried++ {
		if s.point(v, tried, time.Duration(random.Int64N(int64(whole)))) {
			cut++
		}
	}
	s.t.Logf("%s takes %v; killed %d of %d times before its end", v.name, whole.Round(10*time.Microsecond), cut, tried)
	if cut < *kills && s.failed < enough {
		s.t.Errorf("%s was killed %d times before its end, want %d", v.name, cut, *kills)
	}
}

// measure is how long the verb takes, at least, when nobody disturbs it.
func (s *store) measure(v verb) time.Duration {
	s.t.Helper()
	shortest := time.Hour
	for range 2 {
		v.prepare()
		begin := time.Now()
		s.must(v.args...)
		shortest = min(shortest, time.Since(begin))
		v.check()
		s.empty("after " + v.name)
	}
	return shortest
}

// point kills the verb after the given time, and reports whether it was still
// running. Even points kill the process only, odd ones its group; of four, the
// last two collect garbage before the command is tried again.
func (s *store) point(v verb, i int, after time.Duration) bool {
	s.t.Helper()
	s.marker = fmt.Sprintf("BERTH_MARK=%d-%s-%d", os.Getpid(), v.name, i)
	v.prepare()
	cmd := s.command(v.args...)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(after)
	whom := cmd.Process.Pid
	if i%2 == 1 {
		whom = -whom
	}
	_ = unix.Kill(whom, unix.SIGKILL) // it may have ended
	_ = cmd.Wait()                    // its state says how
	killed := cmd.ProcessState.ExitCode() == -1
	failed := s.failed

	what := fmt.Sprintf("%s killed after %v (point %d)", v.name, after, i)
	collect := i%4 >= 2
	if collect {
		s.must("gc", "--wait")
		if litter := s.litter(); len(litter) > 0 {
			s.fail("%s: gc left %q", what, litter)
		}
	}
	s.must("verify")
	s.must("list")
	if v.visible == nil || !v.visible() {
		s.must(v.args...)
	}
	v.check()
	s.empty(what)
	if s.failed > failed {
		s.t.Logf("failed: %s", what)
	}
	return killed
}

// empty removes all that was made, and looks for what is left then.
func (s *store) empty(when string) {
	s.t.Helper()
	bundles, err := os.ReadDir(s.path("bundles"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, b := range bundles {
		if !strings.HasPrefix(b.Name(), ".") { // gc's business
			s.must("unmount", "--rm", s.path("bundles/"+b.Name()))
		}
	}
	for name := range strings.Lines(s.must("list")) {
		s.must("rm", strings.TrimSpace(name))
	}
	s.must("gc", "--wait")
	if left := s.leftovers(); len(left) > 0 {
		s.fail("%s: left %q", when, left)
		s.clean()
	}
}

// leftovers are files of the store and beside bundles, and traces of containers.
func (s *store) leftovers() []string {
	ours := []string{"index.json", "lock", "oci-layout"}
	var left []string
	for _, top := range []string{"store", "bundles"} {
		err := filepath.WalkDir(s.path(top), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(s.path(top), path) // it is below
			shallow := strings.Count(name, "/") == 0 || filepath.Dir(name) == "blobs"
			if e.IsDir() && top == "store" && shallow || name == "." || slices.Contains(ours, name) {
				return nil
			}
			left = append(left, top+"/"+name)
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			left = append(left, err.Error())
		}
	}
	return append(left, s.trace("").Leftovers(settle)...)
}

// trace is what the container and the commands of this point have left; mounts
// only in one directory.
func (s *store) trace(dir string) rig.Trace {
	return rig.Trace{Runtime: s.runtime, ID: container, Bundle: s.path(dir), Marker: s.marker}
}

// litter is what no complete bundle and no image has, and gc has to remove.
func (s *store) litter() []string {
	s.t.Helper()
	var all []string
	for _, pattern := range []string{"bundles/.*", "store/run/*", "store/partial/*", "store/layers/.*"} {
		found, err := filepath.Glob(s.path(pattern))
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, found...)
	}
	return append(all, s.trace("store").Leftovers(settle)...)
}

// clean makes room for the next point by force.
func (s *store) clean() {
	_ = exec.Command(s.runtime.Path, "--root", s.runtime.Root, "delete", "--force", container).Run() // it may not be there
	s.trace("").Clean()
	for _, dir := range []string{"store", "bundles"} {
		mounts, _ := filepath.Glob(s.path(dir) + "/*/*/rootfs")
		more, _ := filepath.Glob(s.path(dir) + "/*/rootfs")
		hidden, _ := filepath.Glob(s.path(dir) + "/.*/rootfs")
		for _, m := range slices.Concat(mounts, more, hidden) {
			_ = unix.Unmount(m, unix.MNT_DETACH) // it may be none
		}
		if err := os.RemoveAll(s.path(dir)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.Mkdir(s.path("bundles"), 0o755); err != nil {
		s.t.Fatal(err)
	}
}
