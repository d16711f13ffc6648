// SPDX-License-Identifier: Apache-2.0

// Package cgroup makes, joins, limits, freezes, kills and removes the
// container's cgroup on cgroup v1, v2, and hybrids of both, without systemd.
//
// The values come first: Probe looks at the host once, Resolve says which
// directories the container gets, Compile which values go to which files. All
// of them can be printed; Paths is stored before anything is made, so that
// delete knows what to remove whenever create dies. A Manager then works on
// the directories of a Paths:
//
//	facts, err := cgroup.Probe()
//	paths, err := cgroup.Resolve(c.Cgroup, id, c.Rootless, facts)
//	writes, warnings, err := cgroup.Compile(c.Cgroup.Resources, facts)
//	m := cgroup.Open(paths)
//	err = m.Check()  // before paths are stored: refuses what is not ours
//	err = m.Create(len(writes) > 0 || c.Cgroup.Path != "")
//	err = m.Apply(writes)
//	dir, err := m.DirFile()  // clone with CLONE_INTO_CGROUP
//	tasks, dir, err := m.ExecProcs(nil, 0) // the child writes "0" to each of tasks
//
// # Joining without a grace period
//
// A write to cgroup.procs waits for an RCU grace period (6–15 ms measured),
// since it must stop every fork on the machine. A single-threaded process that
// writes "0" to tasks (v1) needs no such lock since Linux 5.5 and takes 30 µs,
// and a clone with CLONE_INTO_CGROUP (v2, Linux 5.7) takes none either. So the
// container's first process joins in these two ways only.
package cgroup
