// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
	"berth/libcontainer/config"
)

var printed = []libcontainer.State{
	{OCIVersion: "1.3.0", ID: "web", Pid: 42, Status: libcontainer.Running, Bundle: "/b/web", Rootfs: "/b/web/rootfs",
		Created: time.Date(2026, 11, 21, 5, 6, 7, 890, time.UTC), Annotations: map[string]string{"k": "v"}, Owner: "root"},
	{OCIVersion: "1.3.0", ID: "a-rather-long-id", Status: libcontainer.Stopped, Bundle: "/b", Created: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), Owner: "#7"},
}

func TestListTable(t *testing.T) {
	want := strings.Join([]string{
		"ID                 PID         STATUS      BUNDLE      CREATED                         OWNER",
		"web                42          running     /b/web      2026-11-21T05:06:07.00000089Z   root",
		"a-rather-long-id   0           stopped     /b          2026-11-21T00:00:00Z            #7",
		"",
	}, "\n")
	var b bytes.Buffer
	if err := printTable(&b, printed); err != nil || b.String() != want {
		t.Errorf("table (%v):\n%s\nwant:\n%s", err, b.String(), want)
	}
}

func TestStateJSON(t *testing.T) {
	want := `{
  "ociVersion": "1.3.0",
  "id": "web",
  "pid": 42,
  "status": "running",
  "bundle": "/b/web",
  "rootfs": "/b/web/rootfs",
  "created": "2026-11-21T05:06:07.00000089Z",
  "annotations": {
    "k": "v"
  },
  "owner": "root"
}
`
	var b bytes.Buffer
	if err := printJSON(&b, "  ", printed[0]); err != nil || b.String() != want {
		t.Errorf("state (%v):\n%s\nwant:\n%s", err, b.String(), want)
	}
}

func TestPsShowsOnlyTheContainersLines(t *testing.T) {
	out := "UID          PID    PPID CMD\nroot           1       0 init 42\nroot          42       1 sleep 1\n\nuser        4242       1 -42\n"
	want := "UID          PID    PPID CMD\nroot          42       1 sleep 1\n"
	var b bytes.Buffer
	if err := filterPs(&b, out, []int{42}); err != nil || b.String() != want {
		t.Errorf("ps = %q, %v; want %q", b.String(), err, want)
	}
	if err := filterPs(&b, "CMD\nx\n", nil); err == nil || err.Error() != "couldn't find PID field in ps output" {
		t.Errorf("without the column: error = %v", err)
	}
}

func TestVersion(t *testing.T) {
	for argv0, want := range map[string]string{"/usr/sbin/runc": "runc version ", "berth": "berth version ", "/x/docker-runtime": "berth version "} {
		var b bytes.Buffer
		printVersion(&b, argv0)
		got := strings.Split(b.String(), "\n")
		if !strings.HasPrefix(got[0], want) || len(got) != 6 || !strings.HasPrefix(got[1], "commit: ") || !strings.HasPrefix(got[2], "spec: 1.") {
			t.Errorf("as %s: %q", argv0, got)
		}
	}
}

func TestSignals(t *testing.T) {
	for in, want := range map[string]unix.Signal{
		"0": 0, "9": unix.SIGKILL, "KILL": unix.SIGKILL, "SIGKILL": unix.SIGKILL, "sigkill": unix.SIGKILL, "Term": unix.SIGTERM, "64": 64,
		"WINCH": unix.SIGWINCH, "cld": unix.SIGCHLD, "SIGIOT": unix.SIGABRT, "RTMIN": 34, "SIGRTMIN+3": 37, "rtmax": 64, "RTMAX-14": 50, "SIGRTMIN+30": 64,
	} {
		if got, err := parseSignal(in); err != nil || got != want {
			t.Errorf("%q = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "SIG", "SIGNONSENSE", "-9", "+9", "65", "9x", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMIN+", "SIGSIGKILL", "99999999999999999999"} {
		_, err := parseSignal(in)
		if err == nil || err.Error() != `unknown signal "`+in+`"` {
			t.Errorf("%q: error = %v", in, err)
		}
	}
}

func TestTerminalRules(t *testing.T) {
	const noSocket = "cannot allocate tty if runc will detach without setting console socket (hint: set process.terminal to false, or give --console-socket)"
	const noUse = "cannot use console socket if runc will not detach or allocate tty (hint: it is for process.terminal, with create or --detach)"
	for _, c := range []struct {
		terminal, detach bool
		socket, want     string
	}{
		{false, false, "", ""}, {false, true, "", ""}, {true, false, "", ""}, {true, true, "/s", ""},
		{true, true, "", noSocket}, {true, false, "/s", noUse}, {false, true, "/s", noUse}, {false, false, "/s", noUse},
	} {
		got := ""
		if err := checkTerminal(&config.Process{Terminal: c.terminal}, c.detach, c.socket); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("terminal %v, detach %v, socket %q: %q, want %q", c.terminal, c.detach, c.socket, got, c.want)
		}
	}
}
