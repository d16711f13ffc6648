// SPDX-License-Identifier: Apache-2.0

package plan

import "berth/libcontainer/boot"

// phase is one row of the table below.
type phase struct {
	name string
	emit func(*compiler)
}

// createPhases is the order of everything that create does on the
// container's side. Each row says why it stands where it does.
var createPhases = []phase{
	// Close-on-exec for all that we inherited, then the cgroups: whatever is
	// allocated from here on is charged to the container, and a cgroup
	// namespace made later has the container's cgroup as its root.
	{"enter", (*compiler).enter},
	// Namespaces while we still have the caller's privileges; a user
	// namespace owns those that are created after it. What a container with one
	// binds is opened there too, before its ids.
	{"namespaces", (*compiler).namespaces},
	// Needs nothing from the rootfs; before the hooks, which expect a
	// configured network namespace.
	{"network", (*compiler).network},
	{"keyring", (*compiler).keyring},
	// Names and sysctls through the host's own /proc, before anything that
	// the image controls is mounted (CVE-2025-52881).
	{"kernel", (*compiler).kernel},
	// Propagation first, so that nothing below reaches the host.
	{"root", (*compiler).root},
	{"mounts", (*compiler).mounts},
	// Devices after the mounts, since /dev is usually one of them.
	{"devices", (*compiler).devices},
	// The pty belongs to the container's devpts; /dev/console is bound before
	// the root may become read-only.
	{"console", (*compiler).console},
	// The spec wants these after the mounts and before pivot_root.
	{"hooks", (*compiler).hooks},
	// After the hooks, which may mount; before the pivot, while the host's
	// /dev/null is in reach as the source of masks (CVE-2025-31133).
	{"mask", (*compiler).mask},
	{"pivot", (*compiler).pivot},
	// One finaliser for create and exec.
	{"finish", (*compiler).finalise},
	{"probe", (*compiler).probe},
	// The parent must still be there to take a listener.
	{"listener", (*compiler).listener},
	// The parent records the state, then lets go; from here on it is gone.
	{"ready", (*compiler).ready},
	{"wait", (*compiler).waitForStart},
	{"start", (*compiler).startHooks},
	{"exec", (*compiler).exec},
}

// execPhases is the same for exec: no mounts, then the very same end.
var execPhases = []phase{
	{"enter", (*compiler).enter},
	{"namespaces", (*compiler).joinContainer},
	{"keyring", (*compiler).keyring},
	{"console", (*compiler).execConsole},
	{"finish", (*compiler).finalise},
	{"probe", (*compiler).probe},
	{"listener", (*compiler).listener},
	{"ready", (*compiler).ready},
	{"exec", (*compiler).exec},
}

// Compile returns the plan for creating a container.
func Compile(in *Input, arch boot.Arch) (*Plan, error) {
	return newCompiler(in, arch).run(createPhases)
}

func (c *compiler) run(phases []phase) (*Plan, error) {
	for _, p := range phases {
		c.b.Phase(p.name)
		c.b.At(p.name)
		p.emit(c)
		if c.err != nil {
			return nil, c.err
		}
	}
	return c.finish()
}
