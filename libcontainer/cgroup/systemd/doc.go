// SPDX-License-Identifier: Apache-2.0

// Package systemd speaks with systemd about the unit that holds a container's
// cgroup: which unit it is, which properties it gets, and the few D-Bus calls
// that start, change and stop it. It writes no cgroup file and knows no
// Manager; the cgroup package does both.
//
// The values come first and can be printed; only a Bus acts:
//
//	unit, err := systemd.Resolve(cgroupsPath, id, user)
//	request := systemd.Request{Unit: unit, ID: id, PID: pid, Resources: r, Annotations: a}
//	bus, err := systemd.Connect(ctx, user)
//	version, err := bus.Version(ctx)
//	props, warnings, err := request.Properties(systemd.Host{V2: true, Version: version})
//	err = bus.Start(ctx, unit, props) // the process is in the unit now
//	…
//	err = bus.Stop(ctx, unit)
//
// # Who owns the limits
//
// Delegate=yes keeps systemd away from what is below the unit's cgroup, not
// from the attributes of that cgroup itself (systemd.io/CGROUP_DELEGATION).
// systemd writes those when the unit starts, at SetUnitProperties, and again
// at a daemon-reload. So each limit is given to systemd in its own terms, and
// the exact one is written to the files after each of these calls; a
// daemon-reload then leaves systemd's nearest value, which is never stricter
// by intent: a CPU quota rounded up, devices as far as systemd can say them.
// On cgroup v2 systemd attaches a device program of its own, and a device must
// pass all programs: ours has to replace that one, or to be attached beside it.
package systemd
