// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/pidfd"
	"berth/libcontainer/config"
)

func shell(script string) config.Hook {
	return config.Hook{Path: "/bin/sh", Args: []string{"hook", "-c", script}}
}

func TestStateArgumentsAndEnvironment(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("HOOK_TEST", "inherited")
	cases := []struct {
		name string
		env  []string
		want string
	}{
		{"no env", nil, "hook arg inherited {state}"},
		{"empty env", []string{}, "hook arg  {state}"},
		{"own env", []string{"HOOK_TEST=own"}, "hook arg own {state}"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			script := `printf %s "$0 $1 $HOOK_TEST $(/bin/cat)" >` + out
			h := config.Hook{Path: "/bin/sh", Args: []string{"x", "-c", script, "hook", "arg"}, Env: c.env}
			if err := Run("h", h, []byte("{state}")); err != nil {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(out); string(got) != c.want {
				t.Errorf("the hook saw %q, want %q", got, c.want)
			}
		})
	}
}

func TestNoArgumentsMeanThePath(t *testing.T) {
	if err := Run("h", config.Hook{Path: "/bin/true"}, nil); err != nil {
		t.Error(err)
	}
}

func TestLongStateNeedsNoReader(t *testing.T) {
	state := bytes.Repeat([]byte("s"), 300<<10)
	out := filepath.Join(t.TempDir(), "out")
	for _, script := range []string{"exit 0", "/bin/cat >" + out} {
		if err := Run("h", shell(script), state); err != nil {
			t.Error(err)
		}
	}
	if got, _ := os.ReadFile(out); !bytes.Equal(got, state) {
		t.Errorf("the hook read %d bytes, want %d", len(got), len(state))
	}
}

func TestErrorTexts(t *testing.T) {
	cases := []struct {
		name, script, want string
	}{
		{"status", "exit 3", "hooks.prestart[0] /bin/sh: exit status 3"},
		{"signal", "kill -9 $$", "hooks.prestart[0] /bin/sh: signal: killed"},
		{"output", "echo one; echo two >&2; exit 1", "hooks.prestart[0] /bin/sh: exit status 1: one; two"},
		{"hostile output", `printf 'a\033[31mb\001\200\tc\r\n'; exit 1`, "hooks.prestart[0] /bin/sh: exit status 1: a?[31mb?? c"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := Run("hooks.prestart[0]", shell(c.script), nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("Run = %v, want %q", err, c.want)
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{"/nonexistent": fs.ErrNotExist, plain: fs.ErrPermission} {
		err := Run("h", config.Hook{Path: path}, nil)
		var e *Error
		if !errors.Is(err, want) || !errors.As(err, &e) || strings.Count(err.Error(), path) != 1 {
			t.Errorf("Run = %v, want %v with the path once", err, want)
		}
	}
}

func TestOutputIsBoundedToItsEnd(t *testing.T) {
	err := Run("h", shell("i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; exit 1"), nil)
	var e *Error
	if !errors.As(err, &e) || len(e.Output) != maxOutput || !strings.HasSuffix(e.Output, "line 29999\n") {
		t.Errorf("output = %d bytes, %q; want the last %d", len(e.Output), e.Output[max(len(e.Output)-20, 0):], maxOutput)
	}
}

func TestTimeoutKillsTheGroup(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := shell("echo begun; sleep 1000 & echo $! >" + pidFile + "; wait")
	h.Timeout = 1
	begin := time.Now()
	err := Run("hooks.poststop[2]", h, nil)
	const want = "hooks.poststop[2] /bin/sh: hook ran past specified timeout of 1.0s: begun"
	var timeout *TimeoutError
	if err == nil || err.Error() != want || !errors.As(err, &timeout) {
		t.Errorf("Run = %v, want %q", err, want)
	}
	if took := time.Since(begin); took < time.Second || took > 8*time.Second {
		t.Errorf("it took %v, want 1 s", took)
	}
	wantDead(t, pidFile)
}

// wantDead waits for the end of the process whose pid is in the file; SIGKILL
// was sent, so that it must come.
func wantDead(t *testing.T, pidFile string) {
	t.Helper()
	data, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	for _, c := range strings.TrimSpace(string(data)) {
		pid = pid*10 + int(c-'0')
	}
	p, err := pidfd.Open(pid)
	if errors.Is(err, pidfd.ErrGone) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if ended, err := p.Wait(10 * time.Second); !ended {
		t.Errorf("the hook's child lives on, %v", err)
		_ = p.Signal(unix.SIGKILL)
	}
}

func TestBackgroundProcessIsNotWaitedFor(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	begin := time.Now()
	if err := Run("h", shell("sleep 1000 & echo $! >"+pidFile), nil); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	data, _ := os.ReadFile(pidFile)
	kill := shell("kill -9 " + strings.TrimSpace(string(data)))
	if err := Run("clean up", kill, nil); err != nil {
		t.Error(err)
	}
	wantDead(t, pidFile)
}

func TestHookThatClosesItsOutputIsStillAwaited(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	if err := Run("h", shell("exec >&- 2>&-; sleep 0.05; echo done >"+out), nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(out); err != nil {
		t.Error(err)
	}
}

func TestRunAllStopsAtTheFirstFailure(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	err := RunAll("poststart", []config.Hook{shell("echo 0 >>" + out), shell("exit 5"), shell("echo 2 >>" + out)}, nil)
	if err == nil || err.Error() != "hooks.poststart[1] /bin/sh: exit status 5" {
		t.Errorf("RunAll = %v", err)
	}
	if got, _ := os.ReadFile(out); string(got) != "0\n" {
		t.Errorf("ran %q, want the first alone", got)
	}
}

func TestNoDescriptorIsLeaked(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	before := count()
	for range 5 {
		_ = Run("h", shell("exit 1"), []byte("x"))
		_ = Run("h", config.Hook{Path: "/nonexistent"}, []byte("x"))
		_ = Run("h", shell("exit 0"), bytes.Repeat([]byte("x"), 100<<10))
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors open, want %d", after, before)
	}
}
