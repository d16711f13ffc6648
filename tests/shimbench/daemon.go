// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/rig"
)

// daemon is a containerd of our own, with what it needs in one directory.
type daemon struct {
	*client
	dir       string // a tmpfs
	namespace string // of containerd; in it nobody else's containers are
	path      string // $PATH of containerd: our shim first
	cmd       *exec.Cmd
	ended     chan struct{}

	hierarchies []string // mount points of ours
}

// config leaves out what no container of ours needs.
const config = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt", "io.containerd.internal.v1.restart",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "%[1]s/c.sock"
[ttrpc]
  address = "%[1]s/c.sock.ttrpc"
`

// startDaemon starts containerd with the shims of bin before those of $PATH.
func startDaemon(ctx context.Context, bin string) (_ *daemon, err error) {
	if _, err := os.Stat(filepath.Join(bin, shims[0].binary())); err != nil {
		return nil, fmt.Errorf("%w (run: make build)", err)
	}
	name := fmt.Sprintf("berth-shimbench-%d", os.Getpid())
	d := &daemon{namespace: name, path: bin + ":" + os.Getenv("PATH"), ended: make(chan struct{})}
	if d.dir, err = os.MkdirTemp("", "berth-shimbench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.lastWords(), d.close())
		}
	}()
	// As /run is on every host; and no disk between what is measured.
	if err := unix.Mount("tmpfs", d.dir, "tmpfs", unix.MS_NOSUID, "mode=711"); err != nil {
		return nil, fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	if err := d.mountHierarchies(); err != nil {
		return nil, err
	}
	if err := rig.Bundle(d.dir, nil); err != nil {
		return nil, err
	}
	if err := os.Mkdir(d.file("fifo"), 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.file("config.toml"), fmt.Appendf(nil, config, d.dir), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(d.file("log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d.cmd = exec.Command("containerd", "--config", d.file("config.toml"))
	d.cmd.Stdout, d.cmd.Stderr = log, log // stdin is /dev/null
	d.cmd.Env = append(os.Environ(), "PATH="+d.path)
	// A terminal's signals are for us, who end the containers first.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = d.cmd.Wait() // its log says why
		close(d.ended)
	}()
	d.client, err = connect(ctx, d.file("c.sock"), d.namespace, d.ended)
	return d, err
}

// mountHierarchies mounts the v1 hierarchies that are alive and not mounted:
// over one that it cannot find, runc's shim gives up a container's cgroup, and
// with it what it is to do for OOM events.
func (d *daemon) mountHierarchies() error {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, name := range missing(string(groups), string(mounts)) {
		point := d.file("hierarchy-" + name)
		if err := os.Mkdir(point, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", point, "cgroup", 0, name); err != nil {
			return fmt.Errorf("cannot mount the cgroup hierarchy of %s: %w", name, err)
		}
		d.hierarchies = append(d.hierarchies, point)
	}
	return nil
}

// missing lists the controllers of v1 hierarchies that no mount has.
func missing(groups, mounts string) []string {
	mounted := map[string]bool{}
	for line := range strings.Lines(mounts) {
		if _, after, ok := strings.Cut(line, " - cgroup "); ok {
			fields := strings.Fields(after)
			for option := range strings.SplitSeq(fields[len(fields)-1], ",") {
				mounted[option] = true
			}
		}
	}
	var names []string
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) < 3 || fields[1] == "" || strings.HasPrefix(fields[1], "name=") {
			continue // v2, or without controllers
		}
		if name, _, _ := strings.Cut(fields[1], ","); !mounted[name] {
			names = append(names, fields[1])
		}
	}
	return names
}

func (d *daemon) file(name string) string { return filepath.Join(d.dir, name) }

// ctr runs containerd's command line to its end.
func (d *daemon) ctr(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "ctr", append([]string{"--address", d.file("c.sock"), "--namespace", d.namespace}, args...)...)
	var out bytes.Buffer
	cmd.Stderr = &out // all else is /dev/null
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}

// lastWords are the end of containerd's log, as an error.
func (d *daemon) lastWords() error {
	data, err := os.ReadFile(d.file("log"))
	if err != nil || len(data) == 0 {
		return nil // it did not get as far
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return fmt.Errorf("containerd's log: %s", strings.Join(lines[max(0, len(lines)-5):], "\n"))
}

// versions are those of the programs that take part.
func (d *daemon) versions() []string {
	var list []string
	for _, args := range [][]string{
		{"containerd", "--version"}, {shims[0].binary(), "-v"}, {shims[1].binary(), "-v"}, {"runc", "--version"},
	} {
		cmd := exec.Command("env", append([]string{"PATH=" + d.path}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			list = append(list, args[0]+": "+err.Error())
			continue
		}
		words := strings.Fields(string(out))
		list = append(list, strings.Join(words[:min(len(words), 5)], " "))
	}
	return list
}

// close ends the containers, then containerd, and removes every trace.
func (d *daemon) close() error {
	var errs []error
	if d.client != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		errs = append(errs, d.client.endAll(ctx), d.awaitNoShims(ctx, ""))
		cancel()
		_ = d.client.conn.Close() // nothing is under way
	}
	if d.cmd != nil && d.cmd.Process != nil {
		_ = d.cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-d.ended:
		case <-time.After(10 * time.Second):
			_ = d.cmd.Process.Kill()
			<-d.ended
		}
	}
	for _, pid := range d.shims("") {
		errs = append(errs, fmt.Errorf("shim %d is left, and killed", pid))
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	for _, root := range []string{"/run/containerd/berth", "/run/containerd/runc"} {
		errs = append(errs, os.RemoveAll(filepath.Join(root, d.namespace)))
	}
	rig.Leave() // while all hierarchies are mounted
	for _, point := range append(d.hierarchies, d.dir) {
		_ = unix.Unmount(point, unix.MNT_DETACH) // the tmpfs may not be there yet
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}
