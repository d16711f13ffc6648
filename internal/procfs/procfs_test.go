// SPDX-License-Identifier: Apache-2.0

package procfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	const tail = " 0 0 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3\n"
	cases := []struct {
		name, text string
		want       Stat
	}{
		{"plain", "7 (sh) S 1" + tail, Stat{7, "sh", 'S', 1, 98765}},
		{"blanks", "7 (a b) Z 3" + tail, Stat{7, "a b", 'Z', 3, 98765}},
		{"parentheses", "7 (x) R 99 (y) D 4" + tail, Stat{7, "x) R 99 (y", 'D', 4, 98765}},
		{"newline", "7 (x\ny) X 4" + tail, Stat{7, "x\ny", 'X', 4, 98765}},
		{"parent outside the namespace", "1 (init) S 0" + tail, Stat{1, "init", 'S', 0, 98765}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			// The tail begins with field 5, as the state and parent are given.
			got, err := ParseStat([]byte(c.text))
			if err != nil || got != c.want {
				t.Errorf("ParseStat = %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	for _, text := range []string{"", "7 sh S", "(sh) S 1" + tail, "7 (sh S 1" + tail, "7 (sh) S 1 2 3", "7 (sh) SS 1" + tail, "7 (sh) S x" + tail} {
		if got, err := ParseStat([]byte(text)); err == nil {
			t.Errorf("ParseStat(%q) = %+v, want an error", text, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (sh) S 1 0 0 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1\n"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = ParseStat(data) // must not panic
	})
}

func TestOwnProcess(t *testing.T) {
	st, err := ReadStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if st.PID != os.Getpid() || st.Parent != os.Getppid() || st.Start == 0 || st.Dead() {
		t.Errorf("ReadStat = %+v, want pid %d, parent %d, alive", st, os.Getpid(), os.Getppid())
	}
	if parent, err := Parent(os.Getpid()); err != nil || parent != os.Getppid() {
		t.Errorf("Parent = %d, %v, want %d", parent, err, os.Getppid())
	}
	if data, err := Read("self/comm"); err != nil || !strings.HasPrefix(string(data), "procfs") {
		t.Errorf("comm = %q, %v", data, err)
	}
	if data, err := ReadAll("self/mountinfo", 8<<20); err != nil || len(data) == 0 {
		t.Errorf("mountinfo = %d bytes, %v", len(data), err)
	}
	if _, err := ReadAll("self/mountinfo", 10); !errors.Is(err, unix.EFBIG) {
		t.Errorf("mountinfo above the limit = %v, want %v", err, unix.EFBIG)
	}
	ns, err := OpenNamespace(os.Getpid(), "mnt")
	if err != nil {
		t.Fatal(err)
	}
	ns.Close()
}

func TestZombieIsDeadThenGone(t *testing.T) {
	cmd := exec.Command("/bin/cat")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	children, err := Children(os.Getpid())
	if err != nil || !slices.Contains(children, pid) {
		t.Errorf("Children = %v, %v, want %d among them", children, err, pid)
	}
	stdin.Close()
	// WNOWAIT waits for the end and leaves the zombie.
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if st, err := ReadStat(pid); err != nil || st.State != 'Z' || !st.Dead() {
		t.Errorf("ReadStat = %+v, %v, want a zombie", st, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := State(pid); !Gone(err) {
		t.Errorf("State of a reaped process = %v, want one that is Gone", err)
	}
}

func TestOpenStaysInside(t *testing.T) {
	for name, want := range map[string]error{
		"../etc/passwd": unix.EXDEV,
		"/etc/passwd":   unix.EXDEV,
		"self/exe":      unix.ELOOP,
		"self/root/etc": unix.ELOOP,
	} {
		if f, err := Open(name, unix.O_RDONLY); !errors.Is(err, want) {
			t.Errorf("Open(%q) = %v, %v; want %v", name, f, err, want)
		}
	}
}

func TestVerifyRefusesWhatIsNoProcfsRoot(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join("/proc/self")} {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := verify(fd); err == nil {
			t.Errorf("%s was accepted", dir)
		}
		unix.Close(fd)
	}
}
