// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// daemon runs a dbus-daemon of our own at a socket until the test ends, or
// until stop is called.
func daemon(t *testing.T, socket string) (stop func()) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("dbus-daemon is not installed; it is in Debian's package dbus-daemon")
	}
	config := filepath.Join(t.TempDir(), "bus.conf")
	err = os.WriteFile(config, []byte(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=`+socket+`</listen>
  <auth>EXTERNAL</auth>
  <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config-file="+config, "--nofork", "--nopidfile", "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also after a panic here
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	t.Cleanup(stop)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it listens now
		stop()
		t.Fatalf("dbus-daemon did not start: %v\n%s", err, log.String())
	}
	return stop
}

// answer is what the fake does with one call of StartTransientUnit or StopUnit.
type answer struct {
	fail, text string // a D-Bus error
	result     string // of the job, "done" if empty
	early      bool   // the job ends before the reply
	silent     bool   // the job never ends
	mute       bool   // there is no reply either
	forged     bool   // another client says that the job is done, then it fails
}

// fake is a manager as systemd's, on a bus.
type fake struct {
	t      *testing.T
	conn   *dbus.Conn
	socket string
	end    chan struct{} // closed when the test ends

	mu      sync.Mutex
	answers []answer
	log     []string
	props   string // of the last call that had some
	jobs    int
	holder  string        // the unit that GetUnitByPID knows
	called  chan struct{} // gets a token for each call
}

// serve puts a fake on the bus at socket.
func serve(t *testing.T, socket, holder string, answers ...answer) *fake {
	t.Helper()
	conn, err := dbus.Connect("unix:path=" + socket)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, conn: conn, socket: socket, end: make(chan struct{}), called: make(chan struct{}, 1000), holder: holder, answers: answers}
	t.Cleanup(func() { close(f.end); _ = conn.Close() })
	for _, err := range []error{
		conn.Export((*fakeManager)(f), managerPath, managerName),
		conn.Export((*fakeProperties)(f), managerPath, "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	reply, err := conn.RequestName(busName, dbus.NameFlagDoNotQueue)
	if err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("RequestName: %v, %v", reply, err)
	}
	return f
}

// run starts a daemon and a fake, and connects to them.
func run(t *testing.T, answers ...answer) (*Bus, *fake) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "bus")
	daemon(t, socket)
	f := serve(t, socket, "", answers...)
	return dialed(t, socket), f
}

func dialed(t *testing.T, socket string) *Bus {
	t.Helper()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+dbus.EscapeBusAddressValue(socket))
	b, err := Connect(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// record notes a call and takes the next answer, if it is one for answers.
func (f *fake) record(call string, answered bool) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, call)
	f.called <- struct{}{}
	if !answered || len(f.answers) == 0 {
		return answer{}
	}
	a := f.answers[0]
	f.answers = f.answers[1:]
	return a
}

// calls returns the calls so far, without Subscribe.
func (f *fake) calls() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(slices.DeleteFunc(slices.Clone(f.log), func(s string) bool { return s == "Subscribe" }), "; ")
}

// got returns the properties that came with the last call.
func (f *fake) got() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.props
}

// wait waits for the next call.
func (f *fake) wait() {
	f.t.Helper()
	select {
	case <-f.called:
	case <-f.t.Context().Done():
		f.t.Fatal("the fake was not called")
	}
}

// queue answers a call that makes a job.
func (f *fake) queue(call, unit string, sender dbus.Sender) (dbus.ObjectPath, *dbus.Error) {
	a := f.record(call, true)
	if a.mute {
		<-f.end
	}
	if a.fail != "" {
		return "", dbus.NewError(a.fail, []any{a.text})
	}
	f.mu.Lock()
	f.jobs++
	id := uint32(f.jobs)
	f.mu.Unlock()
	path := dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", id))
	if a.result == "" {
		a.result = "done"
	}
	removed := func() {
		// Other jobs end too, also of the same unit.
		_ = f.conn.Emit(managerPath, managerName+".JobRemoved", id+1000, path+"000", unit, "failed")
		_ = f.conn.Emit(managerPath, managerName+".JobRemoved", id, path, unit, a.result)
	}
	switch {
	case a.silent:
	case a.early:
		removed()
	case a.forged:
		go func() {
			f.forge(string(sender), id, path, unit)
			removed()
		}()
	default:
		go removed()
	}
	return path, nil
}

// forge sends a signal to one client from another that is not systemd.
func (f *fake) forge(to string, id uint32, path dbus.ObjectPath, unit string) {
	conn, err := dbus.Connect("unix:path=" + f.socket)
	if err != nil {
		f.t.Error(err)
		return
	}
	body := []any{id, path, unit, "done"}
	call := conn.Send(&dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(to),
		dbus.FieldPath:        dbus.MakeVariant(managerPath),
		dbus.FieldInterface:   dbus.MakeVariant(managerName),
		dbus.FieldMember:      dbus.MakeVariant("JobRemoved"),
		dbus.FieldSignature:   dbus.MakeVariant(dbus.SignatureOf(body...)),
	}}, nil)
	// A call that is answered shows that the bus has the signal.
	if err := conn.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; call.Err != nil || err != nil {
		f.t.Error(call.Err, err)
	}
	_ = conn.Close()
}

func printed(props []wireProperty) string {
	var p Properties
	for _, x := range props {
		p = append(p, Property{Name: x.Name, Value: x.Value})
	}
	return p.String()
}

// fakeManager are the methods of org.freedesktop.systemd1.Manager.
type fakeManager fake

func (m *fakeManager) Subscribe() *dbus.Error {
	f := (*fake)(m)
	f.record("Subscribe", false)
	return nil
}

func (m *fakeManager) StartTransientUnit(name, mode string, props []wireProperty, aux []auxUnit, sender dbus.Sender) (dbus.ObjectPath, *dbus.Error) {
	f := (*fake)(m)
	f.mu.Lock()
	f.props = printed(props)
	f.mu.Unlock()
	return f.queue("Start "+name+" "+mode, name, sender)
}

func (m *fakeManager) StopUnit(name, mode string, sender dbus.Sender) (dbus.ObjectPath, *dbus.Error) {
	return (*fake)(m).queue("Stop "+name+" "+mode, name, sender)
}

func (m *fakeManager) ResetFailedUnit(name string) *dbus.Error {
	(*fake)(m).record("Reset "+name, false)
	return dbus.NewError(nameNoSuchUnit, []any{"Unit " + name + " not loaded."})
}

func (m *fakeManager) SetUnitProperties(name string, runtime bool, props []wireProperty) *dbus.Error {
	f := (*fake)(m)
	a := f.record(fmt.Sprintf("Set %s %t", name, runtime), true)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.props = printed(props)
	if a.fail != "" {
		return dbus.NewError(a.fail, []any{a.text})
	}
	return nil
}

func (m *fakeManager) GetUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	(*fake)(m).record("GetUnit "+name, false)
	return "/unit/a", nil
}

func (m *fakeManager) GetUnitByPID(pid uint32) (dbus.ObjectPath, *dbus.Error) {
	f := (*fake)(m)
	f.record(fmt.Sprintf("GetUnitByPID %d", pid), false)
	return dbus.ObjectPath("/unit/" + f.holder), nil
}

// fakeProperties is org.freedesktop.DBus.Properties of the manager.
type fakeProperties fake

func (p *fakeProperties) Get(iface, name string) (dbus.Variant, *dbus.Error) {
	(*fake)(p).record("Get "+name, false)
	switch iface + "." + name {
	case managerName + ".Version":
		return dbus.MakeVariant("257.7-1"), nil
	case managerName + ".ControlGroup":
		return dbus.MakeVariant("/user.slice/user-1000.slice/user@1000.service"), nil
	}
	return dbus.MakeVariant(""), dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"no " + name})
}

// proxy stands between a client and the bus; cut breaks its connections.
type proxy struct {
	mu    sync.Mutex
	conns []net.Conn
}

func between(t *testing.T, socket string) (*proxy, string) {
	t.Helper()
	front := filepath.Join(t.TempDir(), "proxy")
	l, err := net.Listen("unix", front)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return // closed
			}
			b, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				_ = a.Close()
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, a, b)
			p.mu.Unlock()
			for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
				done.Go(func() {
					_, _ = io.Copy(pair[0], pair[1]) // cut, or closed by one side
					_ = pair[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.cut(); done.Wait() })
	return p, front
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}
