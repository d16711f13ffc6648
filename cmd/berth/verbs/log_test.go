// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC) }

func TestLogLines(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{string(textLine("error", "exec: \"x\": no\nsuch", noon())), `time="2026-11-21T12:00:00Z" level=error msg="exec: \"x\": no\nsuch"` + "\n"},
		{string(jsonLine("error", "a \"b\" <c>\n\xff", noon(), nil)), `{"level":"error","msg":"a \"b\" \u003cc\u003e\n` + "\ufffd" + `","time":"2026-11-21T12:00:00Z"}` + "\n"},
		{string(jsonLine("error", "m", noon(), map[string]string{"hint": "h"})), `{"hint":"h","level":"error","msg":"m","time":"2026-11-21T12:00:00Z"}` + "\n"},
	} {
		// Go's JSON without the experiment jsonv2 escapes it.
		if got := strings.ReplaceAll(c.got, `\ufffd`, "\ufffd"); got != c.want {
			t.Errorf("line = %s want %s", got, c.want)
		}
	}
}

func logFile(t *testing.T, g *global) (*logger, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	g.logPath = path
	l, err := openLog(g, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	l.now, l.mirror = noon, false
	t.Cleanup(func() { unix.Close(l.fd) })
	return l, path
}

func TestLogLevels(t *testing.T) {
	for level, want := range map[string]string{"error": "e", "warning": "we", "debug": "wde"} {
		g := newGlobal()
		g.logFormat, g.logLevel = "json", level
		l, path := logFile(t, g)
		l.warn("w")
		l.debug("d")
		l.fail(errors.New("e"), 1)
		got := ""
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			var record struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			got += record.Msg
		}
		if got != want {
			t.Errorf("--log-level %s logs %q, want %q", level, got, want)
		}
	}
}

func TestLogIsAppended(t *testing.T) {
	l, path := logFile(t, newGlobal())
	l.warn("one")
	g := newGlobal()
	g.logPath = "file:" + path
	again, err := openLog(g, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(again.fd)
	again.warn("two")
	data, err := os.ReadFile(path)
	if err != nil || strings.Count(string(data), "\n") != 2 {
		t.Errorf("log = %q, %v; want two lines", data, err)
	}
}

func TestLogRefuses(t *testing.T) {
	for want, g := range map[string]*global{
		"invalid log-format: xml":                                     {logFormat: "xml"},
		`cannot log to "journald:x": only files are supported`:        {logFormat: "text", logPath: "journald:x"},
		`cannot log to "syslog:x": only files are supported`:          {logFormat: "json", logPath: "syslog:x"},
		`cannot open log "/no/such/log": no such file or directory`:   {logFormat: "text", logPath: "/no/such/log"},
		`cannot open log "/no/such/x:log": no such file or directory`: {logFormat: "text", logPath: "/no/such/x:log"},
		`cannot open log "/no/such/file": no such file or directory`:  {logFormat: "text", logPath: "file:/no/such/file"},
		`cannot open log "": no such file or directory`:               {logFormat: "text", logPath: "file:"},
	} {
		if _, err := openLog(g, os.Stderr); err == nil || err.Error() != want {
			t.Errorf("%+v: error = %v, want %s", g, err, want)
		}
	}
}

func TestMessageIsOneLineWithItsHint(t *testing.T) {
	plain := fmt.Errorf("create failed: %w", errors.New("two\nlines\n"))
	if got, want := message(plain), `create failed: two\nlines`; got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
	boot := fmt.Errorf("create failed: %w", hintedError{})
	if got, want := message(boot), "create failed: broken; hint: mend it"; got != want {
		t.Errorf("message = %q, want %q", got, want)
	}
	got := fmt.Sprint(fields(boot))
	if want := "map[hint:mend it]"; got != want {
		t.Errorf("fields = %s, want %s", got, want)
	}
	got = fmt.Sprint(fields(&libcontainer.BootError{Origin: "mounts[3]", Errno: unix.EPERM}))
	if want := "map[errno:EPERM origin:mounts[3]]"; got != want {
		t.Errorf("fields = %s, want %s", got, want)
	}
}

type hintedError struct{}

func (hintedError) Error() string { return "broken" }
func (hintedError) Hint() string  { return "mend it" }
