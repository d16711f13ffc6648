// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	tasktypes "github.com/containerd/containerd/api/types/task"
	"github.com/containerd/ttrpc"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// maxMessage is ttrpc's limit, in bytes; its header has ten.
const (
	maxMessage = 4 << 20
	headerSize = 10
)

func goroutines() int { return runtime.NumGoroutine() }

// standing is how many goroutines are in a function.
func standing(function string) int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), function+"(")
}

// connections is how many goroutines serve one.
func connections() int { return standing("ttrpc.(*serverConn).run") }

// frame is a message of ttrpc; length is what the header says of it.
func frame(stream uint32, kind byte, length uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(append(b, kind, 0), payload...)
}

// request is a well-formed message with a call of State.
func stateFrame(t *testing.T, name string, stream uint32) []byte {
	t.Helper()
	payload := marshal(t, &ttrpc.Request{Service: name, Method: "State", Payload: marshal(t, &task.StateRequest{ID: "web"})})
	return frame(stream, 1, uint32(len(payload)), payload)
}

// answer reads a response from the wire.
func answer(t *testing.T, conn net.Conn) (stream uint32, code codes.Code) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var header [headerSize]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(header[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		t.Fatal(err)
	}
	var resp ttrpc.Response
	if err := proto.Unmarshal(body, &resp); err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.Uint32(header[4:]), codes.Code(resp.GetStatus().GetCode())
}

// TestABadClientHarmsItselfOnly: whatever comes over one connection, others are
// answered while it is open and after it is closed, and nothing stays of it.
func TestABadClientHarmsItselfOnly(t *testing.T) {
	r := newRig(t, serviceNames[1])
	r.run("web")
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 100000)
	_, _ = random.Read(noise)
	good := stateFrame(t, r.name, 1)
	state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
	before := connections()
	if before == 0 {
		t.Fatal("the goroutines of a connection have another name")
	}
	for _, c := range []struct {
		name string
		data []byte
	}{
		{"nothing", nil},
		{"noise", noise},
		{"noise of a small length", append(frame(1, 1, 64, nil), noise...)},
		{"half a header", good[:5]},
		{"half a message", good[:len(good)-3]},
		{"a length that is too long", frame(1, 1, 1000, good[headerSize:])},
		{"a length that is too short", frame(1, 1, 3, good[headerSize:])},
		{"the greatest length", frame(1, 1, 1<<32-1, good)},
		{"a length of nothing", frame(1, 1, 0, nil)},
		{"a stream of the server's", frame(2, 1, 0, nil)},
		{"data of no stream", frame(1, 3, 4, []byte("data"))},
		{"an unknown kind", frame(1, 99, 4, []byte("data"))},
		{"a stream twice", append(bytes.Clone(good), good...)},
		{"a request that is none", frame(1, 1, 5, []byte("\xff\xff\xff\xff\xff"))},
		{"another protocol", []byte("GET / HTTP/1.1\r\nHost: shim\r\n\r\n")},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("unix", r.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(c.data); err != nil && !strings.Contains(err.Error(), "broken pipe") {
				t.Error(err) // the server may refuse, and must not stall
			}
			if _, err := call[task.StateResponse](r, r.client, patience, "State", &task.StateRequest{ID: "web"}); err != nil {
				t.Errorf("another client, meanwhile: %v", err)
			}
			_ = conn.Close()
			eventually(t, "the connection is forgotten", func() bool { return connections() <= before })
			client := r.connect()
			if _, err := call[task.StateResponse](r, client, patience, "State", &task.StateRequest{ID: "web"}); err != nil {
				t.Errorf("a new client, afterwards: %v", err)
			}
			_ = client.Close()
			eventually(t, "the new client is forgotten", func() bool { return connections() <= before })
		})
	}
}

func TestAnOversizedMessageIsRefusedAndTheNextTaken(t *testing.T) {
	for _, name := range serviceNames {
		r := newRig(t, name)
		r.run("web")
		conn := r.dial()
		body := make([]byte, maxMessage+1)
		if _, err := conn.Write(frame(1, 1, uint32(len(body)), body)); err != nil {
			t.Fatal(err)
		}
		if stream, code := answer(t, conn); stream != 1 || code != codes.ResourceExhausted {
			t.Errorf("stream %d, %v", stream, code)
		}
		if _, err := conn.Write(stateFrame(t, name, 3)); err != nil {
			t.Fatal(err)
		}
		if stream, code := answer(t, conn); stream != 3 || code != codes.OK {
			t.Errorf("the next one: stream %d, %v", stream, code)
		}
		// The greatest that fits: an exec with a very long argument.
		long := specs.Process{Args: []string{strings.Repeat("x", maxMessage-1000)}}
		must[emptypb.Empty](r, "Exec", &task.ExecProcessRequest{ID: "web", ExecID: "long", Spec: jsonAny(t, long)})
		must[task.StartResponse](r, "Start", &task.StartRequest{ID: "web", ExecID: "long"})
		if got := len(r.fake("web").spec.Args[0]); got != maxMessage-1000 {
			t.Errorf("%d bytes arrived", got)
		}
	}
}

func TestAPayloadThatIsNoMessageIsInvalid(t *testing.T) {
	r := newRig(t, serviceNames[0])
	payload := marshal(t, &ttrpc.Request{Service: r.name, Method: "Create", Payload: []byte("\xff\xff\xff")})
	conn := r.dial()
	if _, err := conn.Write(frame(1, 1, uint32(len(payload)), payload)); err != nil {
		t.Fatal(err)
	}
	if _, code := answer(t, conn); code == codes.OK || code == codes.NotFound || code == codes.Unimplemented {
		t.Errorf("code %v", code) // none that containerd would take for an answer about a task
	}
}

// TestStreamsThatCannotBeOpened: the error names the path, is none that
// containerd takes for a missing task, and nothing stays open.
func TestStreamsThatCannotBeOpened(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it closes what nobody knows any more
	forBoth(t, func(t *testing.T, r *rig) {
		r.run("web")
		good, file, none := filepath.Join(r.dir, "fifo"), filepath.Join(r.dir, "file"), filepath.Join(r.dir, "vanished")
		if err := unix.Mkfifo(good, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		state(r, "web", "", tasktypes.Status_RUNNING, firstPid)
		before, running := descriptors(t), goroutines()
		for _, c := range []struct {
			in, out, errs, names string
			want                 codes.Code
		}{
			{"", none, "", none, codes.Unknown},
			{"", good, none, none, codes.Unknown},
			{none, good, good, none, codes.Unknown},
			{file, good, "", file, codes.InvalidArgument},
			{"", file, good, file, codes.InvalidArgument},
			{good, "gopher://x", "", "gopher://x", codes.InvalidArgument},
			{good, "file://" + r.dir, "", r.dir, codes.Unknown}, // a directory
			{good, good, "file://" + file + "/log", file, codes.Unknown},
			{good, "binary:///no/such/logger", "", "/no/such/logger", codes.Unknown},
		} {
			for _, a := range []attempt{
				{"Create", &task.CreateTaskRequest{ID: "new", Bundle: r.bundle("new"), Stdin: c.in, Stdout: c.out, Stderr: c.errs}, c.want},
				{"Exec", &task.ExecProcessRequest{ID: "web", ExecID: "new", Spec: jsonAny(t, specs.Process{}), Stdin: c.in, Stdout: c.out, Stderr: c.errs}, c.want},
			} {
				err := refused[emptypb.Empty](r, a.String(), a.method, a.request, a.want)
				if !strings.Contains(status.Convert(err).Message(), c.names) {
					t.Errorf("%v: the error does not name %s: %v", a, c.names, err)
				}
			}
		}
		refused[task.StateResponse](r, "state of what was refused", "State", &task.StateRequest{ID: "new"}, codes.NotFound)
		refused[task.StateResponse](r, "state of an exec that was refused", "State", &task.StateRequest{ID: "web", ExecID: "new"}, codes.NotFound)
		eventually(t, "no descriptor and no goroutine is left", func() bool { return descriptors(t) <= before && goroutines() <= running })
		if r.fake("new").called("Create") {
			t.Error("the runtime was asked")
		}
		r.run("new")
		addExec(r, "web", "new")
	})
}

// TestAnExecThatIsNeverStartedLeavesNothing: its ends of the streams are ours,
// so nothing that waits for the end of its output may wait for them.
func TestAnExecThatIsNeverStartedLeavesNothing(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	forBoth(t, func(t *testing.T, r *rig) {
		r.run("web")
		fifo := filepath.Join(r.dir, "fifo")
		if err := unix.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		before, running := descriptors(t), goroutines()
		for _, path := range []string{"", fifo} {
			request := &task.ExecProcessRequest{ID: "web", ExecID: "one", Spec: jsonAny(t, specs.Process{}), Stdin: path, Stdout: path, Stderr: path}
			must[emptypb.Empty](r, "Exec", request)
			attempt{"Exec", request, codes.AlreadyExists}.try(r) // and what was opened for it is closed
			begin := time.Now()
			must[task.DeleteResponse](r, "Delete", &task.DeleteRequest{ID: "web", ExecID: "one"})
			if took := time.Since(begin); took >= drainTime {
				t.Errorf("the delete took %v", took)
			}
			eventually(t, "no descriptor and no goroutine is left", func() bool { return descriptors(t) <= before && goroutines() <= running })
		}
	})
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
