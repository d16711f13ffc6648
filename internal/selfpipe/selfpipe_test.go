// SPDX-License-Identifier: Apache-2.0

package selfpipe

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func send(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c <-chan unix.Signal) unix.Signal {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("no signal came")
		return 0
	}
}

func TestNotify(t *testing.T) {
	first, second := make(chan unix.Signal, 1), make(chan unix.Signal, 2)
	if err := Notify(first, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	if err := Notify(second, unix.SIGUSR1, unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
	send(t, unix.SIGUSR1)
	if a, b := receive(t, first), receive(t, second); a != unix.SIGUSR1 || b != unix.SIGUSR1 {
		t.Errorf("got %v and %v", a, b)
	}
	send(t, unix.SIGHUP)
	if s := receive(t, second); s != unix.SIGHUP {
		t.Errorf("got %v", s)
	}
	if len(first) != 0 {
		t.Error("a signal that was not asked for")
	}
}

// Nobody reads, the program lives on, and others still get theirs.
func TestFull(t *testing.T) {
	full, other := make(chan unix.Signal), make(chan unix.Signal, 1)
	if err := Notify(full, unix.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	if err := Notify(other, unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	for range 100_000 { // more than a pipe holds
		send(t, unix.SIGUSR2)
	}
	send(t, unix.SIGWINCH)
	receive(t, other)
}

// What is caught is the default's in a child, and is not blocked there.
func TestChildrenHaveTheDefaults(t *testing.T) {
	if err := Notify(nil, unix.SIGTERM, unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	send(t, unix.SIGTERM)
	send(t, unix.SIGINT)
	out, err := exec.Command("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		_, mask, _ := strings.Cut(line, "\t")
		set, err := strconv.ParseUint(mask, 16, 64)
		// Whom glibc's posix_spawn(3) has started, as make does it, ignores the
		// two signals of its threads.
		if set &^= 3 << 31; set != 0 || err != nil {
			t.Errorf("in the child: %s, %v", line, err)
		}
	}
}

// Signals come at any instruction of any thread.
func TestUnderLoad(t *testing.T) {
	c := make(chan unix.Signal, 1)
	if err := Notify(c, unix.SIGIO); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	for range 4 {
		go func() {
			for grow := []byte(nil); ; grow = append(grow, make([]byte, 100)...) {
				select {
				case <-stop:
					return
				default:
				}
				if len(grow) > 1<<20 {
					grow = nil
				}
			}
		}()
	}
	for range 20_000 {
		send(t, unix.SIGIO)
	}
	close(stop)
	receive(t, c)
}
