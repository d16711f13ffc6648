// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/containerd/containerd/api/events"
	ttrpcevents "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// daemon takes events as containerd does; it can be stopped and started again.
type daemon struct {
	socket string
	stop   func()

	mu     sync.Mutex
	got    []string
	refuse int // so many of the next ones
}

func (d *daemon) Forward(_ context.Context, r *ttrpcevents.ForwardRequest) (*emptypb.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuse > 0 {
		d.refuse--
		return nil, errors.New("not now")
	}
	var e events.TaskOOM
	if err := proto.Unmarshal(r.Envelope.Event.GetValue(), &e); err != nil {
		return nil, err
	}
	d.got = append(d.got, r.Envelope.Namespace+r.Envelope.Topic+" "+e.ContainerID)
	return &emptypb.Empty{}, nil
}

func (d *daemon) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("unix", d.socket)
	if err != nil {
		t.Fatal(err)
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		t.Fatal(err)
	}
	ttrpcevents.RegisterTTRPCEventsService(server, d)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(context.Background(), l) // it ends by Close
	}()
	d.stop = func() {
		_ = server.Close()
		<-served
	}
}

// TestEventsWaitForADaemonThatIsAway: it is not there at first, refuses, and is
// restarted; all events arrive, in order.
func TestEventsWaitForADaemonThatIsAway(t *testing.T) {
	stop, cancel := context.WithCancel(context.Background())
	defer cancel()
	d := &daemon{socket: filepath.Join(t.TempDir(), "s")}
	p := newPublisher(stop, "ns", d.socket)
	var want []string
	publish := func(n int) {
		for range n {
			id := fmt.Sprint(len(want))
			want = append(want, "ns/tasks/oom "+id)
			p.publish("/tasks/oom", &events.TaskOOM{ContainerID: id})
		}
	}
	arrived := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return slices.Equal(d.got, want)
	}
	publish(20)
	d.start(t)
	eventually(t, "the first events arrive", arrived)
	d.mu.Lock()
	d.refuse = 2
	d.mu.Unlock()
	publish(5)
	eventually(t, "refused events arrive", arrived)
	d.stop()
	publish(20)
	d.start(t)
	defer func() { d.stop() }()
	eventually(t, "events of a restart arrive", arrived)
	p.queue.Flush()
	p.queue.Close()
}

// TestANewDaemonIsToldAtOnce: the first event after a restart finds the old
// connection dead, and does not pause for that.
func TestANewDaemonIsToldAtOnce(t *testing.T) {
	d := &daemon{socket: filepath.Join(t.TempDir(), "s")}
	p := newPublisher(context.Background(), "ns", d.socket)
	defer p.queue.Close()
	for range 2 {
		d.start(t)
		if err := p.once(&ttrpcevents.Envelope{Event: &anypb.Any{}}); err != nil {
			t.Fatal(err)
		}
		d.stop()
	}
}

// TestTheEndDoesNotWaitForADaemonThatIsGone: each event is offered once more.
func TestTheEndDoesNotWaitForADaemonThatIsGone(t *testing.T) {
	stop, cancel := context.WithCancel(context.Background())
	p := newPublisher(stop, "ns", filepath.Join(t.TempDir(), "none"))
	for range 100 {
		p.publish("/tasks/oom", &events.TaskOOM{})
	}
	cancel()
	flushed := make(chan struct{})
	go func() {
		p.queue.Flush()
		close(flushed)
	}()
	eventually(t, "the queue is empty", func() bool { return isClosed(flushed) })
	p.queue.Close()
	newPublisher(stop, "ns", "").publish("/tasks/oom", &events.TaskOOM{}) // to nobody
}
