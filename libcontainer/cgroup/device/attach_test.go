// SPDX-License-Identifier: Apache-2.0

package device

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// helper is the variable that makes the test binary one of the helpers.
const helper = "BERTH_TEST_DEVICES"

var helpers = map[string]func(){
	"probe":  probe,
	"insist": insist,
	"attach": attachFromUserNamespace,
}

func TestMain(m *testing.M) {
	if f := helpers[os.Getenv(helper)]; f != nil {
		f()
		return
	}
	os.Exit(m.Run())
}

// Devices of the tests: one that all kernels have, and one without a driver.
var (
	kmsg = unix.Mkdev(1, 11)
	none = unix.Mkdev(7, 0xfffff)
)

// probe makes nodes in the working directory and prints what is allowed.
func probe() {
	say := func(what string, err error) {
		var errno unix.Errno
		if errors.As(err, &errno) {
			err = errors.New(unix.ErrnoName(errno))
		}
		fmt.Println(what, err)
	}
	openNode := func(name string, flags int) error {
		f, err := os.OpenFile(name, flags, 0)
		if err == nil {
			_ = f.Close()
		}
		return err
	}
	say("null", openNode("/dev/null", os.O_RDWR))
	say("mknod char", unix.Mknod("char", unix.S_IFCHR|0o600, int(kmsg)))
	say("mknod block", unix.Mknod("block", unix.S_IFBLK|0o600, int(none)))
	say("read", openNode("char", os.O_RDONLY))
	say("write", openNode("char", os.O_RDWR))
}

// insist opens the node "char" until its input ends, and prints how often it could.
func insist() {
	end := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	opened := 0
	for tries := 0; ; tries++ {
		if f, err := os.Open("char"); err == nil {
			opened++
			_ = f.Close()
		}
		if tries == 0 {
			fmt.Println("started")
		}
		select {
		case <-end:
			fmt.Println("opened", opened)
			return
		default:
		}
	}
}

// attachFromUserNamespace attaches to the cgroup that is descriptor 3.
func attachFromUserNamespace() {
	err := Attach(3, Program{{Op: opMov}, {Op: opExit}})
	fmt.Println(errors.Is(err, ErrNotPermitted), err)
}

// missing skips, or fails where the machine was promised to have all.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("BERTH_TEST_REQUIRE") != "" {
		t.Fatalf("missing: %s", what)
	}
	t.Skipf("missing: %s", what)
}

// newCgroup makes a cgroup v2, and removes it after the test.
func newCgroup(t *testing.T) *os.File {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "root: makes a cgroup and loads programs")
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if !strings.Contains(line, " - cgroup2 ") {
			continue
		}
		dir := filepath.Join(strings.Fields(line)[4], "berth-device-test-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			missing(t, "a writable cgroup v2: "+err.Error())
		}
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := errors.Join(f.Close(), os.Remove(dir)); err != nil {
				t.Errorf("left behind: %v", err)
			}
		})
		return f
	}
	missing(t, "a mount of cgroup v2")
	return nil
}

// command is a helper, to be started in the cgroup.
func command(name, workdir string, cgroup *os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helper+"="+name)
	cmd.Dir = workdir
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())} // Linux 5.7
	return cmd
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func mustCompile(t *testing.T, rules List) Program {
	t.Helper()
	p, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustAttach(t *testing.T, cgroup *os.File, p Program) {
	t.Helper()
	if err := Attach(int(cgroup.Fd()), p); err != nil {
		t.Fatal(err)
	}
}

// attachedIDs are the programs of the cgroup.
func attachedIDs(t *testing.T, cgroup *os.File) []uint32 {
	t.Helper()
	ids := make([]uint32, maxAttached)
	n, err := query(int(cgroup.Fd()), ids)
	if err != nil {
		t.Fatal(err)
	}
	return ids[:n]
}

var onlyNull = List{allow('c', 1, 3, All), allow('c', Every, Every, Mknod)}

func TestKernelAsksTheProgram(t *testing.T) {
	cgroup := newCgroup(t)
	free := "null <nil>\nmknod char <nil>\nmknod block <nil>\nread <nil>\nwrite <nil>\n"
	if got := output(t, command("probe", t.TempDir(), cgroup)); got != free {
		missing(t, "a place for device nodes, unlimited:\n"+got)
	}
	hole := List{allow('c', 1, Every, All), {Kind: 'c', Major: 1, Minor: 11, Access: Write}}
	for _, c := range []struct {
		name  string
		rules List
		want  string
	}{
		{"nothing", nil, "null EPERM\nmknod char EPERM\nmknod block EPERM\nread ENOENT\nwrite ENOENT\n"},
		{"null", onlyNull, "null <nil>\nmknod char <nil>\nmknod block EPERM\nread EPERM\nwrite EPERM\n"},
		{"defaults", defaults, "null <nil>\nmknod char <nil>\nmknod block <nil>\nread EPERM\nwrite EPERM\n"},
		{"hole", hole, "null <nil>\nmknod char <nil>\nmknod block EPERM\nread <nil>\nwrite EPERM\n"},
		{"all", List{{Allow: true, Kind: 'a', Major: Every, Minor: Every, Access: All}}, free},
	} {
		mustAttach(t, cgroup, mustCompile(t, c.rules))
		if got := output(t, command("probe", t.TempDir(), cgroup)); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
	}
	if ids := attachedIDs(t, cgroup); len(ids) != 0 {
		t.Errorf("programs %v are attached to a cgroup that may use all", ids)
	}
}

func TestReplacingLeavesNoGapAndNoOldProgram(t *testing.T) {
	cgroup := newCgroup(t)
	dir := t.TempDir()
	if err := unix.Mknod(filepath.Join(dir, "char"), unix.S_IFCHR|0o600, int(kmsg)); err != nil {
		missing(t, "a place for device nodes")
	}
	programs := []Program{mustCompile(t, onlyNull), mustCompile(t, defaults)}
	mustAttach(t, cgroup, programs[1])
	before := descriptors(t)
	cmd := command("insist", dir, cgroup)
	stop, out := start(t, cmd)
	for i := range 100 {
		if i%10 == 0 { // somebody else's
			other, err := loadProgram(Program{{Op: opMov, Imm: 1}, {Op: opExit}})
			if err == nil {
				err = errors.Join(attach(int(cgroup.Fd()), other, -1), unix.Close(other))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		old := attachedIDs(t, cgroup)
		mustAttach(t, cgroup, programs[i%2])
		if ids := attachedIDs(t, cgroup); len(ids) != 1 || ids[0] == old[0] {
			t.Fatalf("programs %v are attached after %v, want a new one", ids, old)
		}
	}
	_ = stop.Close()
	if got, err := io.ReadAll(out); string(got) != "opened 0\n" || err != nil {
		t.Errorf("the process in the cgroup says %q, %v", got, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors are open, before %d", after, before)
	}
	for range 2 {
		if err := Detach(int(cgroup.Fd())); err != nil {
			t.Error(err)
		}
		if ids := attachedIDs(t, cgroup); len(ids) != 0 {
			t.Errorf("programs %v are attached after Detach", ids)
		}
	}
}

// start runs cmd and waits for its first line.
func start(t *testing.T, cmd *exec.Cmd) (io.Closer, io.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // when the test fails before
		_ = in.Close()
		_ = cmd.Wait()
	})
	line := make([]byte, len("started\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		t.Fatal(err)
	}
	return in, out
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// The verifier follows each way through the program: the longest one needs to
// be among what it has patience for, whatever the rules are like.
func TestVerifierTakesTheLongestProgram(t *testing.T) {
	cgroup := newCgroup(t)
	mixed := distinct(maxDistinct)
	for i := range mixed {
		mixed[i].Allow = i%3 != 0
		mixed[i].Minor = int64(i % 2)
		mixed[i].Access = Access(i%6 + 1)
	}
	full := distinct(maxDistinct)
	for i := range full {
		full[i].Access = All
	}
	for name, rules := range map[string]List{"mixed": mixed, "full": full, "partial": distinct(maxDistinct)} {
		rules = append(List{allow('c', Every, Every, All)}, rules...)
		for i := range rules[1:] {
			if name != "mixed" {
				rules[i+1].Allow = false
			}
		}
		p := mustCompile(t, rules)
		if len(p) < maxInsns*3/4 {
			t.Errorf("%s: only %d instructions", name, len(p))
		}
		mustAttach(t, cgroup, p)
	}
}

func TestUserNamespaceIsNotPermitted(t *testing.T) {
	cgroup := newCgroup(t)
	cmd := command("attach", "", cgroup)
	cmd.ExtraFiles = []*os.File{cgroup}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{Size: 1}},
	}
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		missing(t, "user namespaces")
	}
	want := "true linux.resources.devices: cannot query the program: " + ErrNotPermitted.Error() + "\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}

func TestErrorsOfTheKernelAreExplained(t *testing.T) {
	cgroup := newCgroup(t)
	err := Attach(int(cgroup.Fd()), Program{{Op: opExit}})
	if !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "R0 !read_ok") {
		t.Errorf("a bad program: got %v, want EACCES and the verifier's reason", err)
	}
	if err := Attach(int(cgroup.Fd()), nil); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no program: got %v, want EINVAL", err)
	}
	file, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := Attach(int(file.Fd()), Program{{Op: opMov}, {Op: opExit}}); !errors.Is(err, unix.EBADF) {
		t.Errorf("no cgroup: got %v, want EBADF", err)
	}
	if ids := attachedIDs(t, cgroup); len(ids) != 0 {
		t.Errorf("programs %v are attached", ids)
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		verb string
		err  error
		is   error
		want string
	}{
		{"load", unix.EPERM, ErrNotPermitted, "cannot load the program: not permitted (needs CAP_SYS_ADMIN in the initial user namespace)"},
		{"query", unix.ENOSYS, errors.ErrUnsupported, "cannot query the program: the kernel has no device programs for cgroups (CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF): function not implemented"},
		{"query", unix.EINVAL, errors.ErrUnsupported, "cannot query the program: the kernel has no device programs for cgroups (CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF): invalid argument"},
		{"load", unix.E2BIG, unix.E2BIG, "cannot load the program: too many rules for this kernel: argument list too long"},
		{"attach", unix.E2BIG, unix.E2BIG, "cannot attach the program: argument list too long"},
	} {
		err := explain(c.verb, c.err)
		if want := "linux.resources.devices: " + c.want; !errors.Is(err, c.is) || err.Error() != want {
			t.Errorf("%s, %v: got %v, want %s", c.verb, c.err, err, want)
		}
	}
}

func TestLogIsShortened(t *testing.T) {
	log := bytes.Repeat([]byte{0}, 100)
	copy(log, "func#0 @0\n0: R1=ctx()\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns\n")
	want := "permission denied (verifier: 0: (95) exit; R0 !read_ok; processed 1 insns)"
	if got := withLog(unix.EACCES, log); got.Error() != want || !errors.Is(got, unix.EACCES) {
		t.Errorf("got %v, want %s", got, want)
	}
	if got := withLog(unix.EACCES, make([]byte, 10)); !errors.Is(got, unix.EACCES) || got.Error() != "permission denied" {
		t.Errorf("without a log: got %v", got)
	}
}
