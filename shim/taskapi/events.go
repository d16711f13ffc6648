// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/containerd/containerd/api/events"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	ttrpcevents "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/ttrpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"berth/shim/supervise"
)

// translate makes containerd's event of one of a task, with its topic.
func translate(c *container, r *task.CreateTaskRequest, e supervise.Event) (string, proto.Message) {
	pid, exec := uint32(e.Exit.Pid), e.Exec
	id := exec
	if id == "" {
		id = c.id
	}
	switch e.Kind {
	case supervise.Create:
		return "/tasks/create", &events.TaskCreate{
			ContainerID: c.id, Bundle: c.bundle, Rootfs: r.Rootfs, Checkpoint: r.Checkpoint, Pid: pid,
			IO: &events.TaskIO{Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Terminal: r.Terminal},
		}
	case supervise.Start:
		if exec != "" {
			return "/tasks/exec-started", &events.TaskExecStarted{ContainerID: c.id, ExecID: exec, Pid: pid}
		}
		return "/tasks/start", &events.TaskStart{ContainerID: c.id, Pid: pid}
	case supervise.ExecAdded:
		return "/tasks/exec-added", &events.TaskExecAdded{ContainerID: c.id, ExecID: exec}
	case supervise.OOM:
		return "/tasks/oom", &events.TaskOOM{ContainerID: c.id}
	case supervise.Paused:
		return "/tasks/paused", &events.TaskPaused{ContainerID: c.id}
	case supervise.Resumed:
		return "/tasks/resumed", &events.TaskResumed{ContainerID: c.id}
	case supervise.Ends:
		return "/tasks/exit", &events.TaskExit{
			ContainerID: c.id, ID: id, Pid: pid, ExitStatus: uint32(e.Exit.Status), ExitedAt: timestamp(e.Exit.At),
		}
	case supervise.Delete:
		return "/tasks/delete", &events.TaskDelete{
			ContainerID: c.id, ID: id, Pid: pid, ExitStatus: uint32(e.Exit.Status), ExitedAt: timestamp(e.Exit.At),
		}
	}
	panic("BUG: an event without a name")
}

// How long a daemon that is not there is waited for: an event is offered again
// after growing pauses, in order, until it is taken.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	callTime   = 5 * time.Second
)

// publisher forwards events to containerd, in order and without loss while the
// shim lives.
type publisher struct {
	namespace, address string
	queue              *supervise.Queue[*ttrpcevents.Envelope]
	client             *ttrpc.Client
	stop               context.Context
}

// newPublisher sends to containerd's ttrpc socket; "" is nobody. After stop has
// ended, an event is offered once more and then given up.
func newPublisher(stop context.Context, namespace, address string) *publisher {
	p := &publisher{namespace: namespace, address: address, stop: stop}
	p.queue = supervise.NewQueue(p.forward)
	return p
}

// publish does not block.
func (p *publisher) publish(topic string, event proto.Message) {
	if p.address == "" {
		return
	}
	any, err := anyOf(event)
	if err != nil {
		return // a message of ours can be written
	}
	p.queue.Put(&ttrpcevents.Envelope{Timestamp: timestamppb.Now(), Namespace: p.namespace, Topic: topic, Event: any})
}

func (p *publisher) forward(e *ttrpcevents.Envelope) {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		if p.once(e) == nil {
			return
		}
		select {
		case <-p.stop.Done():
			_ = p.once(e) // the last chance
			return
		case <-time.After(pause):
		}
	}
}

// once offers an event; if the daemon behind an old connection is gone, to the
// new one at once. dockerd takes what comes late, such as "paused" after the
// resume that it asked for itself, for the container's state.
func (p *publisher) once(e *ttrpcevents.Envelope) error {
	old := p.client != nil
	err := p.offer(e)
	if old && errors.Is(err, ttrpc.ErrClosed) {
		err = p.offer(e)
	}
	return err
}

func (p *publisher) offer(e *ttrpcevents.Envelope) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	if p.client == nil {
		conn, err := dial(ctx, p.address)
		if err != nil {
			return err
		}
		p.client = ttrpc.NewClient(conn)
	}
	_, err := ttrpcevents.NewTTRPCEventsClient(p.client).Forward(ctx, &ttrpcevents.ForwardRequest{Envelope: e})
	if err != nil {
		_ = p.client.Close() // perhaps the daemon is a new one
		p.client = nil
	}
	return err
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(address, "unix://"))
}
