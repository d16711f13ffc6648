// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"berth/shim/oom"
	"berth/shim/stdio"
	"berth/shim/supervise"
)

// drainTime is how long a delete waits for output that somebody else may still
// write: less than the 10 s that CRI gives an exit event.
const drainTime = 5 * time.Second

// container is a task with what containerd said of it.
type container struct {
	*supervise.Task
	id, bundle string
	runtime    supervise.Runtime
	options    *runcoptions.Options
	mounted    bool

	mu sync.Mutex
	io map[string]stdio.Options // by exec id, "" for init
}

// Service is containerd's Task service for the containers of one shim.
type Service struct {
	namespace string
	publish   func(topic string, event proto.Message)
	warn      func(error)
	// done is called for Shutdown, once no container is left.
	done func()
	// newRuntime is a field so that the service can be tested without containers.
	newRuntime func(id, namespace, bundle string, o *runcoptions.Options, warn func(error)) supervise.Runtime

	mu         sync.Mutex
	containers map[string]*container
	over       bool        // done was called
	lonely     *time.Timer // see EndOrphan
}

// NewService returns the service of a shim without containers. publish must not
// block; done ends the shim.
func NewService(namespace string, publish func(topic string, event proto.Message), warn func(error), done func()) *Service {
	return &Service{
		namespace: namespace, publish: publish, warn: warn, done: done,
		newRuntime: newRuntime, containers: make(map[string]*container),
	}
}

// method adapts one call; what a message says is in its type.
func method[Req, Resp any](f func(context.Context, *Req) (*Resp, error)) ttrpc.Method {
	return func(ctx context.Context, unmarshal func(any) error) (any, error) {
		req := new(Req)
		if err := unmarshal(req); err != nil {
			return nil, err
		}
		resp, err := f(ctx, req)
		if err != nil {
			return nil, coded(err)
		}
		return resp, nil
	}
}

// Register offers the service as both versions. Methods that are not here are
// answered NotImplemented by ttrpc, at which containerd falls back.
func (s *Service) Register(server *ttrpc.Server) {
	methods := map[string]ttrpc.Method{
		"State": method(s.State), "Create": method(s.Create), "Start": method(s.Start), "Delete": method(s.Delete),
		"Pids": method(s.Pids), "Pause": method(s.Pause), "Resume": method(s.Resume), "Checkpoint": method(s.Checkpoint),
		"Kill": method(s.Kill), "Exec": method(s.Exec), "ResizePty": method(s.ResizePty), "CloseIO": method(s.CloseIO),
		"Update": method(s.Update), "Wait": method(s.Wait), "Stats": method(s.Stats), "Connect": method(s.Connect),
		"Shutdown": method(s.Shutdown),
	}
	for _, name := range []string{"containerd.task.v2.Task", "containerd.task.v3.Task"} {
		server.RegisterService(name, &ttrpc.ServiceDesc{Methods: methods})
	}
}

func (s *Service) find(id string) (*container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.containers[id]
	if c == nil || c.Task == nil {
		return nil, fmt.Errorf("container %q: %w", id, supervise.ErrNotFound)
	}
	return c, nil
}

// Create makes a container of a bundle.
func (s *Service) Create(_ context.Context, r *task.CreateTaskRequest) (*task.CreateTaskResponse, error) {
	options, err := decodeOptions(r.Options)
	if err != nil {
		return nil, err
	}
	if r.Checkpoint != "" {
		return nil, fmt.Errorf("restore from a checkpoint: %w", supervise.ErrNotImplemented)
	}
	c := &container{id: r.ID, bundle: r.Bundle, options: options, io: make(map[string]stdio.Options)}
	if err := s.claim(c); err != nil {
		return nil, err
	}
	pid, err := s.create(c, r)
	if err != nil {
		c.unmount()
		s.forget(r.ID)
		return nil, err
	}
	return &task.CreateTaskResponse{Pid: uint32(pid)}, nil
}

// claim takes the id: from here on it is the container's.
func (s *Service) claim(c *container) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over: // nobody would supervise it
		return errOver
	case s.containers[c.id] != nil:
		return fmt.Errorf("container %q: %w", c.id, supervise.ErrExists)
	}
	s.containers[c.id] = c
	if s.lonely != nil {
		s.lonely.Stop()
	}
	return nil
}

func (s *Service) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.containers, id)
	if len(s.containers) == 0 && s.lonely != nil {
		s.lonely.Reset(orphanTime)
	}
}

func (s *Service) create(c *container, r *task.CreateTaskRequest) (int, error) {
	rootfs := filepath.Join(r.Bundle, "rootfs")
	if len(r.Rootfs) > 0 {
		c.mounted = true
		if err := mountAll(rootfs, r.Rootfs); err != nil {
			return 0, err
		}
	}
	if err := saveOptions(r.Bundle, c.options); err != nil {
		return 0, err
	}
	c.runtime = s.newRuntime(c.id, s.namespace, r.Bundle, c.options, s.warn)
	io := stdio.Options{
		Terminal: r.Terminal, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		UID: int(c.options.IoUid), GID: int(c.options.IoGid), ID: c.id, Namespace: s.namespace,
	}
	streams, err := stdio.Open(io)
	if err != nil {
		return 0, err
	}
	c.io[""] = io
	t := supervise.NewTask(supervise.Options{
		Bundle: r.Bundle, Runtime: c.runtime, DrainTime: drainTime, Warn: s.warn, WatchOOM: oom.Watch,
		SharedPIDs: sharedPIDs(r.Bundle),
		Publish:    func(e supervise.Event) { s.publish(translate(c, r, e)) },
	})
	pid, err := t.Create(streams)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Task = t
	return pid, nil
}

// sharedPIDs says that init's end does not end the others: it is no init of a
// pid namespace of its own.
func sharedPIDs(bundle string) bool {
	var config struct {
		Linux struct {
			Namespaces []struct{ Type, Path string }
		}
	}
	if data, err := os.ReadFile(filepath.Join(bundle, "config.json")); err != nil || json.Unmarshal(data, &config) != nil {
		return false // Create will say it
	}
	for _, n := range config.Linux.Namespaces {
		if n.Type == "pid" {
			return n.Path != ""
		}
	}
	return true
}

// Start starts init or an exec.
func (s *Service) Start(_ context.Context, r *task.StartRequest) (*task.StartResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	pid, err := c.Task.Start(r.ExecID)
	if err != nil {
		return nil, err
	}
	return &task.StartResponse{Pid: uint32(pid)}, nil
}

// Delete removes what has ended.
func (s *Service) Delete(_ context.Context, r *task.DeleteRequest) (*task.DeleteResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	x, err := c.Task.Delete(r.ExecID)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	delete(c.io, r.ExecID)
	c.mu.Unlock()
	if r.ExecID == "" {
		c.unmount()
		s.forget(r.ID)
	}
	return &task.DeleteResponse{Pid: uint32(x.Pid), ExitStatus: uint32(x.Status), ExitedAt: timestamp(x.At)}, nil
}

// Exec registers a process.
func (s *Service) Exec(_ context.Context, r *task.ExecProcessRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	var spec specs.Process
	if r.ExecID == "" || r.Spec == nil {
		return nil, fmt.Errorf("exec needs an id and a spec: %w", errInvalid)
	}
	if err := json.Unmarshal(r.Spec.Value, &spec); err != nil {
		return nil, fmt.Errorf("the spec of exec %q: %w: %w", r.ExecID, err, errInvalid)
	}
	spec.Terminal = r.Terminal
	io := stdio.Options{
		Terminal: r.Terminal, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr,
		UID: int(c.options.IoUid), GID: int(c.options.IoGid), ID: c.id, Namespace: s.namespace,
	}
	streams, err := stdio.Open(io)
	if err != nil {
		return nil, err
	}
	if err := c.AddExec(r.ExecID, &spec, streams); err != nil {
		streams.Begun()
		streams.Close()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.io[r.ExecID] = io
	return &emptypb.Empty{}, nil
}

// State answers from memory.
func (s *Service) State(_ context.Context, r *task.StateRequest) (*task.StateResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	x, err := c.Exit(r.ExecID)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	io := c.io[r.ExecID]
	c.mu.Unlock()
	resp := &task.StateResponse{
		ID: c.id, Bundle: c.bundle, Pid: uint32(x.Pid), Status: c.status(r.ExecID), Stdin: io.Stdin, Stdout: io.Stdout, Stderr: io.Stderr,
		Terminal: io.Terminal, ExitStatus: uint32(x.Status), ExitedAt: timestamp(x.At), ExecID: r.ExecID,
	}
	if r.ExecID != "" {
		resp.ID = r.ExecID // as containerd's own shim: the process's id
	}
	return resp, nil
}

func (c *container) status(id string) tasktypes.Status {
	switch c.Task.State(id) {
	case supervise.Creating, supervise.Created, supervise.Starting:
		return tasktypes.Status_CREATED
	case supervise.Running:
		if c.IsPaused() {
			return tasktypes.Status_PAUSED
		}
		return tasktypes.Status_RUNNING
	case supervise.Exited:
		return tasktypes.Status_RUNNING
	}
	return tasktypes.Status_STOPPED
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// Wait waits until the end of a process was told.
func (s *Service) Wait(ctx context.Context, r *task.WaitRequest) (*task.WaitResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	x, err := c.Task.Wait(ctx, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &task.WaitResponse{ExitStatus: uint32(x.Status), ExitedAt: timestamp(x.At)}, nil
}

// Kill signals.
func (s *Service) Kill(_ context.Context, r *task.KillRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, c.Task.Kill(r.ExecID, unix.Signal(r.Signal), r.All)
}

// Pids lists processes; those of execs say so.
func (s *Service) Pids(_ context.Context, r *task.PidsRequest) (*task.PidsResponse, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	pids, err := c.runtime.Pids()
	if c.State("") == supervise.Stopped {
		// Like a zombie, until it is deleted. A containerd that comes back takes
		// a task without processes for the rest of a failed create and removes
		// it, with an end and output that it has not heard of.
		x, _ := c.Exit("")
		if !slices.Contains(pids, x.Pid) {
			pids, err = append(pids, x.Pid), nil
		}
	}
	if err != nil {
		return nil, err
	}
	execs := c.Execs()
	resp := &task.PidsResponse{}
	for _, pid := range pids {
		info := &tasktypes.ProcessInfo{Pid: uint32(pid)}
		if id, ok := execs[pid]; ok {
			if info.Info, err = anyOf(&runcoptions.ProcessDetails{ExecID: id}); err != nil {
				return nil, err
			}
		}
		resp.Processes = append(resp.Processes, info)
	}
	return resp, nil
}

// anyOf wraps a message as typeurl does: without a host in its URL.
func anyOf(m proto.Message) (*anypb.Any, error) {
	value, err := proto.Marshal(m)
	return &anypb.Any{TypeUrl: string(m.ProtoReflect().Descriptor().FullName()), Value: value}, err
}

// Pause stops all processes.
func (s *Service) Pause(_ context.Context, r *task.PauseRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, c.Task.Pause()
}

// Resume lets them go on.
func (s *Service) Resume(_ context.Context, r *task.ResumeRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, c.Task.Resume()
}

// ResizePty sets a terminal's size.
func (s *Service) ResizePty(_ context.Context, r *task.ResizePtyRequest) (*emptypb.Empty, error) {
	streams, err := s.streams(r.ID, r.ExecID)
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, streams.Resize(uint16(r.Width), uint16(r.Height))
}

// CloseIO closes our end of stdin.
func (s *Service) CloseIO(_ context.Context, r *task.CloseIORequest) (*emptypb.Empty, error) {
	streams, err := s.streams(r.ID, r.ExecID)
	if err != nil || !r.Stdin {
		return &emptypb.Empty{}, err
	}
	return &emptypb.Empty{}, streams.CloseStdin()
}

func (s *Service) streams(id, exec string) (supervise.Streams, error) {
	c, err := s.find(id)
	if err != nil {
		return nil, err
	}
	return c.Streams(exec)
}

// Update changes limits.
func (s *Service) Update(_ context.Context, r *task.UpdateTaskRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	var resources specs.LinuxResources
	if r.Resources == nil {
		return nil, fmt.Errorf("update without resources: %w", errInvalid)
	}
	if err := json.Unmarshal(r.Resources.Value, &resources); err != nil {
		return nil, fmt.Errorf("resources: %w: %w", err, errInvalid)
	}
	return &emptypb.Empty{}, c.runtime.Update(&resources)
}

// Connect is the first thing that containerd asks.
func (s *Service) Connect(_ context.Context, r *task.ConnectRequest) (*task.ConnectResponse, error) {
	resp := &task.ConnectResponse{ShimPid: uint32(os.Getpid())}
	if c, err := s.find(r.ID); err == nil {
		x, _ := c.Exit("")
		resp.TaskPid = uint32(x.Pid)
	}
	return resp, nil
}

// Checkpoint passes the options on.
func (s *Service) Checkpoint(_ context.Context, r *task.CheckpointTaskRequest) (*emptypb.Empty, error) {
	c, err := s.find(r.ID)
	if err != nil {
		return nil, err
	}
	o := &runcoptions.CheckpointOptions{}
	if r.Options != nil {
		if err := proto.Unmarshal(r.Options.Value, o); err != nil {
			return nil, fmt.Errorf("checkpoint options: %w: %w", err, errInvalid)
		}
	}
	return &emptypb.Empty{}, c.runtime.Checkpoint(supervise.CheckpointOptions{
		Exit: o.Exit, OpenTCP: o.OpenTcp, ExternalUnixSockets: o.ExternalUnixSockets, Terminal: o.Terminal, FileLocks: o.FileLocks,
		EmptyNamespaces: o.EmptyNamespaces, CgroupsMode: o.CgroupsMode, ImagePath: r.Path, WorkPath: o.WorkPath, ParentPath: o.ParentPath,
	})
}

// Shutdown ends the shim when no container is left.
func (s *Service) Shutdown(context.Context, *task.ShutdownRequest) (*emptypb.Empty, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.containers) == 0 {
		s.over = true
		s.done()
	}
	return &emptypb.Empty{}, nil
}

var (
	errInvalid = errors.New("invalid argument")
	errOver    = errors.New("the shim is shutting down")
)
