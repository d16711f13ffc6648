// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"fmt"
	"testing"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// attempt is one call that must be answered with a code.
type attempt struct {
	method  string
	request any
	want    codes.Code
}

func (a attempt) String() string { return fmt.Sprintf("%s %v", a.method, a.request) }

func (a attempt) try(r *rig) {
	r.t.Helper()
	refused[emptypb.Empty](r, a.String(), a.method, a.request, a.want)
}

// aboutOne are the calls about one container, or an exec where exec is not "".
func aboutOne(t *testing.T, id, exec string, want codes.Code) []attempt {
	t.Helper()
	list := []attempt{
		{"Start", &task.StartRequest{ID: id, ExecID: exec}, want},
		{"State", &task.StateRequest{ID: id, ExecID: exec}, want},
		{"Delete", &task.DeleteRequest{ID: id, ExecID: exec}, want},
		{"Wait", &task.WaitRequest{ID: id, ExecID: exec}, want},
		{"Kill", &task.KillRequest{ID: id, ExecID: exec, Signal: 15}, want},
		{"ResizePty", &task.ResizePtyRequest{ID: id, ExecID: exec}, want},
		{"CloseIO", &task.CloseIORequest{ID: id, ExecID: exec, Stdin: true}, want},
	}
	if exec != "" {
		return list
	}
	return append(list,
		attempt{"Exec", &task.ExecProcessRequest{ID: id, ExecID: "x", Spec: jsonAny(t, specs.Process{})}, want},
		attempt{"Pids", &task.PidsRequest{ID: id}, want},
		attempt{"Pause", &task.PauseRequest{ID: id}, want},
		attempt{"Resume", &task.ResumeRequest{ID: id}, want},
		attempt{"Update", &task.UpdateTaskRequest{ID: id, Resources: jsonAny(t, specs.LinuxResources{})}, want},
		attempt{"Checkpoint", &task.CheckpointTaskRequest{ID: id}, want},
		attempt{"Stats", &task.StatsRequest{ID: id}, want},
	)
}

func TestWhoIsNotThereIsNotFound(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		for _, a := range aboutOne(t, "none", "", codes.NotFound) {
			a.try(r)
		}
		r.run("web")
		for _, a := range aboutOne(t, "web", "none", codes.NotFound) {
			a.try(r)
		}
		r.end("web", 0)
		must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web"})
		for _, a := range aboutOne(t, "web", "", codes.NotFound) { // a second delete is among them
			a.try(r)
		}
		r.run("web") // the id is free again
	})
}

func TestWhatTheStateDoesNotAllow(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		exec := func(id string) *task.ExecProcessRequest {
			return &task.ExecProcessRequest{ID: "web", ExecID: id, Spec: jsonAny(t, specs.Process{})}
		}
		r.create("web")
		addExec(r, "web", "early")
		for _, a := range []attempt{
			{"Create", &task.CreateTaskRequest{ID: "web", Bundle: r.bundle("web")}, codes.AlreadyExists},
			{"Exec", exec("early"), codes.AlreadyExists},
			{"Kill", &task.KillRequest{ID: "web", ExecID: "early", Signal: 9}, codes.FailedPrecondition},
		} {
			a.try(r)
		}
		must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web", ExecID: "early"})
		must[task.StartResponse](r, "Start", &task.StartRequest{ID: "web"})
		addExec(r, "web", "one")
		addExec(r, "web", "never")
		must[task.StartResponse](r, "Start", &task.StartRequest{ID: "web", ExecID: "one"})
		for _, a := range []attempt{
			{"Start", &task.StartRequest{ID: "web"}, codes.FailedPrecondition},
			{"Start", &task.StartRequest{ID: "web", ExecID: "one"}, codes.FailedPrecondition},
			{"Delete", &task.DeleteRequest{ID: "web"}, codes.FailedPrecondition},
			{"Delete", &task.DeleteRequest{ID: "web", ExecID: "one"}, codes.FailedPrecondition},
			{"Exec", exec("one"), codes.AlreadyExists},
		} {
			a.try(r)
		}
		must[emptypb.Empty](r, "Pause", &task.PauseRequest{ID: "web"})
		attempt{"Exec", exec("two"), codes.FailedPrecondition}.try(r)
		must[emptypb.Empty](r, "Resume", &task.ResumeRequest{ID: "web"})
		state(r, "web", "", tasktypes.Status_RUNNING, firstPid)

		r.fake("web").exec("one").end(3)
		must[task.WaitResponse](r, "Wait", &task.WaitRequest{ID: "web", ExecID: "one"})
		for _, a := range []attempt{
			{"Kill", &task.KillRequest{ID: "web", ExecID: "one", Signal: 9}, codes.NotFound},
			{"Start", &task.StartRequest{ID: "web", ExecID: "one"}, codes.FailedPrecondition},
		} {
			a.try(r)
		}
		r.end("web", 0)
		for _, a := range []attempt{
			{"Kill", &task.KillRequest{ID: "web", Signal: 9}, codes.NotFound},
			{"Start", &task.StartRequest{ID: "web"}, codes.FailedPrecondition},
			{"Start", &task.StartRequest{ID: "web", ExecID: "never"}, codes.FailedPrecondition},
			{"Exec", exec("late"), codes.FailedPrecondition},
			{"Pause", &task.PauseRequest{ID: "web"}, codes.FailedPrecondition},
			{"Resume", &task.ResumeRequest{ID: "web"}, codes.FailedPrecondition},
			{"Stats", &task.StatsRequest{ID: "web"}, codes.NotFound},
		} {
			a.try(r)
		}
	})
}

func TestWhatCannotBeUnderstood(t *testing.T) {
	forBoth(t, func(t *testing.T, r *rig) {
		r.run("web")
		bad := &anypb.Any{TypeUrl: "x", Value: []byte("\xff{")}
		for _, a := range []attempt{
			{"Create", &task.CreateTaskRequest{ID: "new", Bundle: r.bundle("new"), Options: bad}, codes.InvalidArgument},
			{"Create", &task.CreateTaskRequest{ID: "new", Bundle: r.bundle("new"), Checkpoint: "/image"}, codes.Unimplemented},
			{"Exec", &task.ExecProcessRequest{ID: "web", ExecID: "x"}, codes.InvalidArgument},
			{"Exec", &task.ExecProcessRequest{ID: "web", ExecID: "x", Spec: bad}, codes.InvalidArgument},
			{"Exec", &task.ExecProcessRequest{ID: "web", Spec: jsonAny(t, specs.Process{})}, codes.InvalidArgument},
			{"Update", &task.UpdateTaskRequest{ID: "web"}, codes.InvalidArgument},
			{"Update", &task.UpdateTaskRequest{ID: "web", Resources: bad}, codes.InvalidArgument},
			{"Checkpoint", &task.CheckpointTaskRequest{ID: "web", Options: bad}, codes.InvalidArgument},
			// At which containerd falls back to the version that it knows.
			{"Frobnicate", &task.StateRequest{ID: "web"}, codes.Unimplemented},
		} {
			a.try(r)
		}
		name := r.name
		r.name = "containerd.task.v4.Task"
		attempt{"State", &task.StateRequest{ID: "web"}, codes.Unimplemented}.try(r)
		r.name = name
		state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
	})
}

// TestStateWhileTheRuntimeHangs: containerd gives State two seconds.
func TestStateWhileTheRuntimeHangs(t *testing.T) {
	const limit = 2 * time.Second
	resources := jsonAny(t, specs.LinuxResources{})
	for _, c := range []struct {
		hangs, method string
		request       any
		before        func(r *rig)
		init, exec    tasktypes.Status // while it hangs; 0 is NotFound
	}{
		{"Create", "Create", nil, nil, 0, 0},
		{"Start", "Start", &task.StartRequest{ID: "web"}, func(r *rig) { r.create("web") }, tasktypes.Status_CREATED, 0},
		{"Exec", "Start", &task.StartRequest{ID: "web", ExecID: "one"}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Kill", "Kill", &task.KillRequest{ID: "web", Signal: 15}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Pause", "Pause", &task.PauseRequest{ID: "web"}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Resume", "Resume", &task.ResumeRequest{ID: "web"}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Update", "Update", &task.UpdateTaskRequest{ID: "web", Resources: resources}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Pids", "Pids", &task.PidsRequest{ID: "web"}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Checkpoint", "Checkpoint", &task.CheckpointTaskRequest{ID: "web"}, nil, tasktypes.Status_RUNNING, tasktypes.Status_CREATED},
		{"Delete", "Delete", &task.DeleteRequest{ID: "web"}, func(r *rig) { r.run("web"); r.end("web", 1) }, tasktypes.Status_STOPPED, 0},
	} {
		t.Run(c.hangs, func(t *testing.T) {
			r := newRig(t, serviceNames[1])
			r.run("other")
			switch {
			case c.hangs == "Create":
				c.request = &task.CreateTaskRequest{ID: "web", Bundle: r.bundle("web")}
			case c.before != nil:
				c.before(r)
			default:
				r.run("web")
				addExec(r, "web", "one")
			}
			release := r.fake("web").hold(c.hangs)
			defer release()
			answered := make(chan error, 1)
			go func() {
				_, err := call[emptypb.Empty](r, r.client, patience, c.method, c.request)
				answered <- err
			}()
			eventually(t, c.hangs+" was called", func() bool { return r.fake("web").called(c.hangs) })
			ask := func(id, exec string, want tasktypes.Status) {
				t.Helper()
				got, err := call[task.StateResponse](r, r.client, limit, "State", &task.StateRequest{ID: id, ExecID: exec})
				if want == 0 && status.Code(err) == codes.NotFound {
					return
				}
				if err != nil || got.Status != want {
					t.Errorf("state of %q %q: %v, %v, want %v", id, exec, got.GetStatus(), err, want)
				}
			}
			ask("web", "", c.init)
			ask("web", "one", c.exec)
			ask("other", "", tasktypes.Status_RUNNING)
			select {
			case err := <-answered:
				t.Errorf("%s was answered while the runtime hangs: %v", c.method, err)
			default:
			}
			release()
			if err := <-answered; err != nil {
				t.Errorf("%s in the end: %v", c.method, err)
			}
		})
	}
}
