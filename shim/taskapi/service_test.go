// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/api/events"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	tasktypes "github.com/containerd/containerd/api/types/task"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"berth/shim/supervise"
)

// describe is an event in a word or two.
func describe(e published) string {
	switch m := e.event.(type) {
	case *events.TaskExecAdded:
		return e.topic + " " + m.ExecID
	case *events.TaskExecStarted:
		return fmt.Sprintf("%s %s pid+%d", e.topic, m.ExecID, m.Pid-firstPid)
	case *events.TaskExit:
		return fmt.Sprintf("%s %s %d", e.topic, m.ID, m.ExitStatus)
	case *events.TaskDelete:
		return fmt.Sprintf("%s %s %d", e.topic, m.ID, m.ExitStatus)
	}
	return e.topic
}

func jsonAny(t *testing.T, v any) *anypb.Any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return &anypb.Any{TypeUrl: "types.containerd.io/opencontainers/runtime-spec/1/Process", Value: data}
}

// addExec registers an exec without streams.
func addExec(r *rig, id, exec string) {
	r.t.Helper()
	must[emptypb.Empty](r, "Exec", &task.ExecProcessRequest{ID: id, ExecID: exec, Spec: jsonAny(r.t, specs.Process{Args: []string{"true"}})})
}

// TestALife goes through every call, in the order in which containerd makes them.
func TestALife(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		bundle := r.bundle("web")
		connect := must[task.ConnectResponse](r, "Connect", &task.ConnectRequest{ID: "web"})
		if connect.ShimPid != uint32(os.Getpid()) || connect.TaskPid != 0 {
			t.Errorf("connect before create: %v", connect)
		}
		if made := must[task.CreateTaskResponse](r, "Create", &task.CreateTaskRequest{ID: "web", Bundle: bundle}); made.Pid != firstPid {
			t.Errorf("create: %v", made)
		}
		state(r, "web", "", tasktypes.Status_CREATED, firstPid)
		if begun := must[task.StartResponse](r, "Start", &task.StartRequest{ID: "web"}); begun.Pid != firstPid {
			t.Errorf("start: %v", begun)
		}
		if connect = must[task.ConnectResponse](r, "Connect", &task.ConnectRequest{ID: "web"}); connect.TaskPid != firstPid {
			t.Errorf("connect: %v", connect)
		}
		full := state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
		if full.Bundle != bundle || full.ID != "web" || full.ExitedAt != nil {
			t.Errorf("state: %v", full)
		}
		lifeOfAnExec(t, r)
		lifeOfTheRest(t, r)

		must[emptypb.Empty](r, "Shutdown", &task.ShutdownRequest{ID: "web"})
		if r.fake("web").called("Delete") || isClosed(r.done) {
			t.Error("shutdown with a container left")
		}
		must[emptypb.Empty](r, "Kill", &task.KillRequest{ID: "web", Signal: uint32(unix.SIGKILL), All: true})
		ended := must[task.WaitResponse](r, "Wait", &task.WaitRequest{ID: "web"})
		if ended.ExitStatus != 137 || ended.ExitedAt == nil {
			t.Errorf("wait: %v", ended)
		}
		last := state(r, "web", "", tasktypes.Status_STOPPED, firstPid)
		if last.ExitStatus != 137 || !proto.Equal(last.ExitedAt, ended.ExitedAt) {
			t.Errorf("state after the end: %v", last)
		}
		gone := must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web"})
		if gone.Pid != firstPid || gone.ExitStatus != 137 || !proto.Equal(gone.ExitedAt, ended.ExitedAt) {
			t.Errorf("delete: %v", gone)
		}
		must[emptypb.Empty](r, "Shutdown", &task.ShutdownRequest{ID: "web"})
		if !isClosed(r.done) {
			t.Error("shutdown without a container does not end the shim")
		}
		want := []string{
			"/tasks/create", "/tasks/start", "/tasks/exec-added sh", "/tasks/exec-started sh pid+1", "/tasks/exit sh 143",
			"/tasks/paused", "/tasks/resumed", "/tasks/exit web 137", "/tasks/delete web 137",
		}
		if got := r.topics(); !slices.Equal(got, want) {
			t.Errorf("events:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// state asks for one and compares what is in every answer.
func state(r *rig, id, exec string, want tasktypes.Status, pid uint32) *task.StateResponse {
	r.t.Helper()
	got := must[task.StateResponse](r, "State", &task.StateRequest{ID: id, ExecID: exec})
	if got.Status != want || got.Pid != pid || got.ExecID != exec {
		r.t.Errorf("state of %q %q: %v, pid %d, want %v, %d", id, exec, got.Status, got.Pid, want, pid)
	}
	return got
}

func lifeOfAnExec(t *testing.T, r *rig) {
	t.Helper()
	spec := specs.Process{Args: []string{"sh", "-c", "exit"}, Cwd: "/tmp"}
	must[emptypb.Empty](r, "Exec", &task.ExecProcessRequest{ID: "web", ExecID: "sh", Spec: jsonAny(t, spec)})
	if s := state(r, "web", "sh", tasktypes.Status_CREATED, 0); s.ID != "sh" {
		t.Errorf("the exec's state is of %q", s.ID)
	}
	begun := must[task.StartResponse](r, "Start", &task.StartRequest{ID: "web", ExecID: "sh"})
	if begun.Pid != firstPid+1 || r.fake("web").spec.Cwd != "/tmp" {
		t.Errorf("start of the exec: %v, spec %+v", begun, r.fake("web").spec)
	}
	state(r, "web", "sh", tasktypes.Status_RUNNING, firstPid+1)
	pids := must[task.PidsResponse](r, "Pids", &task.PidsRequest{ID: "web"})
	if len(pids.Processes) != 2 || pids.Processes[0].Info != nil {
		t.Fatalf("pids: %v", pids)
	}
	var details runcoptions.ProcessDetails
	info := pids.Processes[1].Info
	if info.GetTypeUrl() != "containerd.runc.v1.ProcessDetails" || proto.Unmarshal(info.GetValue(), &details) != nil || details.ExecID != "sh" {
		t.Errorf("the exec's pid: %v", pids.Processes[1])
	}
	must[emptypb.Empty](r, "Kill", &task.KillRequest{ID: "web", ExecID: "sh", Signal: uint32(unix.SIGTERM)})
	if ended := must[task.WaitResponse](r, "Wait", &task.WaitRequest{ID: "web", ExecID: "sh"}); ended.ExitStatus != 143 {
		t.Errorf("wait for the exec: %v", ended)
	}
	state(r, "web", "sh", tasktypes.Status_STOPPED, firstPid+1)
	if gone := must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web", ExecID: "sh"}); gone.ExitStatus != 143 || gone.Pid != firstPid+1 {
		t.Errorf("delete of the exec: %v", gone)
	}
	state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
}

// lifeOfTheRest has the calls that only pass something on.
func lifeOfTheRest(t *testing.T, r *rig) {
	t.Helper()
	must[emptypb.Empty](r, "Pause", &task.PauseRequest{ID: "web"})
	state(r, "web", "", tasktypes.Status_PAUSED, firstPid)
	must[emptypb.Empty](r, "Resume", &task.ResumeRequest{ID: "web"})
	state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
	limit := int64(99)
	must[emptypb.Empty](r, "Update", &task.UpdateTaskRequest{ID: "web", Resources: jsonAny(t, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}})})
	if got := r.fake("web").resources; got.Pids == nil || *got.Pids.Limit != 99 {
		t.Errorf("update passed on %+v", got)
	}
	o := wrap(t, &runcoptions.CheckpointOptions{Exit: true, FileLocks: true, EmptyNamespaces: []string{"network"}, WorkPath: "/w", CgroupsMode: "soft"})
	must[emptypb.Empty](r, "Checkpoint", &task.CheckpointTaskRequest{ID: "web", Path: "/image", Options: o})
	want := supervise.CheckpointOptions{Exit: true, FileLocks: true, EmptyNamespaces: []string{"network"}, WorkPath: "/w", CgroupsMode: "soft", ImagePath: "/image"}
	if got := r.fake("web").checkpoint; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("checkpoint passed on %+v", got)
	}
	must[emptypb.Empty](r, "ResizePty", &task.ResizePtyRequest{ID: "web", Width: 80, Height: 24}) // without a terminal: nothing
	must[emptypb.Empty](r, "CloseIO", &task.CloseIORequest{ID: "web", Stdin: true})
}

func TestStatsOfOurOwnCgroup(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		r.fake("web").pid = os.Getpid()
		r.create("web")
		resp, err := call[task.StatsResponse](r, r.client, patience, "Stats", &task.StatsRequest{ID: "web"})
		if err != nil {
			t.Skipf("this process's cgroup cannot be read: %v", err)
		}
		if name := resp.Stats.GetTypeUrl(); name != "io.containerd.cgroups.v1.Metrics" && name != "io.containerd.cgroups.v2.Metrics" {
			t.Errorf("metrics of type %q", name)
		}
		r.end("web", 0)
		refused[task.StatsResponse](r, "stats after the end", "Stats", &task.StatsRequest{ID: "web"}, codes.NotFound)
	})
}

func TestTerminalIsResizedAndStdinClosed(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		fifo := filepath.Join(r.dir, "in")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		must[task.CreateTaskResponse](r, "Create", &task.CreateTaskRequest{ID: "pipe", Bundle: r.bundle("pipe"), Stdin: fifo})
		stdin := r.fake("pipe").first().stdin
		eof := make(chan error, 1)
		go func() {
			data, err := io.ReadAll(stdin)
			if len(data) > 0 {
				err = fmt.Errorf("read %q", data)
			}
			eof <- err
		}()
		must[emptypb.Empty](r, "CloseIO", &task.CloseIORequest{ID: "pipe"}) // nothing is to be closed
		select {
		case err := <-eof:
			t.Errorf("stdin ended before CloseIO: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
		must[emptypb.Empty](r, "CloseIO", &task.CloseIORequest{ID: "pipe", Stdin: true})
		select {
		case err := <-eof:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("no EOF after CloseIO")
		}
		r.end("pipe", 0)

		must[task.CreateTaskResponse](r, "Create", &task.CreateTaskRequest{ID: "tty", Bundle: r.bundle("tty"), Terminal: true})
		must[emptypb.Empty](r, "ResizePty", &task.ResizePtyRequest{ID: "tty", Width: 132, Height: 43})
		size, err := unix.IoctlGetWinsize(int(r.fake("tty").first().tty.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col != 132 || size.Row != 43 {
			t.Errorf("size %+v, %v", size, err)
		}
		if s := must[task.StateResponse](r, "State", &task.StateRequest{ID: "tty"}); !s.Terminal {
			t.Errorf("state: %v", s)
		}
		r.end("tty", 0)
	})
}

func TestWaitBeforeAndAfterTheEnd(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		r.run("web")
		const waiters = 8
		type answer struct {
			*task.WaitResponse
			error
		}
		got := make(chan answer, waiters)
		for range waiters {
			go func() {
				x, err := call[task.WaitResponse](r, r.client, patience, "Wait", &task.WaitRequest{ID: "web"})
				got <- answer{x, err}
			}()
		}
		select {
		case a := <-got:
			t.Errorf("an answer before the end: %v", a)
		case <-time.After(20 * time.Millisecond):
		}
		r.fake("web").first().end(7)
		for range waiters {
			if a := <-got; a.error != nil || a.ExitStatus != 7 || a.ExitedAt == nil {
				t.Errorf("wait: %v, %v", a.WaitResponse, a.error)
			}
		}
		if x := must[task.WaitResponse](r, "Wait", &task.WaitRequest{ID: "web"}); x.ExitStatus != 7 {
			t.Errorf("wait after the end: %v", x)
		}
	})
}

// TestAWaitEndsWithItsClient: containerd restarts while it waits for everything.
func TestAWaitEndsWithItsClient(t *testing.T) {
	r := newRig(t, serviceNames[0])
	r.run("web")
	for range 20 {
		c := r.connect()
		waits := make(chan error)
		go func() {
			waits <- c.Call(context.Background(), r.name, "Wait", &task.WaitRequest{ID: "web"}, &task.WaitResponse{})
		}()
		eventually(t, "the shim waits", func() bool { return standing("supervise.(*Task).Wait") == 1 })
		_ = c.Close()
		if err := <-waits; err == nil {
			t.Error("a wait of a closed client was answered")
		}
		eventually(t, "the shim does not wait any more", func() bool { return standing("supervise.(*Task).Wait") == 0 })
	}
	state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
}

func TestARuntimesErrorIsToldAndAskedAgain(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		f := r.fake("web")
		f.breaks("Create", errors.New("exec: \"nginx\": not there"))
		err := refused[task.CreateTaskResponse](r, "create", "Create", &task.CreateTaskRequest{ID: "web", Bundle: r.bundle("web")}, codes.Unknown)
		if s := status.Convert(err).Message(); s != "exec: \"nginx\": not there" {
			t.Errorf("message %q", s)
		}
		refused[task.StateResponse](r, "state of what was not created", "State", &task.StateRequest{ID: "web"}, codes.NotFound)
		f.breaks("Create", nil)
		r.create("web") // the id is free
		f.breaks("Start", errors.New("a hook failed"))
		refused[task.StartResponse](r, "start", "Start", &task.StartRequest{ID: "web"}, codes.Unknown)
		f.breaks("Start", nil)
		must[task.StartResponse](r, "Start", &task.StartRequest{ID: "web"})

		addExec(r, "web", "one")
		f.breaks("Exec", errors.New("no such file"))
		refused[task.StartResponse](r, "start of an exec", "Start", &task.StartRequest{ID: "web", ExecID: "one"}, codes.Unknown)
		if x := must[task.WaitResponse](r, "Wait", &task.WaitRequest{ID: "web", ExecID: "one"}); x.ExitStatus != supervise.NeverRan {
			t.Errorf("wait for an exec that did not start: %v", x)
		}
		must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web", ExecID: "one"})

		for _, m := range []struct {
			call    string
			request any
		}{
			{"Pause", &task.PauseRequest{ID: "web"}}, {"Resume", &task.ResumeRequest{ID: "web"}}, {"Pids", &task.PidsRequest{ID: "web"}},
			{"Kill", &task.KillRequest{ID: "web", Signal: 15}}, {"Update", &task.UpdateTaskRequest{ID: "web", Resources: jsonAny(t, specs.LinuxResources{})}},
		} {
			f.breaks(m.call, errors.New("it broke"))
			refused[emptypb.Empty](r, m.call, m.call, m.request, codes.Unknown)
		}
		f.breaks("Checkpoint", fmt.Errorf("no checkpoint: %w", supervise.ErrNotImplemented))
		refused[emptypb.Empty](r, "checkpoint", "Checkpoint", &task.CheckpointTaskRequest{ID: "web"}, codes.Unimplemented)
		state(r, "web", "", tasktypes.Status_RUNNING, firstPid)

		r.end("web", 0)
		f.breaks("Delete", errors.New("device or resource busy"))
		refused[task.DeleteResponse](r, "delete", "Delete", &task.DeleteRequest{ID: "web"}, codes.Unknown)
		f.breaks("Delete", nil)
		must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web"})
	})
}

// A containerd that was away while a task ended finds it, and not the rest of a
// failed create.
func TestAnEndedTaskHasItsPidUntilItIsDeleted(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		r.run("web")
		f := r.fake("web")
		r.end("web", 3)
		f.mu.Lock()
		f.pid = firstPid // its cgroup is empty
		f.mu.Unlock()
		pids := must[task.PidsResponse](r, "Pids", &task.PidsRequest{ID: "web"})
		if len(pids.Processes) != 1 || pids.Processes[0].Pid != firstPid {
			t.Errorf("pids: %v", pids)
		}
	})
}

// After the answer to Shutdown nobody would supervise a container.
func TestNoContainerAfterShutdown(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		must[emptypb.Empty](r, "Shutdown", &task.ShutdownRequest{})
		refused[task.CreateTaskResponse](r, "create", "Create", &task.CreateTaskRequest{ID: "late", Bundle: r.bundle("late")}, codes.Unavailable)
		if r.fake("late").called("Create") {
			t.Error("the runtime was asked")
		}
	})
}
