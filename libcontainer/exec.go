// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/internal/inroot"
	"berth/internal/pidfd"
	"berth/libcontainer/boot"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
	"berth/libcontainer/lsm"
	"berth/libcontainer/plan"
	"berth/libcontainer/state"
)

// execution is one exec in progress.
type execution struct {
	c      *Container
	o      ExecOptions
	host   host.Facts
	pidfd  *pidfd.Handle
	saved  *state.Exec
	in     *plan.Input
	plan   *plan.Plan
	driver *driver
	files  []*os.File
}

// Exec starts a process in a running container. The process is our child.
func (c *Container) Exec(o ExecOptions) (*Process, error) {
	if err := c.mayExec(o); err != nil {
		return nil, err
	}
	e := &execution{c: c, o: o}
	defer e.close()
	if err := e.prepare(); err != nil {
		return nil, err
	}
	if err := e.run(); err != nil {
		if e.driver != nil {
			e.driver.abort()
		}
		return nil, e.explain(err)
	}
	e.driver.child.Close()
	return &Process{pid: e.driver.pid}, nil
}

func (c *Container) mayExec(o ExecOptions) error {
	status, err := c.Status()
	if err != nil {
		return err
	}
	switch status {
	case Stopped, Creating:
		return ErrStopped
	case Paused:
		if !o.IgnorePaused {
			return ErrPaused
		}
	}
	return nil
}

func (e *execution) prepare() error {
	var err error
	rec := e.c.rec
	if e.host, err = host.Probe(); err != nil {
		return err
	}
	if e.pidfd, err = pidfd.OpenVerified(rec.InitPid, rec.InitStart); err != nil {
		if errors.Is(err, pidfd.ErrGone) {
			return ErrStopped
		}
		return err
	}
	p := e.o.Process
	if p.CPUAffinity == nil {
		p.CPUAffinity = rec.ExecCPUAffinity
	}
	if err := lsm.Check(p.AppArmorProfile, p.SELinuxLabel); err != nil {
		return err
	}
	e.home(p)
	filter, err := e.filter()
	if err != nil {
		return err
	}
	e.in = &plan.Input{
		ID: rec.ID, Config: plan.ExecConfig(p), Host: e.host, Filter: filter, Stdio: gatherStdio(e.o.Stdio),
		PreserveFDs: e.o.ListenFDs + e.o.PreserveFDs, NoNewKeyring: e.o.NoNewKeyring || rec.NoNewKeyring,
		Exec: joins(rec.Namespaces, rec.NoPivot),
	}
	return nil
}

// filter returns the container's own filter, which create compiled: what is
// started later must not escape it.
func (e *execution) filter() (*plan.Filter, error) {
	if !e.c.rec.SeccompPresent {
		return nil, nil
	}
	saved, err := e.c.store.LoadExec(e.c.rec.ID)
	if err != nil {
		return nil, err
	}
	e.saved = saved
	return &plan.Filter{BPF: saved.Filter, Flags: saved.FilterFlags, Listener: saved.Listener}, nil
}

// joins says what to join: every namespace that is not the host's.
func joins(list map[string]string, noPivot bool) *plan.Exec {
	x := &plan.Exec{NoPivot: noPivot}
	for name := range list {
		t := config.NamespaceType(name)
		x.Namespaces |= plan.CloneFlag(t)
		x.UserNS = x.UserNS || t == config.UserNS
		x.PIDNS = x.PIDNS || t == config.PIDNS
	}
	return x
}

// home looks HOME up in the container's root, through a descriptor of it.
func (e *execution) home(p *config.Process) {
	root, err := inroot.Open("/proc/" + strconv.Itoa(e.c.rec.InitPid) + "/root")
	if err != nil { // not ours to look into: then it is /
		withHome(p, nil)
		return
	}
	defer root.Close()
	withHome(p, root)
}

func (e *execution) run() error {
	m, err := e.c.cgroup()
	if err != nil {
		return err
	}
	groups, dir, err := m.ExecProcs(e.o.Cgroups, e.c.rec.InitPid)
	if err != nil {
		return err
	}
	e.files = append(e.files, groups...)
	if dir != nil {
		e.files = append(e.files, dir)
	}
	for _, g := range groups {
		e.in.CgroupFiles = append(e.in.CgroupFiles, g.Name())
	}
	e.in.CgroupBarrier = dir == nil && len(e.o.Cgroups) == 0 && m.MustAttach()
	if e.plan, err = plan.CompileExec(e.in, boot.Arch(runtime.GOARCH)); err != nil {
		return err
	}
	if e.o.Warn != nil {
		for _, w := range e.plan.Warnings {
			e.o.Warn(w)
		}
	}
	files, err := e.openFiles(groups)
	if err != nil {
		return err
	}
	e.driver = &driver{in: e.in, plan: e.plan}
	e.driver.steps = map[plan.StepKind]func(plan.Step, boot.Message) ([]byte, error){
		plan.StepCgroup: func(plan.Step, boot.Message) ([]byte, error) { return nil, m.Attach(e.driver.pid) },
		plan.StepConsole: func(_ plan.Step, m boot.Message) ([]byte, error) {
			return nil, passConsole(m, e.o.ConsoleSocket, e.o.Console)
		},
		plan.StepListener: e.listener,
		plan.StepReady:    e.ready,
	}
	if err := e.driver.start(files, dir); err != nil {
		return err
	}
	return e.driver.drive(true)
}

func (e *execution) openFiles(groups []*os.File) ([]*os.File, error) {
	files := make([]*os.File, len(e.plan.Files))
	for n, f := range e.plan.Files {
		switch f.Kind {
		case plan.FileStdio, plan.FileNull:
			if s := e.o.Stdio[f.Index]; f.Kind == plan.FileStdio && isOpen(s) {
				files[n] = s
				break
			}
			null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
			if err != nil {
				return nil, err
			}
			files[n] = null
			e.files = append(e.files, null)
		case plan.FilePreserved:
			files[n] = os.NewFile(uintptr(n), "preserved")
		case plan.FileCgroup:
			files[n] = groups[f.Index]
		case plan.FilePidfd:
			files[n] = e.pidfd.File()
		case plan.FileRoot:
			path := "/proc/" + strconv.Itoa(e.c.rec.InitPid) + "/root"
			fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return nil, fmt.Errorf("root of the container: %w", err)
			}
			files[n] = os.NewFile(uintptr(fd), path)
			e.files = append(e.files, files[n])
		}
	}
	return files, nil
}

func (e *execution) ready(plan.Step, boot.Message) ([]byte, error) {
	pid := e.driver.pid
	if !e.driver.plan.OwnRlimits {
		if err := setRlimits(pid, e.o.Process.Rlimits); err != nil {
			return nil, err
		}
	}
	if err := sendPidfd(e.o.PidfdSocket, "setns", pid); err != nil {
		return nil, err
	}
	return nil, writePidFile(e.o.PidFile, pid)
}

func (e *execution) listener(_ plan.Step, m boot.Message) ([]byte, error) {
	return nil, passListener(m, e.saved.ListenerPath, e.saved.ListenerMetadata, specState(e.c.rec, "running", e.c.rec.InitPid), e.driver.pid)
}

func (e *execution) explain(err error) error {
	if errors.Is(err, errKilled) {
		if m, e2 := e.c.cgroup(); e2 == nil {
			if n, e2 := m.OOMKills(); e2 == nil && n > 0 {
				return fmt.Errorf("%w (possibly OOM-killed)", err)
			}
		}
	}
	return fmt.Errorf("unable to start container process: %w", err)
}

func (e *execution) close() {
	for _, f := range e.files {
		f.Close()
	}
	if e.pidfd != nil {
		e.pidfd.Close()
	}
}
