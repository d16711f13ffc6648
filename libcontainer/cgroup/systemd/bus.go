// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	// jobTime bounds each method of a Bus; runc waits as long.
	jobTime = 30 * time.Second
	// resetTime bounds what only tidies up.
	resetTime = 5 * time.Second
)

// errTimeout is the cause that the contexts of a Bus end with.
var errTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string {
	return fmt.Sprintf("systemd has not answered within %v: %v", jobTime, context.DeadlineExceeded)
}

func (timeoutError) Unwrap() error { return context.DeadlineExceeded }

// Bus speaks with one manager, the system's or the user's. It has one
// connection, which it makes anew once if it breaks in the middle of a method:
// a restarted bus is no error. Methods may be called from several goroutines;
// each returns after 30 seconds at the latest, or when its context ends.
type Bus struct {
	endpoints []endpoint
	user      bool

	mu      sync.Mutex
	link    *link // nil after a break and after Close
	closed  bool
	version int
}

// Connect connects to the system's manager, or to that of the user in whose
// name the process runs, at $DBUS_SESSION_BUS_ADDRESS, below $XDG_RUNTIME_DIR
// or below /run/user.
func Connect(ctx context.Context, user bool) (*Bus, error) {
	uid := os.Geteuid()
	if user {
		if m, err := os.ReadFile("/proc/self/uid_map"); err == nil { // absent without CONFIG_USER_NS
			uid = outerUID(string(m), uid)
		}
	}
	all, err := endpoints(user, os.Getenv, uid)
	if err != nil {
		return nil, err
	}
	return connectTo(ctx, all, user)
}

func connectTo(ctx context.Context, all []endpoint, user bool) (*Bus, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, jobTime, errTimeout)
	defer cancel()
	b := &Bus{endpoints: all, user: user}
	_, err := b.current(ctx)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// current returns the connection, made if there is none.
func (b *Bus) current(ctx context.Context) (*link, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.New("the connection to systemd is closed")
	}
	if b.link != nil && b.link.conn.Connected() {
		return b.link, nil
	}
	l, err := dial(ctx, b.endpoints)
	if err != nil {
		manager, hint := "systemd", "is the D-Bus daemon running?"
		if b.user {
			manager, hint = "the user's systemd", "a rootless container needs dbus-user-session and a login session, or loginctl enable-linger"
		}
		return nil, fmt.Errorf("cannot connect to %s (%s): %w", manager, hint, err)
	}
	b.link = l
	return l, nil
}

// do calls f with the connection, and once more with a new one if that breaks;
// again is true then.
func (b *Bus) do(ctx context.Context, f func(ctx context.Context, l *link, again bool) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, jobTime, errTimeout)
	defer cancel()
	for again := false; ; again = true {
		l, err := b.current(ctx)
		if err != nil {
			return err
		}
		err = f(ctx, l, again)
		if d := (dbus.Error{}); err != nil && ctx.Err() != nil && !errors.As(err, &d) {
			return context.Cause(ctx) // the library knows no causes
		}
		if again || !broken(err) {
			return err
		}
		b.mu.Lock()
		if b.link == l {
			_ = l.conn.Close() // it is broken already
			b.link = nil
		}
		b.mu.Unlock()
	}
}

// Close ends the connection. Calls that wait return an error.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.link == nil {
		return nil
	}
	l := b.link
	b.link = nil
	return l.conn.Close()
}

// Version returns the version of systemd, 257 for "257.7-1". It asks once.
func (b *Bus) Version(ctx context.Context) (int, error) {
	b.mu.Lock()
	version := b.version
	b.mu.Unlock()
	if version != 0 {
		return version, nil
	}
	err := b.do(ctx, func(ctx context.Context, l *link, _ bool) error {
		s, err := l.property(ctx, "Version")
		if err == nil {
			version, err = parseVersion(s)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("cannot ask systemd for its version: %w", describe(err))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.version = version
	return version, nil
}

// parseVersion takes the first number: "v245.4-1.fc32", "257~rc1", "219".
func parseVersion(s string) (int, error) {
	digits := strings.TrimPrefix(s, "v")
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("it has no number: %q", s)
	}
	return n, nil
}

// ControlGroup returns the cgroup below which the manager has its units:
// "" or "/" for the system's, and for a user's a path like
// "/user.slice/user-1000.slice/user@1000.service".
func (b *Bus) ControlGroup(ctx context.Context) (string, error) {
	var path string
	err := b.do(ctx, func(ctx context.Context, l *link, _ bool) (err error) {
		path, err = l.property(ctx, "ControlGroup")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot ask systemd for its cgroup: %w", describe(err))
	}
	return path, nil
}

// Subscribe asks the manager for its signals. Start and Stop do so themselves;
// a caller with time to spare can do it earlier.
func (b *Bus) Subscribe(ctx context.Context) error {
	err := b.do(ctx, func(ctx context.Context, l *link, _ bool) error { return l.subscribe(ctx) })
	if err != nil {
		return fmt.Errorf("cannot subscribe to systemd's signals: %w", describe(err))
	}
	return nil
}

// wireProperty is "(sv)" and auxUnit "(sa(sv))"; StartTransientUnit in
// org.freedesktop.systemd1(5).
type (
	wireProperty struct {
		Name  string
		Value dbus.Variant
	}
	auxUnit struct {
		Name       string
		Properties []wireProperty
	}
)

func wire(props Properties) []wireProperty {
	out := make([]wireProperty, len(props))
	for i, p := range props {
		out[i] = wireProperty{p.Name, p.Value}
	}
	return out
}

// Start makes a transient unit with props and waits until its job is done: the
// processes of PIDs= are in the unit then. A scope of that name that has failed
// and was left behind is reset, and one that exists otherwise is an error with
// ErrUnitExists; a slice that exists is fine, and keeps its properties.
func (b *Bus) Start(ctx context.Context, u Unit, props Properties) error {
	if err := u.valid(); err != nil {
		return err
	}
	start := func() (string, error) { return b.start(ctx, u, props) }
	result, err := start()
	if errors.Is(err, ErrUnitExists) {
		if u.IsSlice() {
			return nil
		}
		b.reset(ctx, u)
		result, err = start()
	}
	if err == nil && result == "done" {
		return nil
	}
	if !errors.Is(err, ErrUnitExists) {
		b.reset(ctx, u) // or the name could not be used again
	}
	return b.failure("start", u, result, err, props)
}

func (b *Bus) start(ctx context.Context, u Unit, props Properties) (result string, err error) {
	args := []any{u.Name, "replace", wire(props), []auxUnit{}}
	err = b.do(ctx, func(ctx context.Context, l *link, again bool) (err error) {
		result, err = l.job(ctx, u.Name, "StartTransientUnit", args)
		if again && isError(err, nameUnitExists) && l.holds(ctx, u.Name, props.pid()) {
			// It was made before the connection broke.
			result, err = "done", nil
		}
		return err
	})
	if isError(err, nameUnitExists) {
		err = fmt.Errorf("%w: %w", ErrUnitExists, err)
	}
	return result, err
}

// Set changes properties of a unit until it ends. Those that systemd takes only
// for new units are left out.
func (b *Bus) Set(ctx context.Context, u Unit, props Properties) error {
	if err := u.valid(); err != nil {
		return err
	}
	props = props.Changeable()
	if len(props) == 0 {
		return nil
	}
	const runtime = true // nothing of it is to survive a reboot
	err := b.do(ctx, func(ctx context.Context, l *link, _ bool) error {
		return l.call(ctx, "SetUnitProperties", []any{u.Name, runtime, wire(props)})
	})
	if err != nil {
		return b.failure("change", u, "", err, props)
	}
	return nil
}

// Attach moves a process into a unit that has Delegate=yes. For a user's systemd
// it does what the user may not: the unit's cgroup may be his, the one that the
// process leaves is not. The process must run as the caller's user.
func (b *Bus) Attach(ctx context.Context, u Unit, pid int) error {
	if err := u.valid(); err != nil {
		return err
	}
	err := b.do(ctx, func(ctx context.Context, l *link, _ bool) error {
		return l.call(ctx, "AttachProcessesToUnit", []any{u.Name, "", []uint32{uint32(pid)}})
	})
	if err != nil {
		return b.failure("enter", u, "", err, nil)
	}
	return nil
}

// Stop stops a unit, which ends its processes, and waits for that. A unit that
// is not there is no error. It must only be called for a unit that Start made.
func (b *Bus) Stop(ctx context.Context, u Unit) error {
	if err := u.valid(); err != nil {
		return err
	}
	var result string
	err := b.do(ctx, func(ctx context.Context, l *link, _ bool) (err error) {
		result, err = l.job(ctx, u.Name, "StopUnit", []any{u.Name, "replace"})
		return err
	})
	if isError(err, nameNoSuchUnit) {
		return nil
	}
	b.reset(ctx, u) // a failed unit keeps its name
	if err != nil || result != "done" {
		return b.failure("stop", u, result, err, nil)
	}
	return nil
}

// reset makes systemd forget that a unit has failed. Its errors say that there
// is nothing to forget. It is bounded by itself: ctx may have ended already.
func (b *Bus) reset(ctx context.Context, u Unit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), resetTime)
	defer cancel()
	_ = b.do(ctx, func(ctx context.Context, l *link, _ bool) error {
		return l.call(ctx, "ResetFailedUnit", []any{u.Name})
	})
}
