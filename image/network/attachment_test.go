// SPDX-License-Identifier: Apache-2.0

package network

import (
	"bufio"
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPluginsRunInOrderAndBackwards(t *testing.T) {
	l := newLab(t, okay, `env | grep ^CNI_ | sort >env; `+okay)
	l.Publish = []Port{{Host: 8080, Container: 80, Protocol: "tcp", HostIP: netip.MustParseAddr("127.0.0.1")}}
	a := l.connect()
	l.expectLog("a ADD", "b ADD")
	if got, want := a.Addresses(), []netip.Prefix{netip.MustParsePrefix("10.1.2.3/24")}; !slices.Equal(got, want) {
		t.Errorf("addresses = %v, want %v", got, want)
	}
	const mapping = `"runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp","hostIP":"127.0.0.1"}]}`
	const result = `"prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}],"dns":{"nameservers":["10.1.2.1"]}}`
	const first = `{"cniVersion":"1.0.0","name":"fake",` + mapping + `,"type":"a"}`
	const second = `{"cniVersion":"1.0.0","name":"fake",` + result + "," + mapping + `,"type":"b"}`
	for name, want := range map[string]string{"a.ADD": first, "b.ADD": second} {
		if got := l.read(name); got != want {
			t.Errorf("%s read %s\nwant   %s", name, got, want)
		}
	}
	env := "CNI_ARGS=\nCNI_COMMAND=ADD\nCNI_CONTAINERID=web\nCNI_IFNAME=eth0\nCNI_NETNS=/run/netns/berth-web\nCNI_PATH=" + l.dir + "\n"
	if got := l.read("env"); got != env {
		t.Errorf("environment:\n%swant:\n%s", got, env)
	}
	if !pinned(a.Path()) || a.Path() != "/run/netns/berth-web" {
		t.Errorf("%s is no namespace", a.Path())
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l.expectLog("b DEL", "a DEL")
	if got := l.read("b.DEL"); got != second {
		t.Errorf("b's DEL read %s\nwant         %s", got, second)
	}
	l.expectNothing()
}

func TestFiles(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	l := newLab(t, okay)
	l.Hostname, l.DNS.Search = "box", []string{"example.com"}
	got := map[string]string{}
	for _, f := range l.connect().Files() {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(f.Path)
		if err != nil || st.Mode() != 0o644 {
			t.Errorf("%s: mode %v, %v, want 0644", f.Path, st.Mode(), err)
		}
		got[f.Destination] = string(data)
	}
	if want := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.1.2.3\tbox web\n"; got["/etc/hosts"] != want {
		t.Errorf("hosts:\n%swant:\n%s", got["/etc/hosts"], want)
	}
	if c := got["/etc/resolv.conf"]; !strings.HasPrefix(c, "search example.com\n") || !strings.HasSuffix(c, "nameserver 10.1.2.1\n") {
		t.Errorf("resolv.conf:\n%s", c)
	}
}

func TestFailureUndoesWhatWasBegun(t *testing.T) {
	refuse := `[ $CNI_COMMAND = DEL ] || { printf %s '{"code":11,"msg":"try\nagain","details":"later"}'; exit 1; }`
	l := newLab(t, okay, refuse, okay)
	l.expectError(`network "fake": CNI plugin b: ADD: try again: later (code 11)`)
	l.expectLog("a ADD", "b ADD", "b DEL", "a DEL")
}

func TestFailureWithoutWords(t *testing.T) {
	l := newLab(t, `[ $CNI_COMMAND = DEL ] || { printf '\033[1mno\n' >&2; exit 3; }`)
	l.expectError(`network "fake": CNI plugin a: ADD: exit status 3: ?[1mno`)
}

func TestGarbageIsNoResult(t *testing.T) {
	l := newLab(t, okay, "echo '[1]'")
	_, err := Connect(context.Background(), "web", l.Options)
	if err == nil || !strings.HasPrefix(err.Error(), `network "fake": CNI plugin b: ADD: its result: `) {
		t.Errorf("error = %v", err)
	}
	l.expectLog("a ADD", "b ADD", "b DEL", "a DEL")
	l.expectNothing()
}

func TestEndlessOutput(t *testing.T) {
	l := newLab(t, `[ $CNI_COMMAND = DEL ] || exec cat /dev/zero`)
	_, err := Connect(context.Background(), "web", l.Options)
	if err == nil {
		t.Error("there was no error")
	}
	l.expectLog("a ADD", "a DEL")
	l.expectNothing()
}

func TestHangingPluginIsKilledWithItsChildren(t *testing.T) {
	l := newLab(t, okay, `[ $CNI_COMMAND = DEL ] || { sleep 1000 & echo $! >child; wait; }`)
	l.Timeout = 500 * time.Millisecond
	l.expectError(`network "fake": CNI plugin b: ADD: it was killed after 500ms`)
	l.expectLog("a ADD", "b ADD", "b DEL", "a DEL")
	// It may be a zombie still, of whoever adopts orphans here.
	stat, err := os.ReadFile("/proc/" + strings.TrimSpace(l.read("child")) + "/stat")
	if err == nil && !strings.Contains(string(stat), "(sleep) Z") && !strings.Contains(string(stat), "(sleep) X") {
		t.Errorf("its child is alive: %s", stat)
	}
}

func TestInterruptedConnectUndoes(t *testing.T) {
	l := newLab(t, okay, `[ $CNI_COMMAND = DEL ] || { mkfifo here; echo >here; sleep 1000; }`)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		for !errors.Is(ctx.Err(), context.Canceled) {
			if f, err := os.Open(filepath.Join(l.dir, "here")); err == nil { // blocks until b is there
				_ = f.Close()
				return
			}
		}
	}()
	_, err := Connect(ctx, "web", l.Options)
	cancel()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	l.expectLog("a ADD", "b ADD", "b DEL", "a DEL")
	l.expectNothing()
}

func TestCloseGoesOnAndSweepTriesAgain(t *testing.T) {
	l := newLab(t, okay, `[ ! -e broken ] || exit 1; `+okay)
	a := l.connect()
	l.write("broken", "", 0o644)
	err := a.Close()
	if err == nil || !strings.HasPrefix(err.Error(), "CNI plugin b: DEL: exit status 1 (hint: ") {
		t.Errorf("error = %v", err)
	}
	l.expectLog("a ADD", "b ADD", "b DEL", "a DEL")
	if pinned(a.Path()) {
		t.Error("the namespace is left")
	}
	if err := os.Remove(filepath.Join(l.dir, "broken")); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(context.Background(), l.StateDir); err != nil {
		t.Fatal(err)
	}
	l.expectLog("b DEL", "a DEL")
	l.expectNothing()
}

func TestLivingOwnerIsLeftAlone(t *testing.T) {
	l := newLab(t, okay)
	a := l.connect()
	if err := Sweep(context.Background(), l.StateDir); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(context.Background(), "web", l.Options); !errors.Is(err, errBusy) {
		t.Errorf("error = %v, want %v", err, errBusy)
	}
	l.expectLog("a ADD")
	if !pinned(a.Path()) {
		t.Error("the namespace is gone")
	}
}

// startOwner is a process that connects "killed".
func (l *lab) startOwner() (cmd *exec.Cmd, said *bufio.Reader) {
	l.t.Helper()
	cmd = exec.Command("/proc/self/exe", l.dir, l.StateDir)
	cmd.Env = append(os.Environ(), roleEnv+"="+roleOwner)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return cmd, bufio.NewReader(out)
}

func TestSweepUndoesWhatAKilledOwnerLeft(t *testing.T) {
	l := newLab(t, okay, okay)
	cmd, said := l.startOwner()
	if text, err := said.ReadString('\n'); text != "connected\n" {
		t.Fatal(text, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	for range 2 {
		if err := Sweep(context.Background(), l.StateDir); err != nil {
			t.Fatal(err)
		}
	}
	l.expectLog("a ADD", "b ADD", "b DEL", "a DEL")
	l.expectNothing()
}

func TestPluginOfAKilledOwnerFinishesFirst(t *testing.T) {
	l := newLab(t, `[ $CNI_COMMAND = DEL ] || { echo >begun; read x <end; }; `+okay)
	for _, name := range []string{"begun", "end"} {
		if err := unix.Mkfifo(filepath.Join(l.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd, _ := l.startOwner()
	l.read("begun")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if err := Sweep(context.Background(), l.StateDir); err != nil {
		t.Fatal(err)
	}
	l.expectLog("a ADD") // its ADD is not done
	dir, err := os.Open(filepath.Join(leasesDir(l.StateDir), "killed"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	l.write("end", "\n", 0o600)
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil { // until it has ended
		t.Fatal(err)
	}
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	// The next one of this ID does it as well as Sweep.
	a, err := Connect(context.Background(), "killed", Options{Name: Bridge, PluginDirs: l.PluginDirs, StateDir: l.StateDir})
	if err == nil {
		_ = a.Close()
	}
	if !errors.Is(err, ErrUnusable) { // it has looked for plugins first
		t.Errorf("error = %v, want %v", err, ErrUnusable)
	}
	if err := Disconnect("killed", l.StateDir); err != nil {
		t.Fatal(err)
	}
	l.expectLog("a DEL")
	l.expectNothing()
}

func TestConnectRefuses(t *testing.T) {
	l := newLab(t, okay)
	none := filepath.Join(l.dir, "none")
	cases := []struct {
		name string
		id   string
		o    Options
		want string
	}{
		{"id", "a/b", Options{}, `network "bridge": the container's ID "a/b" has characters that CNI does not allow`},
		{"plugins", "web", Options{PluginDirs: []string{none}},
			`network "bridge": no CNI plugin bridge in ` + none + ` (install containernetworking-plugins; hint: --net host or --net none)`},
		{"portmap", "web", Options{PluginDirs: []string{none}, Publish: []Port{{Container: 80}}},
			`network "bridge": no CNI plugin bridge in ` + none + ` (install containernetworking-plugins; hint: --net host or --net none)`},
		{"name", "web", Options{Name: "blue", ConfDir: l.dir}, `network "blue": not in ` + l.dir + ` (hint: there are bridge, fake, host and none)`},
		{"dns", "web", Options{DNS: DNS{Servers: []string{"1.1.1.1\noptions"}}}, `name server "1.1.1.1\noptions": no address`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Connect(context.Background(), c.id, c.o); err == nil || err.Error() != c.want {
				t.Errorf("error = %v\nwant    %s", err, c.want)
			}
		})
	}
	l.expectNothing()
}
