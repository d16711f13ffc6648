// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	busName     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerName = "org.freedesktop.systemd1.Manager"
)

// link is one connection to a manager.
type link struct {
	conn   *dbus.Conn
	direct bool
	jobs   *jobs

	mu         sync.Mutex
	subscribed bool
}

// dial connects to the first endpoint that answers. The errors of all are
// returned if none does.
func dial(ctx context.Context, all []endpoint) (*link, error) {
	var failed []error
	for _, e := range all {
		if e.direct && os.Geteuid() != 0 && e.socket == "/run/systemd/private" {
			continue // it is root's alone
		}
		l, err := open(ctx, e)
		if err == nil {
			return l, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// open connects and authenticates. The library has no context for that, so the
// socket gets the deadline.
func open(ctx context.Context, e endpoint) (*link, error) {
	socket, err := connect(ctx, e.socket)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = socket.SetDeadline(deadline) // fails on a closed socket only
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	j := &jobs{direct: e.direct}
	conn, err := dbus.DialUnix(socket, dbus.WithIncomingInterceptor(j.incoming))
	if err != nil {
		_ = socket.Close() // the first error counts
		return nil, fmt.Errorf("cannot use %s: %w", e.socket, err)
	}
	// EXTERNAL takes the uid that the socket shows. The library sends none of
	// its own since v5.1, so that inside a user namespace the right one counts.
	err = conn.Auth([]dbus.Auth{dbus.AuthExternal("")})
	if err == nil && !e.direct {
		err = conn.Hello()
	}
	if err == nil && !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close() // the first error counts
		return nil, fmt.Errorf("cannot authenticate at %s: %w", e.socket, err)
	}
	_ = socket.SetDeadline(time.Time{}) // fails on a closed socket only
	return &link{conn: conn, direct: e.direct, jobs: j}, nil
}

// call calls a method of the manager; into are what it returns. A manager that
// is not there is not started: it is process 1, or not systemd.
func (l *link) call(ctx context.Context, method string, args []any, into ...any) error {
	return l.conn.Object(busName, managerPath).
		CallWithContext(ctx, managerName+"."+method, dbus.FlagNoAutoStart, args...).Store(into...)
}

// property reads a property of the manager.
func (l *link) property(ctx context.Context, name string) (string, error) {
	var v dbus.Variant
	err := l.conn.Object(busName, managerPath).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, managerName, name).Store(&v)
	if err != nil {
		return "", err
	}
	s, ok := v.Value().(string)
	if !ok {
		return "", fmt.Errorf("property %s is of type %q, not a string", name, v.Signature())
	}
	return s, nil
}

// subscribe makes the manager send its signals to this connection, once.
func (l *link) subscribe(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.subscribed || l.direct {
		return nil
	}
	err := l.call(ctx, "Subscribe", nil)
	if err != nil && !isError(err, "org.freedesktop.systemd1.AlreadySubscribed") {
		return err
	}
	l.subscribed = true
	return nil
}

// match returns the rule by which the bus sends us the ends of a unit's jobs,
// and those of no other: a bus wakes all that match.
func match(unit string) string {
	return fmt.Sprintf("type='signal',sender='%s',path='%s',interface='%s',member='JobRemoved',arg2='%s'",
		busName, managerPath, managerName, unit)
}

// job calls a method that queues a job for a unit, and returns how it ended:
// "done", or another of the results of JobRemoved, org.freedesktop.systemd1(5).
func (l *link) job(ctx context.Context, unit, method string, args []any) (string, error) {
	if !l.direct {
		bus := l.conn.BusObject()
		// Both are on their way before either is answered.
		matched := bus.GoWithContext(ctx, "org.freedesktop.DBus.AddMatch", 0, nil, match(unit))
		err := l.subscribe(ctx)
		if err = errors.Join((<-matched.Done).Err, err); err != nil {
			return "", err
		}
		// Nobody waits for it to be taken back.
		defer bus.Go("org.freedesktop.DBus.RemoveMatch", dbus.FlagNoReplyExpected, nil, match(unit))
	}
	w := l.jobs.watch()
	defer l.jobs.forget(w)
	var path dbus.ObjectPath
	if err := l.call(ctx, method, args, &path); err != nil {
		return "", err
	}
	return w.wait(ctx, l.conn.Context().Done(), path)
}

// holds says whether the manager has a process in a unit.
func (l *link) holds(ctx context.Context, unit string, pid uint32) bool {
	var want, got dbus.ObjectPath
	return pid != 0 && l.call(ctx, "GetUnit", []any{unit}, &want) == nil &&
		l.call(ctx, "GetUnitByPID", []any{pid}, &got) == nil && want == got
}

// jobs hands the ends of jobs to those who wait. It sees each message in the
// one goroutine that reads the connection, and so a job's end even if that was
// sent before the reply that names the job.
type jobs struct {
	direct bool

	mu       sync.Mutex
	watchers []*watcher
}

// watcher keeps the results of all jobs that ended since it was made.
type watcher struct {
	mu      sync.Mutex
	results map[dbus.ObjectPath]string
	changed chan struct{} // holds one token if results has news
}

// incoming is called with each message that comes.
func (j *jobs) incoming(m *dbus.Message) {
	if m.Type != dbus.TypeSignal || m.Headers[dbus.FieldMember].Value() != "JobRemoved" || m.Headers[dbus.FieldInterface].Value() != managerName {
		return
	}
	// Anyone on the bus may send a signal to us alone. One without a
	// destination has come by our match, which names the sender.
	if _, directed := m.Headers[dbus.FieldDestination]; directed && !j.direct {
		return
	}
	var id uint32
	var job dbus.ObjectPath
	var unit, result string
	if dbus.Store(m.Body, &id, &job, &unit, &result) != nil {
		return // of another manager than systemd's
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, w := range j.watchers {
		w.mu.Lock()
		w.results[job] = result
		w.mu.Unlock()
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

func (j *jobs) watch() *watcher {
	w := &watcher{results: map[dbus.ObjectPath]string{}, changed: make(chan struct{}, 1)}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.watchers = append(j.watchers, w)
	return w
}

func (j *jobs) forget(w *watcher) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.watchers {
		if j.watchers[i] == w {
			j.watchers = append(j.watchers[:i], j.watchers[i+1:]...)
			return
		}
	}
}

// wait returns the result of a job, or the end of ctx or of the connection.
func (w *watcher) wait(ctx context.Context, lost <-chan struct{}, job dbus.ObjectPath) (string, error) {
	for {
		var err error
		select {
		case <-w.changed:
		case <-lost:
			err = dbus.ErrClosed
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		w.mu.Lock()
		result, ok := w.results[job]
		w.mu.Unlock()
		if ok || err != nil {
			if ok {
				err = nil
			}
			return result, err
		}
	}
}

// broken says that a call failed because its connection did.
func broken(err error) bool {
	for _, e := range []error{dbus.ErrClosed, net.ErrClosed, io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, e) {
			return true
		}
	}
	return isError(err, "org.freedesktop.DBus.Error.Disconnected")
}
