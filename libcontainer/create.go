// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
	"berth/internal/fdpass"
	"berth/internal/inroot"
	"berth/internal/pidfd"
	"berth/internal/procfs"
	"berth/internal/sdnotify"
	"berth/libcontainer/boot"
	"berth/libcontainer/cgroup"
	"berth/libcontainer/config"
	"berth/libcontainer/hook"
	"berth/libcontainer/host"
	"berth/libcontainer/plan"
	"berth/libcontainer/state"
)

// creation is one create (or run) in progress.
type creation struct {
	o       CreateOptions
	cfg     *config.Container
	store   state.Store
	rec     *state.Record
	host    host.Facts
	groups  cgroup.Facts
	cgroup  *cgroup.Manager
	limits  cgroup.Limits
	attach  bool    // init cannot be started in its v2 cgroup
	made    bool    // there may be a cgroup
	holder  *holder // the systemd scope's first process
	in      *plan.Input
	plan    *plan.Plan
	driver  *driver
	fifo    *os.File
	covered *os.File   // directory that a tmpfs with tmpcopyup is about to cover
	files   []*os.File // opened for the image, to be closed
}

// Create makes a container and leaves its init waiting for Start; with
// o.Start it starts it at once. What fails leaves nothing behind.
func Create(o CreateOptions) (*Container, error) {
	c := &creation{o: o, cfg: o.Config, store: state.Store{Root: o.Root}}
	if err := state.ValidateID(o.ID); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if err := c.mayCreate(); err != nil {
		return nil, err
	}
	if err := c.store.Reserve(o.ID); err != nil {
		return nil, err
	}
	if err := c.create(); err != nil {
		err = c.explain(err)
		c.undo()
		return nil, err
	}
	return &Container{store: c.store, rec: c.rec, init: &Process{pid: c.rec.InitPid}}, nil
}

// mayCreate refuses what the kernel would, with less to say about it.
func (c *creation) mayCreate() error {
	if c.host.EUID != 0 && c.host.Permitted&(1<<unix.CAP_SYS_ADMIN) == 0 && !c.cfg.Namespaces.Has(config.UserNS) {
		return errors.New("linux.namespaces: an ordinary user's container needs a user namespace (hint: berth spec --rootless makes such a config)")
	}
	return nil
}

// Plan returns what Create would do, without doing any of it. It needs no
// privilege; what only root can see is assumed.
func Plan(o CreateOptions) (*plan.Plan, error) {
	c := &creation{o: o, cfg: o.Config, store: state.Store{Root: o.Root}}
	if err := state.ValidateID(o.ID); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	var err error
	c.plan.Cgroup, err = c.cgroupSteps()
	return c.plan, err
}

// prepare does all that changes nothing: facts, paths, filter, plan.
func (c *creation) prepare() error {
	var err error
	if c.host, err = host.Probe(); err != nil {
		return err
	}
	if c.groups, err = cgroup.Probe(); err != nil && c.cfg.Cgroup.Driver != config.CgroupDisabled {
		return err
	}
	paths, err := c.resolveCgroup()
	if err != nil {
		return err
	}
	if err := c.checkLabels(); err != nil {
		return err
	}
	if err := c.checkJoined(); err != nil {
		return err
	}
	c.notifyMount()
	root, err := inroot.Open(c.cfg.Rootfs)
	if err != nil {
		return fmt.Errorf("root.path %s: %w", c.cfg.Rootfs, err)
	}
	defer root.Close()
	withHome(c.cfg.Process, root)
	mounts, err := gatherMounts(c.cfg, c.host, root, filepath.Join(c.store.Dir(c.o.ID), sdnotify.Dir))
	if err != nil {
		return err
	}
	filter, err := compileFilter(c.o.Root, c.cfg.Process.Seccomp, c.o.Warn)
	if err != nil {
		return err
	}
	c.attach = c.cgroup.MustAttach()
	c.in = &plan.Input{
		ID: c.o.ID, Config: c.cfg, Host: c.host, Mounts: mounts, Filter: filter,
		Stdio:       gatherStdio(c.o.Stdio),
		CgroupView:  cgroupView(c.cfg, c.groups, c.cgroup),
		CgroupFiles: cgroupFiles(paths), CgroupBarrier: c.attach || len(paths.V1) > 0,
		PreserveFDs: c.o.ListenFDs + c.o.PreserveFDs, NoNewKeyring: c.o.NoNewKeyring, Start: c.o.Start,
	}
	if c.plan, err = plan.Compile(c.in, boot.Arch(runtime.GOARCH)); err != nil {
		return err
	}
	for _, w := range c.plan.Warnings {
		c.warn(w)
	}
	return nil
}

func (c *creation) warn(msg string) {
	if c.o.Warn != nil {
		c.o.Warn(msg)
	}
}

// create does everything that delete has to undo. The record comes first.
func (c *creation) create() error {
	if err := c.cgroup.Check(); err != nil { // before it is recorded as ours
		return err
	}
	if err := c.record(); err != nil {
		return err
	}
	files, err := c.openFiles()
	defer c.closeFiles()
	if err != nil {
		return err
	}
	c.driver = &driver{in: c.in, plan: c.plan}
	c.driver.steps = map[plan.StepKind]func(plan.Step, boot.Message) ([]byte, error){
		plan.StepCgroup:    c.enterCgroup,
		plan.StepMapIDs:    c.mapIDs,
		plan.StepNetDevice: c.moveDevices,
		plan.StepHostHooks: c.hostHooks,
		plan.StepHookState: c.hookState,
		plan.StepCopyFrom:  c.copyFrom,
		plan.StepCopyTo:    c.copyTo,
		plan.StepConsole:   c.console,
		plan.StepListener:  c.listener,
		plan.StepReady:     c.ready,
	}
	for i, f := range c.plan.Files {
		if f.Kind == plan.FileHookOutput {
			c.driver.output = files[i]
		}
	}
	if err := c.startInCgroup(files); err != nil {
		return err
	}
	if err := c.driver.drive(c.o.Start); err != nil {
		return err
	}
	c.driver.child.Close()
	if c.o.Start {
		return poststart(c.rec, c.o.Warn)
	}
	return nil
}

// startInCgroup makes the cgroup and starts init: in it, or beside it. The
// kernel takes its time for both, so they go on side by side if init waits
// before it enters.
func (c *creation) startInCgroup(files []*os.File) error {
	if !c.in.CgroupBarrier {
		if err := c.makeCgroup(); err != nil {
			return err
		}
		var group *os.File
		if c.groups.Unified {
			var err error
			if group, err = c.cgroup.DirFile(); err != nil {
				return err
			}
		}
		if group != nil {
			defer group.Close()
		}
		return c.driver.start(files, group)
	}
	made := make(chan error, 1)
	go func() { made <- c.makeCgroup() }()
	err := c.driver.start(files, nil)
	if e := <-made; e != nil {
		return e
	}
	return err
}

// enterCgroup answers init that waits for its cgroup.
func (c *creation) enterCgroup(plan.Step, boot.Message) ([]byte, error) {
	if !c.attach {
		return nil, nil
	}
	return nil, c.cgroup.Attach(c.driver.pid)
}

// record writes down what is about to be made, so that delete can undo a
// create that was killed at any point.
func (c *creation) record() error {
	paths, err := json.Marshal(c.cgroup.Paths())
	if err != nil {
		return err
	}
	c.rec = &state.Record{
		ID: c.o.ID, OCIVersion: c.cfg.OCIVersion, Bundle: c.cfg.Bundle, Rootfs: c.cfg.Rootfs,
		Created: time.Now().UTC(), Phase: state.PhaseCreating, Rootless: c.cfg.Rootless, NoPivot: c.cfg.NoPivot,
		CgroupPaths: paths, CgroupDriver: string(c.cfg.Cgroup.Driver), Freezer: c.cgroup.FreezerFile(), DeviceRules: c.limits.Devices.Digest(),
		ConfigVersion: state.ConfigVersion, Annotations: c.cfg.Annotations, NoNewKeyring: c.o.NoNewKeyring,
		SeccompPresent: c.in.Filter != nil, Namespaces: make(map[string]string),
		ExecCPUAffinity: c.cfg.ExecCPUAffinity,
		Poststart:       c.cfg.Hooks.Poststart, Poststop: c.cfg.Hooks.Poststop,
	}
	for _, ns := range c.cfg.Namespaces {
		c.rec.Namespaces[string(ns.Type)] = ns.Path
	}
	if len(c.cfg.Mounts) > 0 && !c.cfg.Namespaces.Has(config.MountNS) {
		c.rec.HostMounts = true
		if c.rec.RootfsMount, err = mountID(c.cfg.Rootfs); err != nil {
			return err
		}
	}
	if err := c.store.Save(c.o.ID, c.rec); err != nil {
		return err
	}
	if f := c.in.Filter; f != nil {
		s := c.cfg.Process.Seccomp
		if err := c.store.SaveExec(c.o.ID, &state.Exec{
			Filter: f.BPF, FilterFlags: f.Flags, Listener: f.Listener,
			ListenerPath: s.ListenerPath, ListenerMetadata: s.ListenerMetadata,
		}); err != nil {
			return err
		}
	}
	if c.o.NotifySocket != "" {
		if _, err := sdnotify.Setup(c.store.Dir(c.o.ID)); err != nil {
			return err
		}
	}
	if c.o.Start {
		return nil
	}
	path := filepath.Join(c.store.Dir(c.o.ID), state.FifoName)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return fmt.Errorf("mkfifo %s: %w", path, err)
	}
	// Read and write: opening does not block, and reading never meets an end.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	c.fifo = os.NewFile(uintptr(fd), path)
	return nil
}

// mapIDs answers the barrier after unshare(CLONE_NEWUSER).
func (c *creation) mapIDs(_ plan.Step, m boot.Message) ([]byte, error) {
	return nil, writeIDMaps(m.Pid, c.cfg.UIDMappings, c.cfg.GIDMappings, c.host)
}

// hostHooks runs the hooks of the runtime's namespaces, and assigns the
// container to its resctrl group before its payload runs.
func (c *creation) hostHooks(plan.Step, boot.Message) ([]byte, error) {
	if err := c.joinRDT(); err != nil {
		return nil, err
	}
	st, err := c.stateJSON("creating", c.driver.pid)
	if err != nil {
		return nil, err
	}
	if err := runHooks("prestart", c.cfg.Hooks.Prestart, st); err != nil {
		return nil, err
	}
	return nil, runHooks("createRuntime", c.cfg.Hooks.CreateRuntime, st)
}

// runHooks runs one list in sequence; the first failure ends it.
func runHooks(point string, list []config.Hook, st []byte) error {
	if err := hook.RunAll(point, list, st); err != nil {
		return fmt.Errorf("error running %w", err)
	}
	return nil
}

func (c *creation) hookState(plan.Step, boot.Message) ([]byte, error) {
	return c.stateJSON("creating", c.driver.pid)
}

// stateJSON is what hooks get on stdin, runtime-spec runtime.md#state.
func (c *creation) stateJSON(status string, pid int) ([]byte, error) {
	return hookState(c.rec, status, pid)
}

// console hands the pty's master to whom it is for.
func (c *creation) console(_ plan.Step, m boot.Message) ([]byte, error) {
	return nil, passConsole(m, c.o.ConsoleSocket, c.o.Console)
}

func passConsole(m boot.Message, socket string, console func(*os.File) error) error {
	if len(m.FDs) != 1 {
		return fmt.Errorf("process.terminal: %d descriptors instead of the pty's master", len(m.FDs))
	}
	master := m.FDs[0]
	if console != nil {
		return console(master)
	}
	defer master.Close()
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return fmt.Errorf("process.terminal: TIOCGPTN: %w", err)
	}
	name := "/dev/pts/" + strconv.Itoa(n)
	if err := fdpass.SendToSocket(socket, []byte(name), master); err != nil {
		return fmt.Errorf("process.terminal: console socket %s: %w", socket, err)
	}
	return nil
}

// ready is the last step: limits, the record, the pid file; then init may
// wait for start, or go on.
func (c *creation) ready(plan.Step, boot.Message) ([]byte, error) {
	pid := c.driver.pid
	if err := c.finishCgroup(); err != nil {
		return nil, err
	}
	if !c.plan.OwnRlimits {
		if err := setRlimits(pid, c.cfg.Process.Rlimits); err != nil {
			return nil, err
		}
	}
	start, err := procfs.StartTime(pid)
	if err != nil {
		return nil, err
	}
	c.rec.InitPid, c.rec.InitStart, c.rec.Phase = pid, start, ""
	if err := c.store.Save(c.o.ID, c.rec); err != nil {
		return nil, err
	}
	if err := sendPidfd(c.o.PidfdSocket, "standard", pid); err != nil {
		return nil, err
	}
	if err := writePidFile(c.o.PidFile, pid); err != nil {
		return nil, err
	}
	if len(c.cfg.Hooks.StartContainer) == 0 {
		return nil, nil
	}
	return c.stateJSON("created", pidInside(c.cfg, pid))
}

// pidInside is the pid that a startContainer hook sees for init.
func pidInside(cfg *config.Container, pid int) int {
	if cfg.Namespaces.New(config.PIDNS) {
		return 1
	}
	if inner, err := innerPid(pid); err == nil {
		return inner
	}
	return pid
}

func setRlimits(pid int, list []config.Rlimit) error {
	for _, r := range list {
		limit := unix.Rlimit{Cur: r.Soft, Max: r.Hard}
		if err := unix.Prlimit(pid, r.Resource, &limit, nil); err != nil {
			hint := ""
			if errors.Is(err, unix.EPERM) {
				hint = "; hint: " + raisesLimit
			}
			return fmt.Errorf("process.rlimits: %s: prlimit soft %d, hard %d: %w%s", r.Name, r.Soft, r.Hard, err, hint)
		}
	}
	return nil
}

func sendPidfd(socket, payload string, pid int) error {
	if socket == "" {
		return nil
	}
	p, err := pidfd.Open(pid)
	if err != nil {
		return err
	}
	defer p.Close()
	if err := fdpass.SendToSocket(socket, []byte(payload), p.File()); err != nil {
		return fmt.Errorf("pidfd socket %s: %w", socket, err)
	}
	return nil
}

func writePidFile(path string, pid int) error {
	if path == "" {
		return nil
	}
	if err := atomicfile.Write(path, []byte(strconv.Itoa(pid)), 0o666); err != nil {
		return fmt.Errorf("pid file: %w", err)
	}
	return nil
}

// explain adds what only the parent knows: a kill by the memory limit.
func (c *creation) explain(err error) error {
	if !errors.Is(err, errKilled) {
		return fmt.Errorf("unable to start container process: %w", err)
	}
	if n, e := c.cgroup.OOMKills(); e == nil && n > 0 {
		return errors.New("unable to start container process: container init was OOM-killed (memory limit too low?)")
	}
	return fmt.Errorf("unable to start container process: %w", err)
}

// undo removes everything that a failed create has made. The spec's life
// cycle goes through the poststop hooks then, too.
func (c *creation) undo() {
	if c.driver != nil {
		c.driver.abort()
	}
	if c.holder != nil {
		c.holder.end()
	}
	if c.fifo != nil {
		c.fifo.Close()
	}
	if c.rec != nil && !c.made {
		c.rec.CgroupPaths = nil // what is there is another's
	}
	if c.rec == nil {
		_ = c.store.Remove(c.o.ID)
		return
	}
	if err := destroy(c.store, c.rec, c.o.Warn); err != nil {
		c.warn(err.Error())
	}
}

// notifyMount shows the directory of NOTIFY_SOCKET in the container.
func (c *creation) notifyMount() {
	if c.o.NotifySocket == "" {
		return
	}
	source := filepath.Join(c.store.Dir(c.o.ID), sdnotify.Dir)
	c.cfg.Mounts = append(c.cfg.Mounts, config.Mount{
		Index: len(c.cfg.Mounts), Destination: sdnotify.MountPoint, Source: source, Type: "bind", Bind: true,
		Set: unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC,
	})
	c.cfg.Process.Env = append(c.cfg.Process.Env, sdnotify.Env)
}
