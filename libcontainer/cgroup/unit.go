// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/limit"
	"berth/libcontainer/cgroup/systemd"
	"berth/libcontainer/config"
)

// ErrNoSystemd is returned for the systemd driver where systemd does not run.
var ErrNoSystemd = errors.New("systemd is not running on this host (no /run/systemd/system), cannot use the systemd cgroup driver; use --cgroup-manager cgroupfs")

// CheckDriver says whether driver can be used on this host.
func CheckDriver(driver config.CgroupDriver) error {
	if driver != config.CgroupSystemd {
		return nil
	}
	// sd_booted(3): the directory is there when systemd is the init system.
	if fi, err := os.Lstat("/run/systemd/system"); err != nil || !fi.IsDir() {
		return ErrNoSystemd
	}
	return nil
}

// FindUserManager sets f.UserManager: from our own cgroup if we are below the
// manager, else by asking it.
func (f *Facts) FindUserManager() error {
	if before, _, ok := strings.Cut(f.Own[""]+"/", ".service/"); ok && strings.HasPrefix(filepath.Base(before), "user@") {
		f.UserManager = before + ".service"
		return nil
	}
	ctx := context.Background() // the bus has its own limit, 30 s
	bus, err := systemd.Connect(ctx, true)
	if err != nil {
		return err
	}
	defer bus.Close()
	f.UserManager, err = bus.ControlGroup(ctx)
	return err
}

// resolveUnit says which unit the container gets, and where its cgroup will be.
func resolveUnit(c config.Cgroup, id string, rootless bool, f Facts) (Paths, error) {
	p := Paths{Rootless: rootless}
	if rootless && !f.Unified {
		return p, errors.New("cgroup v2 not enabled on this host, can't use systemd (rootless) as cgroups manager")
	}
	u, err := systemd.Resolve(c.Path, id, rootless)
	if err != nil {
		return p, err
	}
	p.Unit = &u
	below := u.Below(f.UserManager)
	for _, h := range f.Hierarchies {
		d := Dir{Controllers: h.Controllers, Mount: h.Mountpoint, Root: rootOf(h.Root)}
		d.Path = d.below(below)
		p.V1 = append(p.V1, d)
	}
	if f.Unified {
		d := Dir{Controllers: f.V2Controllers, Mount: f.V2Mount, Root: rootOf(f.V2Root)}
		d.Path = d.below(below)
		p.V2 = &d
	}
	return p, nil
}

// UnitRequest is what systemd is told of a new container.
type UnitRequest struct {
	ID string
	// PID is a process to start the unit with: systemd makes no scope without.
	// It must stay until the container's first process is in the cgroup.
	PID         int
	Resources   *specs.LinuxResources
	Annotations map[string]string
}

// UnitProperties returns the properties that StartUnit would set, printable.
// version is that of systemd, 0 for a recent one.
func (m *Manager) UnitProperties(q UnitRequest, version int) (systemd.Properties, []string, error) {
	if version == 0 {
		version = recentSystemd
	}
	h := systemd.Host{V2: m.paths.V2 != nil, Version: version}
	if data, err := os.ReadFile("/proc/devices"); err == nil {
		h.ProcDevices = string(data)
	}
	return systemd.Request{
		Unit: *m.paths.Unit, ID: q.ID, PID: uint32(q.PID),
		Resources: roomForHolder(q.Resources, q.PID), Annotations: q.Annotations,
	}.Properties(h)
}

// recentSystemd has every property that we know of.
const recentSystemd = 257

// roomForHolder leaves room for the process that the unit is started with,
// where the limit is one process. FinishUnit sets the limit itself.
func roomForHolder(r *specs.LinuxResources, pid int) *specs.LinuxResources {
	if pid == 0 || !onlyOne(r) {
		return r
	}
	two, out := int64(2), *r
	out.Pids = &specs.LinuxPids{Limit: &two}
	out.Unified = maps.Clone(r.Unified)
	delete(out.Unified, pidsMax)
	return &out
}

// pidsMax is the file that has the last word.
const pidsMax = "pids.max"

func onlyOne(r *specs.LinuxResources) bool {
	if r == nil {
		return false
	}
	if s, ok := r.Unified[pidsMax]; ok {
		return s == "0" || s == "1"
	}
	return r.Pids != nil && r.Pids.Limit != nil && limit.PIDsMax(*r.Pids.Limit) == "1"
}

// StartUnit has systemd make the unit, and with it the cgroup. Create then
// makes what systemd leaves out. It does nothing with the cgroupfs driver.
func (m *Manager) StartUnit(q UnitRequest) (warnings []string, err error) {
	ctx := context.Background() // the bus has its own limit, 30 s
	bus, err := systemd.Connect(ctx, m.paths.Unit.User)
	if err != nil {
		return nil, err
	}
	defer bus.Close()
	version, err := bus.Version(ctx)
	if err != nil {
		return nil, err
	}
	props, warnings, err := m.UnitProperties(q, version)
	if err != nil {
		return nil, err
	}
	return warnings, bus.Start(ctx, *m.paths.Unit, props)
}

// FinishUnit is to be called when the container's first process is in the
// cgroup and that of the UnitRequest is gone.
func (m *Manager) FinishUnit(r *specs.LinuxResources) error {
	if m.paths.Unit == nil || !onlyOne(r) {
		return nil
	}
	one := int64(1)
	only := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &one}}
	return m.setUnit(only)
}

// setUnit gives systemd the limits of r, which would otherwise come back with
// their old values at a daemon-reload. systemd writes them to the files in its
// own terms: Apply has to follow.
func (m *Manager) setUnit(r *specs.LinuxResources) error {
	ctx := context.Background()
	bus, err := systemd.Connect(ctx, m.paths.Unit.User)
	if err != nil {
		return err
	}
	defer bus.Close()
	version, err := bus.Version(ctx)
	if err != nil {
		return err
	}
	h := systemd.Host{V2: m.paths.V2 != nil, Version: version}
	props, _, err := systemd.Resources(r, h)
	if err != nil {
		return err
	}
	if len(r.Devices) > 0 {
		if data, err := os.ReadFile("/proc/devices"); err == nil {
			h.ProcDevices = string(data)
		}
		devices, _, err := systemd.Devices(r, h)
		if err != nil {
			return err
		}
		props = append(devices, props...)
	}
	return bus.Set(ctx, *m.paths.Unit, props)
}

// stopUnit has systemd forget the unit.
func (m *Manager) stopUnit() error {
	ctx := context.Background()
	bus, err := systemd.Connect(ctx, m.paths.Unit.User)
	if err != nil {
		return err
	}
	defer bus.Close()
	return bus.Stop(ctx, *m.paths.Unit)
}

// MustAttach says that the first process cannot be started in the container's v2
// cgroup and has to be moved there by Attach: a user's systemd has to do it for
// us, or the cgroup exists already. Such a one may have been killed once by
// cgroup.kill, and Linux 6.12.95 kills what is cloned into it.
func (m *Manager) MustAttach() bool {
	d := m.paths.V2
	if d == nil || len(m.paths.V1) > 0 {
		return false
	}
	if u := m.paths.Unit; u != nil {
		return u.User && !d.enterable()
	}
	return m.Exists() && (!m.paths.Rootless || d.enterable())
}

// Attach moves a process into the container's cgroup.
func (m *Manager) Attach(pid int) error {
	if m.paths.Unit == nil {
		return m.AddProcess(pid)
	}
	ctx := context.Background()
	bus, err := systemd.Connect(ctx, m.paths.Unit.User)
	if err != nil {
		return err
	}
	defer bus.Close()
	return bus.Attach(ctx, *m.paths.Unit, pid)
}

// enterable says whether we may move processes from our own v2 cgroup to d,
// which takes the right to write to cgroup.procs of their common ancestor.
// cgroup-v2.rst, "Delegation Containment".
func (d Dir) enterable() bool {
	own, err := readAll("/proc/self/cgroup")
	if err != nil {
		return false
	}
	from := d.below(parseOwn(own)[""])
	common := d.Path
	for common != from && !strings.HasPrefix(from, strings.TrimSuffix(common, "/")+"/") {
		common = path.Dir(common)
	}
	return unix.Faccessat(unix.AT_FDCWD, common+"/cgroup.procs", unix.W_OK, unix.AT_EACCESS) == nil
}

// howToDelegate is the hint for those whom root has given no controllers.
func howToDelegate(controller string) string {
	return fmt.Sprintf("hint: have root delegate it, with Delegate=%s in /etc/systemd/system/user@.service.d/delegate.conf, "+
		"and use --systemd-cgroup or run below `systemd-run --user --scope -p Delegate=yes`", controller)
}
