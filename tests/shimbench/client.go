// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/containerd/containerd/api/events"
	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"github.com/containerd/containerd/api/types"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// client speaks containerd's gRPC, without the generated stubs: the module is
// built with the tag no_grpc.
type client struct {
	conn      *grpc.ClientConn
	namespace string

	mu    sync.Mutex
	exits map[string]chan exit // by container, while somebody waits
}

// exit is an exit event and when it came.
type exit struct {
	status uint32
	at     time.Time
}

const (
	containers = "/containerd.services.containers.v1.Containers/"
	tasks      = "/containerd.services.tasks.v1.Tasks/"
)

// connect waits for containerd to answer, until it has ended, and subscribes to
// its exit events.
func connect(ctx context.Context, socket, namespace string, ended <-chan struct{}) (*client, error) {
	conn, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, namespace: namespace, exits: map[string]chan exit{}}
	up, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	go func() {
		select {
		case <-ended:
			cancel() // there will be no answer
		case <-up.Done():
		}
	}()
	err = conn.Invoke(up, "/containerd.services.version.v1.Version/Version", &emptypb.Empty{}, &versionapi.VersionResponse{}, grpc.WaitForReady(true))
	if err == nil {
		err = c.subscribe(context.Background())
	}
	if err != nil {
		_ = conn.Close() // the first error counts
		return nil, fmt.Errorf("containerd does not answer: %w", err)
	}
	return c, nil
}

// in adds the namespace that a call is about.
func (c *client) in(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "containerd-namespace", c.namespace)
}

func (c *client) call(ctx context.Context, method string, req, resp proto.Message) error {
	if err := c.conn.Invoke(c.in(ctx), method, req, resp); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(method), err)
	}
	return nil
}

// subscribe returns when exit events come in: nothing answers a subscription,
// so an event of our own is published until it is among them.
func (c *client) subscribe(ctx context.Context) error {
	const service, topic = "/containerd.services.events.v1.Events/", "/shimbench/ready"
	stream, err := c.conn.NewStream(c.in(ctx), &grpc.StreamDesc{ServerStreams: true}, service+"Subscribe")
	if err != nil {
		return err
	}
	req := &eventsapi.SubscribeRequest{Filters: []string{`topic=="/tasks/exit"`, fmt.Sprintf("topic==%q", topic)}}
	if err := errors.Join(stream.SendMsg(req), stream.CloseSend()); err != nil {
		return err
	}
	ready := make(chan struct{})
	go func() {
		for begun := false; ; {
			e := &types.Envelope{}
			if stream.RecvMsg(e) != nil {
				return // containerd has ended: whoever waits gives up by himself
			}
			if e.Topic == topic && !begun {
				begun = true
				close(ready)
			}
			c.note(e, time.Now())
		}
	}()
	event, err := anypb.New(&emptypb.Empty{})
	if err != nil {
		return err
	}
	for range 100 {
		if err := c.call(ctx, service+"Publish", &eventsapi.PublishRequest{Topic: topic, Event: event}, &emptypb.Empty{}); err != nil {
			return err
		}
		select {
		case <-ready:
			return nil
		case <-time.After(50 * time.Millisecond):
		}
	}
	return errors.New("no event comes")
}

// note passes an exit event on.
func (c *client) note(e *types.Envelope, at time.Time) {
	var x events.TaskExit
	if e.Topic != "/tasks/exit" || proto.Unmarshal(e.Event.GetValue(), &x) != nil || x.ID != x.ContainerID {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait := c.exits[x.ContainerID]; wait != nil {
		wait <- exit{x.ExitStatus, at}
		delete(c.exits, x.ContainerID)
	}
}

// expect is to be called before what it waits for can happen.
func (c *client) expect(id string) <-chan exit {
	wait := make(chan exit, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exits[id] = wait
	return wait
}

// spec is the config of a container.
func (c *client) spec(ctx context.Context, id string) (*specs.Spec, error) {
	var resp containersapi.GetContainerResponse
	if err := c.call(ctx, containers+"Get", &containersapi.GetContainerRequest{ID: id}, &resp); err != nil {
		return nil, err
	}
	s := &specs.Spec{}
	return s, json.Unmarshal(resp.Container.GetSpec().GetValue(), s)
}

// addContainer makes containerd's record of a container; nothing runs yet.
func (c *client) addContainer(ctx context.Context, id, runtime string, spec *specs.Spec) error {
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return c.call(ctx, containers+"Create", &containersapi.CreateContainerRequest{Container: &containersapi.Container{
		ID: id, Runtime: &containersapi.Container_Runtime{Name: runtime},
		Spec: &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Spec", Value: data},
	}}, &containersapi.CreateContainerResponse{})
}

// streams are the fifos of a container's output, which an engine reads.
type streams struct {
	out, err string
	files    []*os.File
}

func openStreams(dir, id string) (*streams, error) {
	s := &streams{out: filepath.Join(dir, id+"-out"), err: filepath.Join(dir, id+"-err")}
	for _, path := range []string{s.out, s.err} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			s.close()
			return nil, os.NewSyscallError("mkfifo", err)
		}
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0) // as a reader: `true` and `sleep` write nothing
		if err != nil {
			s.close()
			return nil, err
		}
		s.files = append(s.files, f)
	}
	return s, nil
}

func (s *streams) close() {
	for _, f := range s.files {
		_ = f.Close()           // nothing was written
		_ = os.Remove(f.Name()) // the directory goes anyway
	}
}

// create makes a task, which starts its shim, and returns the pid of its init.
func (c *client) create(ctx context.Context, id string, s *streams) (int, error) {
	var resp tasksapi.CreateTaskResponse
	err := c.call(ctx, tasks+"Create", &tasksapi.CreateTaskRequest{ContainerID: id, Stdout: s.out, Stderr: s.err}, &resp)
	return int(resp.Pid), err
}

func (c *client) start(ctx context.Context, id string) error {
	return c.call(ctx, tasks+"Start", &tasksapi.StartRequest{ContainerID: id}, &tasksapi.StartResponse{})
}

func (c *client) delete(ctx context.Context, id string) error {
	return c.call(ctx, tasks+"Delete", &tasksapi.DeleteTaskRequest{ContainerID: id}, &tasksapi.DeleteResponse{})
}

// run is a task's life, from the create call to the exit event.
func (c *client) run(ctx context.Context, id string, s *streams) (time.Duration, error) {
	wait := c.expect(id)
	begin := time.Now()
	if _, err := c.create(ctx, id, s); err != nil {
		return 0, err
	}
	if err := c.start(ctx, id); err != nil {
		return 0, err
	}
	x, err := await(ctx, wait)
	if err == nil && x.status != 0 {
		err = fmt.Errorf("%s: the container's status is %d", id, x.status)
	}
	return x.at.Sub(begin), err
}

func await(ctx context.Context, wait <-chan exit) (exit, error) {
	select {
	case x := <-wait:
		return x, nil
	case <-ctx.Done():
		return exit{}, ctx.Err()
	case <-time.After(20 * time.Second):
		return exit{}, errors.New("no exit event")
	}
}

// end kills a task and deletes it.
func (c *client) end(ctx context.Context, id string) error {
	wait := c.expect(id)
	req := &tasksapi.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL), All: true}
	if c.call(ctx, tasks+"Kill", req, &emptypb.Empty{}) == nil { // else it has ended
		if _, err := await(ctx, wait); err != nil {
			return err
		}
	}
	return c.delete(ctx, id)
}

// endAll ends what runs still.
func (c *client) endAll(ctx context.Context) error {
	var resp tasksapi.ListTasksResponse
	err := c.call(ctx, tasks+"List", &tasksapi.ListTasksRequest{}, &resp)
	for _, t := range resp.Tasks {
		err = errors.Join(err, c.end(ctx, t.ID))
	}
	return err
}
