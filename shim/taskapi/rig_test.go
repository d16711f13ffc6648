// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"berth/shim/supervise"
)

// serviceNames are the versions under which the service is offered.
var serviceNames = []string{"containerd.task.v2.Task", "containerd.task.v3.Task"}

// patience is for what takes no time at all, on a machine that is busy.
const patience = 20 * time.Second

// firstPid is above every pid that Linux gives: nobody is harmed, and no cgroup
// is found for it.
const firstPid = 1<<22 + 1

// fakeRuntime is a container in memory, whose processes end when the test says so.
type fakeRuntime struct {
	mu    sync.Mutex
	calls []string                 // what was asked, in order
	hang  map[string]chan struct{} // calls that wait until it is closed
	fail  map[string]error
	pid   int
	init  *fakeProcess
	execs map[string]*fakeProcess

	spec       *specs.Process // of the last exec
	resources  *specs.LinuxResources
	checkpoint supervise.CheckpointOptions
}

type fakeProcess struct {
	pid   int
	wires supervise.Wiring
	stdin *os.File // the process's own end
	tty   *os.File // the terminal's, if it has one
	ended chan int
	once  sync.Once
}

func (p *fakeProcess) Pid() int           { return p.pid }
func (p *fakeProcess) Wait() (int, error) { return <-p.ended, nil }
func (p *fakeProcess) Signal(sig unix.Signal) error {
	p.end(128 + int(sig))
	return nil
}

// end is the exit of the process: its ends of the streams close.
func (p *fakeProcess) end(status int) {
	p.once.Do(func() {
		for _, f := range []*os.File{p.stdin, p.tty} {
			if f != nil {
				_ = f.Close()
			}
		}
		p.ended <- status
	})
}

// enter is the beginning of every call.
func (f *fakeRuntime) enter(call string) error {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	hang, err := f.hang[call], f.fail[call]
	f.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return err
}

// called says whether a call has begun.
func (f *fakeRuntime) called(call string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.calls, call)
}

// hold has a call wait until the function that it returns is called.
func (f *fakeRuntime) hold(call string) (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan struct{})
	f.hang[call] = c
	return sync.OnceFunc(func() { close(c) })
}

// breaks has a call fail; nil has it work again.
func (f *fakeRuntime) breaks(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[call] = err
}

func (f *fakeRuntime) process(w supervise.Wiring) (*fakeProcess, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &fakeProcess{pid: f.pid, wires: w, ended: make(chan int, 1)}
	f.pid++
	if w.Terminal {
		master, slave, err := terminal()
		if err != nil {
			return nil, err
		}
		p.tty = slave
		return p, w.Console(master)
	}
	if w.Stdio[0] != nil {
		fd, err := unix.FcntlInt(w.Stdio[0].Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return nil, err
		}
		p.stdin = os.NewFile(uintptr(fd), "stdin")
	}
	return p, nil
}

func terminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	var n int
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		n, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	return master, slave, err
}

func (f *fakeRuntime) Create(w supervise.Wiring) (supervise.Process, error) {
	if err := f.enter("Create"); err != nil {
		return nil, err
	}
	p, err := f.process(w)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.init = p
	return p, nil
}

func (f *fakeRuntime) Start() error { return f.enter("Start") }

func (f *fakeRuntime) Exec(id string, spec *specs.Process, w supervise.Wiring) (supervise.Process, error) {
	if err := f.enter("Exec"); err != nil {
		return nil, err
	}
	p, err := f.process(w)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.execs[id], f.spec = p, spec
	return p, nil
}

func (f *fakeRuntime) Kill(sig unix.Signal, _ bool) error {
	if err := f.enter("Kill"); err != nil {
		return err
	}
	return f.first().Signal(sig)
}

func (f *fakeRuntime) Delete(force bool) error {
	err := f.enter("Delete")
	if err == nil && force {
		f.first().end(137)
	}
	return err
}

func (f *fakeRuntime) Pause() error  { return f.enter("Pause") }
func (f *fakeRuntime) Resume() error { return f.enter("Resume") }

func (f *fakeRuntime) Update(r *specs.LinuxResources) error {
	f.resources = r
	return f.enter("Update")
}

func (f *fakeRuntime) Pids() ([]int, error) {
	err := f.enter("Pids")
	f.mu.Lock()
	defer f.mu.Unlock()
	var pids []int
	for n := firstPid; n < f.pid; n++ {
		pids = append(pids, n)
	}
	return pids, err
}

func (f *fakeRuntime) Checkpoint(o supervise.CheckpointOptions) error {
	f.checkpoint = o
	return f.enter("Checkpoint")
}

// first is init.
func (f *fakeRuntime) first() *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.init
}

func (f *fakeRuntime) exec(id string) *fakeProcess {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.execs[id]
}

func (f *fakeRuntime) endAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.execs {
		p.end(0)
	}
	if f.init != nil {
		f.init.end(0)
	}
}

// rig is a served service, and a client of one of its versions.
type rig struct {
	t      *testing.T
	name   string // of the service
	dir    string
	socket string
	client *ttrpc.Client
	server *ttrpc.Server
	s      *Service
	done   chan struct{} // closed when the shim would end

	mu     sync.Mutex
	fakes  map[string]*fakeRuntime
	events []published
}

type published struct {
	topic string
	event proto.Message
}

func newRig(t *testing.T, name string) *rig {
	t.Helper()
	r := &rig{t: t, name: name, dir: t.TempDir(), done: make(chan struct{}), fakes: make(map[string]*fakeRuntime)}
	ended := sync.OnceFunc(func() { close(r.done) })
	r.s = NewService("ns", func(topic string, event proto.Message) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, published{topic, event})
	}, func(error) {}, ended)
	r.s.newRuntime = func(id, _, _ string, _ *runcoptions.Options, _ func(error)) supervise.Runtime { return r.fake(id) }
	r.socket = filepath.Join(r.dir, "s")
	l, err := net.Listen("unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	if r.server, err = ttrpc.NewServer(); err != nil {
		t.Fatal(err)
	}
	r.s.Register(r.server)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = r.server.Serve(context.Background(), l) // it ends by Close
	}()
	r.client = r.connect()
	t.Cleanup(func() {
		for _, f := range r.fakes {
			f.endAll()
		}
		r.settle()
		_ = r.server.Close()
		<-served
	})
	return r
}

// settle waits for the ends that endAll made: each is written into a bundle.
func (r *rig) settle() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, c := range r.s.containers {
		if c.Task == nil {
			continue
		}
		if done, err := c.Done(""); err == nil {
			<-done
		}
	}
}

// connect returns another client.
func (r *rig) connect() *ttrpc.Client {
	r.t.Helper()
	c := ttrpc.NewClient(r.dial())
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("unix", r.socket)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fake returns the runtime of a container, also before there is one.
func (r *rig) fake(id string) *fakeRuntime {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fakes[id] == nil {
		r.fakes[id] = &fakeRuntime{
			pid: firstPid, execs: make(map[string]*fakeProcess), hang: make(map[string]chan struct{}), fail: make(map[string]error),
		}
	}
	return r.fakes[id]
}

// topics are those of the events of a container, with exec ids.
func (r *rig) topics() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.events {
		list = append(list, describe(e))
	}
	return list
}

// bundle makes the directory of a container, with a pid namespace of its own.
func (r *rig) bundle(id string) string {
	r.t.Helper()
	dir := filepath.Join(r.dir, "bundle-"+id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		r.t.Fatal(err)
	}
	config := `{"linux":{"namespaces":[{"type":"pid"}]}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return dir
}

// create and run make a container, which in run has started.
func (r *rig) create(id string) {
	r.t.Helper()
	must[task.CreateTaskResponse](r, "Create", &task.CreateTaskRequest{ID: id, Bundle: r.bundle(id)})
}

func (r *rig) run(id string) {
	r.t.Helper()
	r.create(id)
	must[task.StartResponse](r, "Start", &task.StartRequest{ID: id})
}

// end ends init, and waits until that was told.
func (r *rig) end(id string, code int) {
	r.t.Helper()
	r.fake(id).first().end(code)
	must[task.WaitResponse](r, "Wait", &task.WaitRequest{ID: id})
}

// call is one call by containerd's wire protocol.
func call[Resp any](r *rig, c *ttrpc.Client, limit time.Duration, method string, request any) (*Resp, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	resp := new(Resp)
	err := c.Call(ctx, r.name, method, request, resp)
	return resp, err
}

// must is a call that has to work.
func must[Resp any](r *rig, method string, request any) *Resp {
	r.t.Helper()
	resp, err := call[Resp](r, r.client, patience, method, request)
	if err != nil {
		r.t.Fatalf("%s: %v", method, err)
	}
	return resp
}

// refused is a call that has to fail with a code, and not for want of time.
func refused[Resp any](r *rig, what, method string, request any, want codes.Code) error {
	r.t.Helper()
	_, err := call[Resp](r, r.client, patience, method, request)
	if got := status.Code(err); got != want {
		r.t.Errorf("%s: %v: %v, want %v", what, got, err, want)
	}
	return err
}

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// forBoth runs a test with a client of each version.
func forBoth(t *testing.T, test func(t *testing.T, r *rig)) {
	for _, name := range serviceNames {
		t.Run(name, func(t *testing.T) { test(t, newRig(t, name)) })
	}
}
