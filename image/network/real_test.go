// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// installed are options for the plugins of this machine, with a state of their
// own.
func installed(t *testing.T, publish ...Port) Options {
	t.Helper()
	needRoot(t)
	o := Options{StateDir: t.TempDir(), Publish: publish}
	if err := Usable(o); err != nil {
		t.Skip(err)
	}
	if len(publish) > 0 {
		if err := exec.Command("iptables", "-t", "nat", "-S").Run(); err != nil {
			t.Skip("needs iptables:", err)
		}
	}
	return o
}

// inside runs f on a thread in a namespace.
func inside(t *testing.T, path string, f func() error) {
	t.Helper()
	ns, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and it ends with the goroutine
		err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// serve answers the connections to a port of an attachment with a word.
func serve(t *testing.T, a *Attachment, port int) {
	t.Helper()
	inside(t, a.Path(), func() error {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{Port: port})
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return // closed
				}
				fmt.Fprint(c, "hello")
				_ = c.Close()
			}
		}()
		return nil
	})
}

func ask(addr string) error {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	c, err := net.DialTCP("tcp4", nil, a)
	if err != nil {
		return err
	}
	defer c.Close()
	if got, err := io.ReadAll(c); string(got) != "hello" {
		return fmt.Errorf("%s said %q, %w", addr, got, err)
	}
	return nil
}

func mustConnect(t *testing.T, id string, o Options) *Attachment {
	t.Helper()
	a, err := Connect(context.Background(), id, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestBridgeConnectsContainers(t *testing.T) {
	o := installed(t)
	one, two := mustConnect(t, "one", o), mustConnect(t, "two", o)
	serve(t, one, 80)
	inside(t, two.Path(), func() error { return ask(one.Addresses()[0].Addr().String() + ":80") })
	inside(t, one.Path(), func() error { return ask("127.0.0.1:80") }) // its loopback
}

func TestPublishedPort(t *testing.T) {
	o := installed(t, Port{Container: 80, Protocol: "tcp"})
	a := mustConnect(t, "web", o)
	serve(t, a, 80)
	port := a.Ports()[0]
	if port.Host == 0 {
		t.Fatal("no port was chosen")
	}
	for _, host := range []string{"127.0.0.1", "10.89.0.1"} {
		if err := ask(fmt.Sprintf("%s:%d", host, port.Host)); err != nil {
			t.Error(err)
		}
	}
	o.Publish = []Port{port}
	_, err := Connect(context.Background(), "other", o)
	if want := fmt.Sprintf(`network "bridge": port %s: bind: address already in use`, port); err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

func TestNothingOfAContainerIsLeft(t *testing.T) {
	o := installed(t, Port{Container: 80, Protocol: "tcp"})
	a, err := Connect(context.Background(), "gone", o)
	if err != nil {
		t.Fatal(err)
	}
	address := a.Addresses()[0].Addr().String()
	if rules(t, address) == "" {
		t.Error("there are no rules for it while it is there")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if left := rules(t, address); left != "" {
		t.Errorf("rules left:\n%s", left)
	}
	if _, err := os.Stat(o.StateDir + "/addresses/berth/" + address); !os.IsNotExist(err) {
		t.Errorf("its address: %v, want it to be free", err)
	}
}

// rules are those of iptables with a text.
func rules(t *testing.T, text string) string {
	t.Helper()
	out, err := exec.Command("iptables-save").Output()
	if err != nil {
		t.Skip("needs iptables-save:", err)
	}
	var found []string
	for l := range strings.Lines(string(out)) {
		if strings.Contains(l, text) {
			found = append(found, l)
		}
	}
	return strings.Join(found, "")
}
