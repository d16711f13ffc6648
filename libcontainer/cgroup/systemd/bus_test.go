// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

var scope = Unit{Name: "berth-web.scope", Slice: "system.slice", Cgroup: "/system.slice/berth-web.scope"}

func some(t *testing.T) Properties {
	t.Helper()
	q := Request{Unit: scope, ID: "web", PID: 4711, Resources: resources()["unified"], Annotations: map[string]string{"org.systemd.property.CollectMode": "'inactive'"}}
	p, _, err := q.Properties(Host{V2: true, Version: 257})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// unlined is the text of properties as the bus has them: without origins.
func unlined(p Properties) string {
	return printed(wire(p))
}

func TestManagerProperties(t *testing.T) {
	b, f := run(t)
	for range 2 {
		if v, err := b.Version(t.Context()); v != 257 || err != nil {
			t.Errorf("Version = %d, %v", v, err)
		}
	}
	path, err := b.ControlGroup(t.Context())
	if path != "/user.slice/user-1000.slice/user@1000.service" || err != nil {
		t.Errorf("ControlGroup = %q, %v", path, err)
	}
	if got, want := f.calls(), "Get Version; Get ControlGroup"; got != want {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// The properties must arrive with the types that systemd wants, which the
// library makes of Go's types.
func TestStartSendsProperties(t *testing.T) {
	b, f := run(t)
	p := some(t)
	if err := b.Start(t.Context(), scope, p); err != nil {
		t.Fatal(err)
	}
	if got, want := f.calls(), "Start berth-web.scope replace"; got != want {
		t.Errorf("calls %q, want %q", got, want)
	}
	// What is decoded has no Go type for (ss); its text is the library's.
	got := strings.NewReplacer(`DeviceAllow a(ss) @a(ss) []`, `DeviceAllow a(ss) []`).Replace(f.got())
	want := unlined(p)
	for _, line := range strings.Split(want, "\n") {
		if !strings.HasPrefix(line, "DeviceAllow") && !strings.Contains(got, line+"\n") {
			t.Errorf("%q did not arrive in\n%s", line, got)
		}
	}
	if !strings.Contains(got, `DeviceAllow a(ss) [["char-*", "m"], ["block-*", "m"], ["/dev/char/1:3", "rwm"]`) {
		t.Errorf("DeviceAllow did not arrive in\n%s", got)
	}
}

func TestStartJobEndsBeforeReply(t *testing.T) {
	b, _ := run(t, answer{early: true}, answer{early: true, result: "failed"})
	if err := b.Start(t.Context(), scope, nil); err != nil {
		t.Error(err)
	}
	var e *Error
	if err := b.Start(t.Context(), scope, nil); !errors.As(err, &e) || e.Result != "failed" {
		t.Error(err)
	}
}

func TestStartResults(t *testing.T) {
	const where = " (see systemctl status 'berth-web.scope', journalctl -u 'berth-web.scope')"
	for result, want := range map[string]string{
		"failed":     "its job failed",
		"timeout":    "its job took longer than systemd allows",
		"canceled":   "its job was canceled by another job for the same unit",
		"dependency": "a unit that it depends on failed, such as its slice",
		"skipped":    "its job was skipped: it does not apply to the unit's state",
		"odd":        `its job ended with "odd"`,
	} {
		b, f := run(t, answer{result: result})
		err := b.Start(t.Context(), scope, nil)
		if want := `cannot start systemd unit "berth-web.scope": ` + want + where; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if got, want := f.calls(), "Start berth-web.scope replace; Reset berth-web.scope"; got != want {
			t.Errorf("calls %q, want %q", got, want)
		}
	}
	e := &Error{Op: "stop", Unit: "a.scope", Result: "failed", User: true}
	if got, want := e.Error(), `cannot stop systemd unit "a.scope": its job failed (see systemctl --user status 'a.scope', journalctl --user -u 'a.scope')`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestStartUnitExists(t *testing.T) {
	exists := answer{fail: nameUnitExists, text: "Unit berth-web.scope was already loaded or has a fragment file."}
	for _, c := range []struct {
		name    string
		unit    Unit
		answers []answer
		calls   string
		fails   bool
	}{
		{"left behind", scope, []answer{exists}, "Start berth-web.scope replace; Reset berth-web.scope; Start berth-web.scope replace", false},
		{"in use", scope, []answer{exists, exists}, "Start berth-web.scope replace; Reset berth-web.scope; Start berth-web.scope replace", true},
		{"slice", Unit{Name: "a.slice"}, []answer{exists}, "Start a.slice replace", false},
	} {
		b, f := run(t, c.answers...)
		err := b.Start(t.Context(), c.unit, some(t))
		if errors.Is(err, ErrUnitExists) != c.fails || (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := f.calls(); got != c.calls {
			t.Errorf("%s: calls %q, want %q", c.name, got, c.calls)
		}
	}
}

func TestRefusedProperty(t *testing.T) {
	p := some(t)
	for _, c := range []struct{ text, want string }{
		{"TasksMax= is out of range", "property TasksMax of linux.resources.unified[pids.max]: TasksMax= is out of range"},
		{"Cannot set property CollectMode, or unknown property.", "property CollectMode of annotations[org.systemd.property.CollectMode]: Cannot set property CollectMode, or unknown property."},
		{"CPUQuotaPeriodSec= is out of range", "property CPUQuotaPeriodUSec of linux.resources.unified[cpu.max]: CPUQuotaPeriodSec= is out of range"},
		{"Delegate= not supported", "property Delegate: Delegate= not supported"},
		{"Out of memory", "Out of memory"},
	} {
		b, _ := run(t, answer{fail: "org.freedesktop.DBus.Error.InvalidArgs", text: c.text}, answer{fail: "org.freedesktop.DBus.Error.InvalidArgs", text: c.text})
		err := b.Start(t.Context(), scope, p)
		if want := `cannot start systemd unit "berth-web.scope": ` + c.want; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		err = b.Set(t.Context(), scope, p)
		if want := `cannot change systemd unit "berth-web.scope": ` + c.want; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		var d dbus.Error
		if !errors.As(err, &d) {
			t.Errorf("%v does not wrap the bus's error", err)
		}
	}
}

func TestAccessDenied(t *testing.T) {
	b, _ := run(t, answer{fail: "org.freedesktop.DBus.Error.AccessDenied", text: "Permission denied"})
	err := b.Start(t.Context(), scope, nil)
	const want = `cannot start systemd unit "berth-web.scope": Permission denied (only root may use the system's manager; rootless containers use the user's)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestJobNeverEnds(t *testing.T) {
	for _, a := range []answer{{silent: true}, {mute: true}} {
		b, f := run(t, a)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errTimeout)
		defer cancel()
		err := b.Start(ctx, scope, nil)
		const want = `cannot start systemd unit "berth-web.scope": systemd has not answered within 30s: context deadline exceeded`
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if got, want := f.calls(), "Start berth-web.scope replace; Reset berth-web.scope"; got != want {
			t.Errorf("calls %q, want %q", got, want)
		}
	}
}

func TestCancel(t *testing.T) {
	b, f := run(t, answer{silent: true})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		f.wait() // Subscribe
		f.wait() // Stop
		cancel()
	}()
	if err := b.Stop(ctx, scope); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestForgedSignal(t *testing.T) {
	b, _ := run(t, answer{forged: true, result: "failed"})
	var e *Error
	if err := b.Start(t.Context(), scope, nil); !errors.As(err, &e) || e.Result != "failed" {
		t.Errorf("a signal of another client was believed: %v", err)
	}
}

func TestSet(t *testing.T) {
	b, f := run(t)
	p := some(t)
	if err := b.Set(t.Context(), scope, p); err != nil {
		t.Fatal(err)
	}
	if got, want := f.calls(), "Set berth-web.scope true"; got != want {
		t.Errorf("calls %q, want %q", got, want)
	}
	if strings.Contains(f.got(), "OOMPolicy") || !strings.Contains(f.got(), "TasksMax t 1\n") {
		t.Errorf("got\n%s", f.got())
	}
	if err := b.Set(t.Context(), scope, nil); err != nil || f.calls() != "Set berth-web.scope true" {
		t.Errorf("nothing to set: %v, %s", err, f.calls())
	}
}

func TestStop(t *testing.T) {
	const reset = "; Reset berth-web.scope"
	for _, c := range []struct {
		answer      answer
		calls, want string
	}{
		{answer{}, reset, ""},
		{answer{fail: nameNoSuchUnit, text: "Unit berth-web.scope not loaded."}, "", ""},
		{answer{result: "timeout"}, reset, `cannot stop systemd unit "berth-web.scope": its job took longer than systemd allows (see systemctl status 'berth-web.scope', journalctl -u 'berth-web.scope')`},
		{answer{fail: "org.freedesktop.DBus.Error.Failed", text: "no"}, reset, `cannot stop systemd unit "berth-web.scope": no`},
	} {
		b, f := run(t, c.answer)
		err := b.Stop(t.Context(), scope)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
		if got, want := f.calls(), "Stop berth-web.scope replace"+c.calls; got != want {
			t.Errorf("calls %q, want %q", got, want)
		}
	}
}

func TestUnitOfTheHost(t *testing.T) {
	b, f := run(t)
	u := Unit{Name: "system.slice"}
	for _, err := range []error{b.Start(t.Context(), u, nil), b.Set(t.Context(), u, some(t)), b.Stop(t.Context(), u)} {
		if err == nil || err.Error() != `"system.slice" is a unit of the host, not of a container` {
			t.Errorf("got %v", err)
		}
	}
	if f.calls() != "" {
		t.Errorf("calls %s", f.calls())
	}
}

func TestBusRestarted(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	stop := daemon(t, socket)
	f := serve(t, socket, "")
	b := dialed(t, socket)
	if err := b.Subscribe(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	<-f.conn.Context().Done()
	daemon(t, socket)
	f = serve(t, socket, "")
	if err := b.Start(t.Context(), scope, nil); err != nil {
		t.Error(err)
	}
	if got, want := f.calls(), "Start berth-web.scope replace"; got != want {
		t.Errorf("calls %q, want %q", got, want)
	}
}

func TestConnectionBreaksDuringStart(t *testing.T) {
	exists := answer{fail: nameUnitExists, text: "exists"}
	for _, c := range []struct {
		name    string
		holder  string // of the process: unit a is ours
		answers []answer
		fails   bool
		calls   string
	}{
		{"not made", "", []answer{{silent: true}}, false, ""},
		{"made", "a", []answer{{silent: true}, exists}, false, "; GetUnit berth-web.scope; GetUnitByPID 4711"},
		{"another's", "b", []answer{{silent: true}, exists, exists}, true,
			"; GetUnit berth-web.scope; GetUnitByPID 4711; Reset berth-web.scope; Start berth-web.scope replace"},
	} {
		socket := filepath.Join(t.TempDir(), "bus")
		daemon(t, socket)
		f := serve(t, socket, c.holder, c.answers...)
		p, front := between(t, socket)
		b := dialed(t, front)
		go func() {
			f.wait() // Subscribe
			f.wait() // Start
			p.cut()
		}()
		err := b.Start(t.Context(), scope, some(t))
		if errors.Is(err, ErrUnitExists) != c.fails || (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if got, want := f.calls(), "Start berth-web.scope replace; Start berth-web.scope replace"+c.calls; got != want {
			t.Errorf("%s: calls\n%s, want\n%s", c.name, got, want)
		}
	}
}

func TestNoManagerOnTheBus(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	daemon(t, socket)
	b := dialed(t, socket)
	_, err := b.Version(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "cannot ask systemd for its version: ") || !strings.HasSuffix(err.Error(), "(systemd is not on this bus)") {
		t.Errorf("got %v", err)
	}
}

func TestClosed(t *testing.T) {
	b, f := run(t, answer{silent: true})
	go func() {
		f.wait() // Subscribe
		f.wait() // Start
		_ = b.Close()
	}()
	for range 2 {
		err := b.Start(t.Context(), scope, nil)
		if err == nil || err.Error() != `cannot start systemd unit "berth-web.scope": the connection to systemd is closed` {
			t.Errorf("got %v", err)
		}
	}
}
