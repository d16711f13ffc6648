// SPDX-License-Identifier: Apache-2.0

package shimsoak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrap "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	task "github.com/containerd/containerd/api/runtime/task/v3"
	ttrpcevents "github.com/containerd/containerd/api/services/ttrpc/events/v1"
	"github.com/containerd/containerd/api/types"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"berth/tests/rig"
)

const (
	namespace = "soak"
	patience  = 30 * time.Second // for a call, on a machine that is busy
	settle    = 10 * time.Second // for what goes a moment later
)

// engine is what containerd is to a shim: a directory of bundles, and a socket
// that takes events.
type engine struct {
	t      *testing.T
	binary string
	dir    string
	root   string // the runtime's state root, without the namespace

	mu     sync.Mutex
	events map[string]int // by topic and id
}

// newEngine needs root and a built shim.
func newEngine(t *testing.T) *engine {
	t.Helper()
	rig.NeedRoot(t)
	e := &engine{t: t, binary: os.Getenv("BERTH_SHIM"), events: make(map[string]int)}
	module, err := rig.ModuleDir()
	if err != nil {
		t.Fatal(err)
	}
	if e.binary == "" {
		e.binary = filepath.Join(module, "bin", "containerd-shim-berth-v2")
	}
	if _, err := os.Stat(e.binary); err != nil {
		rig.Missing(t, err.Error()+" (run: make build)")
	}
	// Not t.TempDir: a socket's path has at most 106 bytes.
	if e.dir, err = os.MkdirTemp("", "berth-soak"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(e.dir) })
	e.root = filepath.Join(e.dir, "root")
	if err := rig.Bundle(filepath.Join(e.dir, "image"), nil); err != nil {
		t.Fatal(err)
	}
	e.listen()
	return e
}

// listen serves the events socket.
func (e *engine) listen() {
	e.t.Helper()
	l, err := net.Listen("unix", e.eventSocket())
	if err != nil {
		e.t.Fatal(err)
	}
	server, err := ttrpc.NewServer()
	if err != nil {
		e.t.Fatal(err)
	}
	ttrpcevents.RegisterTTRPCEventsService(server, e)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(context.Background(), l) // it ends by Close
	}()
	e.t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
}

func (e *engine) eventSocket() string { return filepath.Join(e.dir, "events") }

// Forward takes an event.
func (e *engine) Forward(_ context.Context, r *ttrpcevents.ForwardRequest) (*emptypb.Empty, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.events[r.Envelope.Topic]++
	return &emptypb.Empty{}, nil
}

func (e *engine) told(topic string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.events[topic]
}

// shim is one with its container.
type shim struct {
	*engine
	id, bundle, socket string
	pid                int
	client             *ttrpc.Client
	log                *dumps
	trace              rig.Trace
}

// start makes a bundle that runs args, and starts its shim.
func (e *engine) start(id string, args ...string) *shim {
	e.t.Helper()
	s := &shim{engine: e, id: id, bundle: filepath.Join(e.dir, "b", id)}
	s.trace = rig.Trace{
		Runtime: rig.Runtime{Name: "berth", Root: filepath.Join(e.root, namespace)}, ID: id, Bundle: s.bundle,
		Marker: fmt.Sprintf("BERTH_MARK=%d-%s", os.Getpid(), id),
	}
	if err := os.MkdirAll(filepath.Join(s.bundle, "rootfs"), 0o711); err != nil {
		e.t.Fatal(err)
	}
	spec := rig.DefaultSpec(rig.CgroupBase()+"/"+id, args...)
	spec.Process.Env = []string{"PATH=/bin", s.trace.Marker}
	if err := rig.WriteConfig(s.bundle, spec); err != nil {
		e.t.Fatal(err)
	}
	s.log = openDumps(e.t, filepath.Join(s.bundle, "log"))
	s.socket = s.bootstrap()
	conn, err := net.Dial("unix", s.socket)
	if err != nil {
		e.t.Fatal(err)
	}
	s.client = ttrpc.NewClient(conn)
	e.t.Cleanup(func() { _ = s.client.Close() })
	s.pid = int(must[task.ConnectResponse](s, "Connect", &task.ConnectRequest{ID: id}).ShimPid)
	return s
}

// bootstrap is the action `start`, as containerd 2.3 calls it: it alone says
// where the socket is to be.
func (s *shim) bootstrap() (socket string) {
	s.t.Helper()
	params := &bootstrap.BootstrapParams{
		InstanceID: s.id, Namespace: namespace, ContainerdTtrpcAddress: s.eventSocket(), SocketDir: proto.String(filepath.Join(s.dir, "s")),
	}
	stdin, err := proto.Marshal(params)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := s.action("start")
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("start: %v: %s", err, out)
	}
	var result bootstrap.BootstrapResult
	if err := proto.Unmarshal(out, &result); err != nil || result.Version != 3 || result.Protocol != "ttrpc" {
		s.t.Fatalf("start said %q: %v", out, err)
	}
	return strings.TrimPrefix(result.Address, "unix://")
}

func (s *shim) action(name string) *exec.Cmd {
	cmd := exec.Command(s.binary, "-namespace", namespace, "-id", s.id, "-address", filepath.Join(s.dir, "containerd"), "-bundle", s.bundle, name)
	cmd.Dir = s.bundle
	cmd.Env = append(os.Environ(), "TTRPC_ADDRESS="+s.eventSocket())
	return cmd
}

// createRequest has containerd's mount of a root file system, and options that
// keep the state in our directory.
func (s *shim) createRequest() *task.CreateTaskRequest {
	s.t.Helper()
	return &task.CreateTaskRequest{
		ID: s.id, Bundle: s.bundle, Options: s.any(&runcoptions.Options{Root: s.root}),
		Rootfs: []*types.Mount{{Type: "bind", Source: filepath.Join(s.dir, "image", "rootfs"), Options: []string{"rbind", "ro"}}},
	}
}

func (s *shim) any(m proto.Message) *anypb.Any {
	s.t.Helper()
	value, err := proto.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	return &anypb.Any{TypeUrl: string(m.ProtoReflect().Descriptor().FullName()), Value: value}
}

func (s *shim) create() int {
	s.t.Helper()
	return int(must[task.CreateTaskResponse](s, "Create", s.createRequest()).Pid)
}

func (s *shim) begin() {
	s.t.Helper()
	must[task.StartResponse](s, "Start", &task.StartRequest{ID: s.id})
}

// addExec registers and starts a process with the given streams.
func (s *shim) addExec(exec, stdin, stdout, stderr string, args ...string) {
	s.t.Helper()
	spec, err := json.Marshal(specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/bin", s.trace.Marker}})
	if err != nil {
		s.t.Fatal(err)
	}
	must[emptypb.Empty](s, "Exec", &task.ExecProcessRequest{
		ID: s.id, ExecID: exec, Stdin: stdin, Stdout: stdout, Stderr: stderr, Spec: &anypb.Any{TypeUrl: "process", Value: spec},
	})
	must[task.StartResponse](s, "Start", &task.StartRequest{ID: s.id, ExecID: exec})
}

// call asks the shim.
func call[Resp any](s *shim, method string, request any) (*Resp, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp := new(Resp)
	err := s.client.Call(ctx, "containerd.task.v3.Task", method, request, resp)
	return resp, err
}

func must[Resp any](s *shim, method string, request any) *Resp {
	s.t.Helper()
	resp, err := call[Resp](s, method, request)
	if err != nil {
		s.t.Fatalf("%s of %s: %v", method, s.id, err)
	}
	return resp
}

// gone waits for the end of the shim, which became our child when `start` ended.
func (s *shim) gone() {
	s.t.Helper()
	for deadline := time.Now().Add(settle); ; time.Sleep(time.Millisecond) {
		if pid, err := unix.Wait4(s.pid, nil, unix.WNOHANG, nil); pid == s.pid || err == unix.ECHILD {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the shim %d of %s does not end", s.pid, s.id)
		}
	}
}

// dumps reads containerd's end of the log for what a shim says of its goroutines.
type dumps struct {
	f      *os.File
	counts chan int
}

func openDumps(t *testing.T, path string) *dumps {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	d := &dumps{f, make(chan int, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		d.read()
	}()
	t.Cleanup(func() {
		_ = f.Close()
		<-read
	})
	return d
}

func (d *dumps) read() {
	var line []byte
	buffer := make([]byte, 64<<10)
	for {
		n, err := d.f.Read(buffer)
		if err != nil {
			return // closed
		}
		line = append(line, buffer[:n]...)
		for {
			text, rest, whole := bytes.Cut(line, []byte("\n"))
			if !whole {
				break
			}
			line = rest
			if _, after, ok := strings.Cut(string(text), "msg=goroutines count="); ok {
				word, _, _ := strings.Cut(after, " ")
				if n, err := strconv.Atoi(word); err == nil {
					d.counts <- n
				}
			}
		}
	}
}

// goroutines asks the shim for their number.
func (s *shim) goroutines() int {
	s.t.Helper()
	if err := unix.Kill(s.pid, unix.SIGUSR1); err != nil {
		s.t.Fatal(err)
	}
	select {
	case n := <-s.log.counts:
		return n
	case <-time.After(patience):
		s.t.Fatal("the shim does not say how many goroutines it has")
		return 0
	}
}
