// SPDX-License-Identifier: Apache-2.0

package ociruntime

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/internal/atomicfile"
	"berth/libcontainer"
	"berth/libcontainer/config"
	"berth/shim/supervise"
	"berth/specconv"
)

// Options of a container, whichever runtime it has.
type Options struct {
	ID     string
	Bundle string // absolute
	// Root is the state root, where the runtime's own command line finds the
	// container too.
	Root          string
	SystemdCgroup bool
	NoPivot       bool
	NoNewKeyring  bool
	Rootless      bool
	Warn          func(error)
}

// Berth runs a container by libcontainer in this process.
type Berth struct {
	o Options
}

var _ supervise.Runtime = (*Berth)(nil)

// NewBerth returns the runtime of a container that need not exist.
func NewBerth(o Options) *Berth { return &Berth{o} }

func (b *Berth) warn(msg string) {
	if b.o.Warn != nil {
		b.o.Warn(errors.New(msg))
	}
}

func (b *Berth) driver() config.CgroupDriver {
	if b.o.SystemdCgroup {
		return config.CgroupSystemd
	}
	return config.CgroupFS
}

// Create makes the container of the bundle.
func (b *Berth) Create(w supervise.Wiring) (supervise.Process, error) {
	spec, err := specconv.Load(b.o.Bundle)
	if err != nil {
		return nil, err
	}
	cfg, warnings, err := specconv.Convert(spec, specconv.Options{
		ID: b.o.ID, Bundle: b.o.Bundle, NoPivot: b.o.NoPivot, CgroupDriver: b.driver(), Rootless: b.o.Rootless,
	})
	for _, m := range warnings {
		b.warn(m)
	}
	if err != nil {
		return nil, err
	}
	if err := specconv.CheckRootfs(cfg.Rootfs); err != nil {
		return nil, err
	}
	c, err := libcontainer.Create(libcontainer.CreateOptions{
		Root: b.o.Root, ID: b.o.ID, Config: cfg, Stdio: w.Stdio, Console: w.Console,
		NoNewKeyring: b.o.NoNewKeyring, Warn: b.warn,
	})
	if err != nil {
		return nil, err
	}
	p, err := b.begin(c)
	if err != nil {
		_ = c.Delete(true, b.warn)
		return nil, err
	}
	return p, nil
}

// begin takes over init.
func (b *Berth) begin(c *libcontainer.Container) (supervise.Process, error) {
	init, err := c.Init()
	if err != nil {
		return nil, err
	}
	// containerd and `delete` look for it here.
	pid := strconv.Itoa(init.Pid())
	if err := atomicfile.Write(filepath.Join(b.o.Bundle, "init.pid"), []byte(pid), 0o644); err != nil {
		return nil, err
	}
	return OpenChild(init.Pid())
}

func (b *Berth) load() (*libcontainer.Container, error) {
	c, err := libcontainer.Load(b.o.Root, b.o.ID)
	return c, notFound(err)
}

// notFound gives an error of libcontainer its class.
func notFound(err error) error {
	if errors.Is(err, libcontainer.ErrNotExist) || errors.Is(err, libcontainer.ErrNotRunning) {
		return fmt.Errorf("%w: %w", err, supervise.ErrNotFound)
	}
	return err
}

// with loads the container for one call: its record is the truth, since the
// berth command may change it too.
func (b *Berth) with(f func(*libcontainer.Container) error) error {
	c, err := b.load()
	if err != nil {
		return err
	}
	return notFound(f(c))
}

// Start lets init go.
func (b *Berth) Start() error {
	return b.with(func(c *libcontainer.Container) error {
		return c.Start(libcontainer.StartOptions{Warn: b.warn})
	})
}

// Exec starts a process.
func (b *Berth) Exec(_ string, spec *specs.Process, w supervise.Wiring) (supervise.Process, error) {
	c, err := b.load()
	if err != nil {
		return nil, err
	}
	ctx := specconv.ProcessContext{Rootless: b.o.Rootless}
	ctx.UIDMappings, ctx.GIDMappings = c.IDMappings()
	p, warnings, err := specconv.ConvertProcess(spec, ctx)
	for _, m := range warnings {
		b.warn(m)
	}
	if err != nil {
		return nil, err
	}
	process, err := c.Exec(libcontainer.ExecOptions{
		Process: p, Stdio: w.Stdio, Console: w.Console, NoNewKeyring: b.o.NoNewKeyring, Warn: b.warn,
	})
	if err != nil {
		return nil, notFound(err)
	}
	return OpenChild(process.Pid())
}

// Kill signals init or all.
func (b *Berth) Kill(sig unix.Signal, all bool) error {
	return b.with(func(c *libcontainer.Container) error { return c.Kill(sig, all) })
}

// Delete removes the container.
func (b *Berth) Delete(force bool) error {
	if force {
		return libcontainer.ForceDelete(b.o.Root, b.o.ID, b.warn)
	}
	err := b.with(func(c *libcontainer.Container) error { return c.Delete(false, b.warn) })
	if errors.Is(err, libcontainer.ErrNotExist) {
		return nil
	}
	return err
}

// Pause stops all processes.
func (b *Berth) Pause() error {
	return b.with(func(c *libcontainer.Container) error { return c.Pause() })
}

// Resume lets them go on.
func (b *Berth) Resume() error {
	return b.with(func(c *libcontainer.Container) error { return c.Resume() })
}

// Update changes limits.
func (b *Berth) Update(r *specs.LinuxResources) error {
	return b.with(func(c *libcontainer.Container) error {
		_, err := c.Update(libcontainer.UpdateOptions{Resources: r, Warn: b.warn})
		return err
	})
}

// Pids are all in the container's cgroup.
func (b *Berth) Pids() (pids []int, err error) {
	err = b.with(func(c *libcontainer.Container) error {
		pids, err = c.PIDs()
		return err
	})
	return pids, err
}

// Checkpoint is not there.
func (b *Berth) Checkpoint(supervise.CheckpointOptions) error {
	return fmt.Errorf("berth has no checkpoint: %w", supervise.ErrNotImplemented)
}
