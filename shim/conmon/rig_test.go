// SPDX-License-Identifier: Apache-2.0

package conmon

import (
	"encoding/json"
	"errors"
	"fmt"
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

	"berth/internal/fdpass"
)

// role says what this test program is to be: the monitor, in both stages, or a
// runtime that starts a shell script and needs no root.
const role = "BERTH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == "fakert":
		os.Exit(fakeRuntime(os.Args))
	case os.Getenv(role) == "monitor":
		os.Exit(Main(Program{Argv: os.Args, Version: "1.2.3"}))
	}
	os.Exit(m.Run())
}

// after is the argument that follows a flag; "" for none.
func after(argv []string, flag string) string {
	if i := slices.Index(argv, flag); i >= 0 && i+1 < len(argv) {
		return argv[i+1]
	}
	return ""
}

// fakeRuntime is create and exec at once. FAKE_SCRIPT is what the process runs,
// FAKE_STATUS our exit status, FAKE_STDERR our complaint; with FAKE_NONE there is
// no process.
func fakeRuntime(argv []string) int {
	fmt.Fprint(os.Stderr, os.Getenv("FAKE_STDERR"))
	status, _ := strconv.Atoi(os.Getenv("FAKE_STATUS"))
	if note := os.Getenv("FAKE_NOTE"); note != "" {
		text := fmt.Sprintf("%q LISTEN_PID ours: %t", argv, os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()))
		_ = os.WriteFile(note, []byte(text), 0o600)
	}
	if os.Getenv("FAKE_NONE") != "" {
		return status
	}
	files, attr := []*os.File{os.Stdin, os.Stdout, os.Stderr}, &syscall.SysProcAttr{Setsid: true}
	if path := after(argv, "--console-socket"); path != "" {
		master, slave, err := openPty()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		files, attr.Setctty = []*os.File{slave, slave, slave}, true
		if err := fdpass.SendToSocket(path, []byte("console"), master); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", os.Getenv("FAKE_SCRIPT")}, &os.ProcAttr{Files: files, Sys: attr})
	if err == nil {
		err = os.WriteFile(after(argv, "--pid-file"), []byte(strconv.Itoa(p.Pid)), 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status
}

func openPty() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	return master, slave, err
}

// rig is a caller of the monitor.
type rig struct {
	t                   *testing.T
	dir                 string
	env                 []string
	sync, start, attach *os.File // our ends
	theirs              []*os.File
	cmd                 *exec.Cmd
	stderr              strings.Builder
}

const testID = "0123456789abcdef"

func newRig(t *testing.T, script string) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), env: []string{role + "=monitor", "FAKE_SCRIPT=" + script}}
	for _, d := range []string{"bundle", "exits", "persist"} {
		if err := os.Mkdir(r.path(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(testBinary(t), r.path("fakert")); err != nil {
		t.Fatal(err)
	}
	for i, ours := range []**os.File{&r.sync, &r.start, &r.attach} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.SetNonblock(fds[0], true); err != nil {
			t.Fatal(err)
		}
		*ours = os.NewFile(uintptr(fds[0]), "ours")
		r.theirs = append(r.theirs, os.NewFile(uintptr(fds[1]), "theirs"))
		t.Cleanup(func() { (*ours).Close() })
		r.env = append(r.env, fmt.Sprintf("_OCI_%sPIPE=%d", [...]string{"SYNC", "START", "ATTACH"}[i], 3+i))
	}
	return r
}

func testBinary(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// args is the command line of a create with api version 1.
func (r *rig) args(more ...string) []string {
	return append([]string{
		"--api-version", "1", "-c", testID, "-u", "uuid", "-r", r.path("fakert"), "-b", r.path("bundle"), "-p", r.path("pid"),
		"-P", r.path("monitor.pid"), "--exit-dir", r.path("exits"), "--persist-dir", r.path("persist"), "--full-attach",
		"-l", "k8s-file:" + r.path("log"),
	}, more...)
}

// execute starts the monitor and lets it go on.
func (r *rig) execute(args ...string) {
	r.t.Helper()
	r.launch(args...)
	r.goOn()
}

func (r *rig) launch(args ...string) {
	r.t.Helper()
	r.cmd = exec.Command(testBinary(r.t), args...)
	r.cmd.Args[0] = "berth-monitor"
	r.cmd.Env = append(os.Environ(), r.env...)
	r.cmd.ExtraFiles = r.theirs
	r.cmd.Stderr = &r.stderr
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	for _, f := range r.theirs {
		_ = f.Close() // the monitor has it
	}
	r.t.Cleanup(func() {
		for _, name := range []string{"monitor.pid", "pid"} { // should they still be there
			if pid, err := readPID(r.path(name)); err == nil && ours(pid) {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	})
}

// ours says whether pid is a process of this test: its environment says so.
func ours(pid int) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && strings.Contains(string(env), role+"=monitor")
}

func (r *rig) goOn() {
	r.t.Helper()
	if _, err := r.start.Write([]byte("go")); err != nil {
		r.t.Fatal(err)
	}
}

// message reads one from a pipe; nil at its end.
func (r *rig) message(pipe *os.File) map[string]any {
	r.t.Helper()
	if err := pipe.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := pipe.Read(buf)
	if err != nil || n == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			r.t.Fatal("no message")
		}
		return nil
	}
	var m map[string]any
	if err := json.Unmarshal(buf[:n], &m); err != nil || buf[n-1] != '\n' {
		r.t.Fatalf("message %q: %v", buf[:n], err)
	}
	return m
}

// number is the number under key of the next message on the sync pipe.
func (r *rig) number(key string) int {
	r.t.Helper()
	m := r.message(r.sync)
	n, ok := m[key].(float64)
	if !ok {
		r.t.Fatalf("message %v, want %s; stderr %s", m, key, r.stderr.String())
	}
	return int(n)
}

// text waits for a file and returns what is in it.
func (r *rig) text(name string) string {
	r.t.Helper()
	for range 500 {
		if data, err := os.ReadFile(r.path(name)); err == nil {
			return string(data)
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("no file %s", name)
	return ""
}

// log is the container's output as the log has it, without times.
func (r *rig) log() string {
	r.t.Helper()
	var b strings.Builder
	for line := range strings.Lines(r.text("log")) {
		_, rest, _ := strings.Cut(line, " ")
		b.WriteString(rest)
	}
	return b.String()
}

// logHas waits until the log has a text.
func (r *rig) logHas(text string) {
	r.t.Helper()
	for range 5000 {
		if strings.Contains(r.text("log"), text) {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	r.t.Fatalf("the log never has %q", text)
}

// client attaches.
func (r *rig) client() *os.File {
	r.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: r.path("bundle/attach")})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "client")
	r.t.Cleanup(func() { f.Close() })
	return f
}

// received reads a client's packets to their end, and returns the bytes of a stream.
func received(t *testing.T, client *os.File, stream byte) string {
	t.Helper()
	var b strings.Builder
	buf := make([]byte, 8193)
	for {
		if err := client.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := client.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("no end of the output")
		}
		if err != nil || n == 0 {
			return b.String()
		}
		if buf[0] == stream {
			b.Write(buf[1:n])
		}
	}
}
