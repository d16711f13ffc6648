// SPDX-License-Identifier: Apache-2.0

package shimsoak

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"berth/tests/rig"
)

// stage is where a container is when its shim is killed.
type stage struct {
	name string
	args []string
	// reach leads there and returns the container's pid; 0 if that is not known.
	reach  func(s *shim) int
	status uint32 // what `delete` must say
}

func stages(random *rand.Rand) []stage {
	forever := []string{"sleep", "100000"}
	running := func(s *shim) int {
		pid := s.create()
		s.begin()
		return pid
	}
	return []stage{
		{"running", forever, running, 137},
		{"ended", []string{"sh", "-c", "exit 7"}, func(s *shim) int {
			pid := running(s)
			must[task.WaitResponse](s, "Wait", &task.WaitRequest{ID: s.id})
			return pid
		}, 7},
		{"created", forever, (*shim).create, 137},
		{"with-exec", forever, func(s *shim) int {
			pid := running(s)
			s.addExec("one", "", "", "", "sh", "-c", "sleep 100000 & sleep 100000")
			return pid
		}, 137},
		{"paused", forever, func(s *shim) int {
			pid := running(s)
			must[emptypb.Empty](s, "Pause", &task.PauseRequest{ID: s.id})
			return pid
		}, 137},
		// The answer never comes: the shim is killed before.
		{"in-create", forever, func(s *shim) int {
			go func() { _, _ = call[task.CreateTaskResponse](s, "Create", s.createRequest()) }()
			time.Sleep(time.Duration(random.Int64N(int64(8 * time.Millisecond))))
			return 0
		}, 137},
		{"in-start", forever, func(s *shim) int {
			pid := s.create()
			go func() { _, _ = call[task.StartResponse](s, "Start", &task.StartRequest{ID: s.id}) }()
			time.Sleep(time.Duration(random.Int64N(int64(3 * time.Millisecond))))
			return pid
		}, 137},
	}
}

// TestDeleteAfterTheShimWasKilled goes round the stages.
func TestDeleteAfterTheShimWasKilled(t *testing.T) {
	e := newEngine(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	list := stages(rand.New(rand.NewPCG(seed, 0)))
	for i := range *kills {
		c := list[i%len(list)]
		s := e.start(fmt.Sprintf("kill-%d-%s", i, c.name), c.args...)
		pid := c.reach(s)
		s.kill()
		_ = s.client.Close()
		before := time.Now()
		gone := s.cleanup()
		switch {
		case gone.ExitStatus != c.status:
			t.Errorf("%s: status %d, want %d", s.id, gone.ExitStatus, c.status)
		case pid != 0 && int(gone.Pid) != pid:
			t.Errorf("%s: pid %d, want %d", s.id, gone.Pid, pid)
		case gone.ExitedAt == nil || gone.ExitedAt.AsTime().Before(before.Add(-patience)):
			t.Errorf("%s: ended at %v", s.id, gone.ExitedAt)
		}
		s.nothingLeft("after the shim was killed")
		if again := s.cleanup(); again.ExitStatus != c.status {
			t.Errorf("%s: a second delete says %d", s.id, again.ExitStatus)
		}
		if err := os.RemoveAll(s.bundle); err != nil { // as containerd does
			t.Errorf("%s: %v", s.id, err)
		}
		if t.Failed() {
			return
		}
	}
}

// kill is SIGKILL, and waits for it.
func (s *shim) kill() {
	s.t.Helper()
	if err := unix.Kill(s.pid, unix.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.gone()
}

// cleanup is the action `delete`. Meanwhile we reap what the shim has left to
// us, as the machine's init does for containerd.
func (s *shim) cleanup() *task.DeleteResponse {
	s.t.Helper()
	cmd := s.action("delete")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var own atomic.Int64
	own.Store(-1) // until it is known, nobody is reaped
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		rig.Adopted(stop, func(pid int) bool { o := own.Load(); return o == -1 || int64(pid) == o })
	}()
	err := cmd.Start()
	if err == nil {
		own.Store(int64(cmd.Process.Pid))
		err = cmd.Wait()
	}
	close(stop)
	<-done
	if err != nil || errs.Len() > 0 {
		s.t.Fatalf("delete of %s: %v: %s", s.id, err, errs.String())
	}
	resp := &task.DeleteResponse{}
	if err := proto.Unmarshal(out.Bytes(), resp); err != nil {
		s.t.Fatalf("delete of %s said %q: %v", s.id, out.Bytes(), err)
	}
	return resp
}
