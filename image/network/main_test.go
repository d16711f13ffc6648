// SPDX-License-Identifier: Apache-2.0

package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary runs itself again as one of these.
const (
	roleEnv       = "BERTH_NETWORK_TEST"
	roleContained = "contained" // in a network and with a /run of its own
	roleOwner     = "owner"     // connects, says so, and waits to be killed
)

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case roleOwner:
		os.Exit(owner())
	case roleContained:
		if err := ownRun(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Geteuid() != 0 {
		os.Exit(m.Run()) // those that need root skip
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roleEnv+"="+roleContained)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil {
		os.Exit(1)
	}
}

// ownRun keeps names of namespaces away from the machine, and the loopback up.
func ownRun() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

func owner() int {
	o := Options{Name: "fake", PluginDirs: []string{os.Args[1]}, ConfDir: os.Args[1], StateDir: os.Args[2]}
	if _, err := Connect(context.Background(), "killed", o); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("connected")
	select {}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces")
	}
}

// lab is a network of plugins that are shell scripts: each logs what it is
// called with, and then does what the test says.
type lab struct {
	Options
	t   *testing.T
	dir string
}

// okay prints a result.
const okay = `echo '{"cniVersion":"1.0.0","ips":[{"address":"10.1.2.3/24"}],"dns":{"nameservers":["10.1.2.1"]}}'`

// newLab makes plugins a, b, … with these scripts.
func newLab(t *testing.T, scripts ...string) *lab {
	t.Helper()
	needRoot(t)
	l := &lab{t: t, dir: t.TempDir()}
	l.Options = Options{Name: "fake", PluginDirs: []string{l.dir}, ConfDir: l.dir, StateDir: filepath.Join(t.TempDir(), "state")}
	var plugins []string
	for i, body := range scripts {
		name := string(rune('a' + i))
		l.script(name, body)
		plugins = append(plugins, fmt.Sprintf(`{"type":%q,"capabilities":{"portMappings":true}}`, name))
	}
	list := fmt.Sprintf(`{"cniVersion":"1.0.0","name":"fake","plugins":[%s]}`, strings.Join(plugins, ","))
	l.write("fake.conflist", list, 0o644)
	return l
}

func (l *lab) write(name, text string, mode os.FileMode) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(text), mode); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) script(name, body string) {
	l.write(name, "#!/bin/sh\ncd "+l.dir+"\necho "+name+" $CNI_COMMAND >>log\ncat >"+name+".$CNI_COMMAND\n"+body+"\n", 0o755)
}

func (l *lab) read(name string) string {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(data)
}

// expectLog compares the calls so far, and forgets them.
func (l *lab) expectLog(want ...string) {
	l.t.Helper()
	if got := strings.TrimSpace(strings.ReplaceAll(l.read("log"), "\n", ", ")); strings.TrimSuffix(got, ",") != strings.Join(want, ", ") {
		l.t.Errorf("calls = %s, want %s", got, strings.Join(want, ", "))
	}
	l.write("log", "", 0o644)
}

// expectNothing says that no attachment and no namespace is left.
func (l *lab) expectNothing() {
	l.t.Helper()
	for _, dir := range []string{leasesDir(l.StateDir), namespaces} {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			l.t.Fatal(err)
		}
		for _, e := range entries {
			l.t.Errorf("left: %s", filepath.Join(dir, e.Name()))
		}
	}
}

// connect connects a container called web.
func (l *lab) connect() *Attachment {
	l.t.Helper()
	a, err := Connect(context.Background(), "web", l.Options)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = a.Close() }) // a test that has failed
	return a
}

// expectError connects, and wants it to fail with this text and nothing left.
func (l *lab) expectError(want string) {
	l.t.Helper()
	a, err := Connect(context.Background(), "web", l.Options)
	if err == nil {
		_ = a.Close()
	}
	if got := fmt.Sprint(err); got != want {
		l.t.Errorf("error = %s\nwant    %s", got, want)
	}
	l.expectNothing()
}
