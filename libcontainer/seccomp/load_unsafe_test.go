// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// role is set in the environment of a child that loads the filter of a profile
// on stdin, and prints what the kernel then says.
const role = "BERTH_SECCOMP_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(role) == "" {
		os.Exit(m.Run())
	}
	if err := loadAndTry(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// load hands a filter to the kernel, for this thread, and returns the listener.
func load(f *Filter) (int, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	// A copy, since bytes may lie anywhere and the kernel reads structures.
	code := make([]unix.SockFilter, len(f.BPF)/sizeofInstruction)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&code[0])), len(f.BPF)), f.BPF)
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	fd, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// loadAndTry prints errno of calls that have no effect, or fail.
func loadAndTry() error {
	s := &specs.LinuxSeccomp{}
	if err := json.NewDecoder(os.Stdin).Decode(s); err != nil {
		return err
	}
	f, _, err := Compile(s)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	fd, err := load(f)
	if err != nil {
		return fmt.Errorf("cannot load %d instructions: %w", len(f.BPF)/sizeofInstruction, err)
	}
	if f.Listener {
		return tryListener(fd)
	}
	for _, c := range []struct {
		name string
		nr   uintptr
		args [2]uintptr
	}{
		{"getppid", unix.SYS_GETPPID, [2]uintptr{}},
		{"mount", unix.SYS_MOUNT, [2]uintptr{}},
		{"socket vsock", unix.SYS_SOCKET, [2]uintptr{unix.AF_VSOCK, 99}},
		{"socket unix", unix.SYS_SOCKET, [2]uintptr{unix.AF_UNIX, 99}},
		{"personality", unix.SYS_PERSONALITY, [2]uintptr{0x40000}},
		{"clone3", unix.SYS_CLONE3, [2]uintptr{}},
		{"future", 1000, [2]uintptr{}},
	} {
		_, _, errno := unix.RawSyscall(c.nr, c.args[0], c.args[1], 0)
		fmt.Printf("%s: %d\n", c.name, errno)
	}
	return nil
}

// tryListener answers one call of this thread from another.
func tryListener(fd int) error {
	result := make(chan unix.Errno)
	ready := make(chan int)
	go func() {
		runtime.LockOSThread() // a thread of its own, without the filter
		<-ready
		var request struct {
			id         uint64
			pid, flags uint32
			data       [64]byte
		}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&request)))
		if errno == 0 {
			response := struct {
				id           uint64
				value        int64
				error, flags int32
			}{id: request.id, error: -int32(unix.EXDEV)}
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&response)))
		}
		result <- errno
	}()
	ready <- 1
	_, _, errno := unix.Syscall(unix.SYS_MKDIR, 0, 0, 0)
	fmt.Printf("agent: %d\nmkdir: %d\n", <-result, errno)
	return nil
}

// inChild runs loadAndTry.
func inChild(t *testing.T, s *specs.LinuxSeccomp) (string, error) {
	t.Helper()
	profile, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), role+"=1")
	cmd.Stdin = strings.NewReader(string(profile))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestKernelTakesTheFilter(t *testing.T) {
	needAMD64(t)
	want := "getppid: 0\nmount: 1\nsocket vsock: 1\nsocket unix: 22\npersonality: 1\nclone3: 38\nfuture: 38\n"
	if got, err := inChild(t, docker(t)); err != nil || got != want {
		t.Errorf("got %s%v\nwant %s", got, err, want)
	}
}

func TestKernelKills(t *testing.T) {
	needAMD64(t)
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"getppid"}, Action: specs.ActKillProcess}}}
	if got, err := inChild(t, s); got != "" || err == nil || err.Error() != "signal: bad system call (core dumped)" && err.Error() != "signal: bad system call" {
		t.Errorf("got %q, %v, want SIGSYS", got, err)
	}
}

func TestKernelGivesAListener(t *testing.T) {
	needAMD64(t)
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/run/agent", Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}}
	if got, err := inChild(t, s); err != nil || got != "agent: 0\nmkdir: 18\n" {
		t.Errorf("got %q, %v, want EXDEV from the agent", got, err)
	}
}

// BenchmarkLoad is what the kernel takes at each start. A filter stays with its
// thread, so each is loaded into a thread of its own.
func BenchmarkLoad(b *testing.B) {
	f, _, err := Compile(docker(b))
	if err != nil {
		b.Fatal(err)
	}
	var total time.Duration
	for b.Loop() {
		took := make(chan time.Duration)
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends here
			started := time.Now()
			_, err := load(f)
			if err != nil {
				b.Error(err)
			}
			took <- time.Since(started)
		}()
		total += <-took
	}
	b.ReportMetric(float64(len(f.BPF)/sizeofInstruction), "instructions")
	b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/load")
}
