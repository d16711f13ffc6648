// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"golang.org/x/sys/unix"

	"berth/internal/selfpipe"
	"berth/shim/ociruntime"
)

// listenerFD is the socket that Start made.
const listenerFD = 3

// Serve is the shim: it answers until Shutdown finds no container. It returns
// after the last event was handed over.
func Serve(i *Invocation) error {
	_ = os.Unsetenv("GOMAXPROCS") // ours, not the loggers' and hooks'; cannot fail
	log := openLog(i.Debug)
	listener, err := inherited(i)
	if err != nil {
		return err
	}
	path := listener.Addr().String()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	// Huge pages make a small heap a big one.
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0)
	if err := catchSignals(log); err != nil {
		return err
	}

	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var once sync.Once
	over := make(chan struct{})
	p := newPublisher(ctx, i.Namespace, i.Env("TTRPC_ADDRESS"))
	warn := func(err error) { log.Warn(err.Error(), "namespace", i.Namespace, "id", i.ID) }
	s := NewService(i.Namespace, p.publish, warn, func() { once.Do(func() { close(over) }) })
	server, err := ttrpc.NewServer(ttrpc.WithServerHandshaker(ttrpc.UnixSocketRequireSameUser()),
		ttrpc.WithUnaryServerInterceptor(newIdle().intercept))
	if err != nil {
		return err
	}
	s.Register(server)
	if bundle, err := os.Getwd(); err == nil {
		s.EndOrphan(bundle)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	select {
	case err = <-served:
	case <-over:
		_ = os.Remove(path) // nobody is to find us any more
		stop()
		p.queue.Flush()
		// The answer to Shutdown is on its way.
		last, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err = server.Shutdown(last); errors.Is(err, context.DeadlineExceeded) {
			err = nil // a client that waits for what is over
		}
	}
	return err
}

// catchSignals reaps orphans and dumps stacks when signals ask for it. containerd
// ends us by Shutdown alone: what else would end us is caught, and not ignored,
// which the container would inherit.
func catchSignals(log *slog.Logger) error {
	died, asked := make(chan unix.Signal, 1), make(chan unix.Signal, 1)
	go ociruntime.ReapOrphans(died)
	go dumpStacks(log, asked)
	return errors.Join(selfpipe.Notify(nil, unix.SIGPIPE, unix.SIGHUP, unix.SIGTERM, unix.SIGINT),
		selfpipe.Notify(died, unix.SIGCHLD), selfpipe.Notify(asked, unix.SIGUSR1))
}

// inherited is the listener of Start, or of -socket.
func inherited(i *Invocation) (net.Listener, error) {
	f := os.NewFile(listenerFD, "listener")
	if i.Socket != "" {
		var err error
		if f, err = listen(pathOf(i.Socket)); err != nil {
			return nil, err
		}
	}
	unix.CloseOnExec(int(f.Fd()))
	l, err := net.FileListener(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("no socket to serve: a shim is started with the action start: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it is removed before the last answers
	}
	return l, nil
}

// openLog writes to containerd's fifo in the bundle, and never waits for a
// reader: what nobody takes is lost.
func openLog(debugging bool) *slog.Logger {
	level := slog.LevelInfo
	if debugging {
		level = slog.LevelDebug
	}
	fd, err := unix.Open("log", unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(rawWriter(fd), &slog.HandlerOptions{Level: level}))
}

// rawWriter writes at once or not at all: no poller that would wait.
type rawWriter int

func (w rawWriter) Write(p []byte) (int, error) { return unix.Write(int(w), p) }
