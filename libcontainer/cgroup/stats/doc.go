// SPDX-License-Identifier: Apache-2.0

// Package stats reads what the kernel counts for a cgroup, on v1, v2, and
// hybrids of both, and gives it the names that runc's `events` has, with v1's
// meaning wherever the two differ. It changes nothing, and knows neither
// containers nor limits in a config.
//
//	s, err := stats.Read(stats.Dirs{V2: "/sys/fs/cgroup/web"})
//	data, err := json.Marshal(s)
//
// What the kernel does not count is left out, or 0: a file that is missing is
// no error. A cgroup that is missing is one, ErrGone.
//
// The formats are those of cgroup-v1/*.rst and cgroup-v2.rst in the kernel's
// Documentation/admin-guide. Each file is read once, in one read(2) if it fits;
// the numbers of one file belong together, those of two files may not.
package stats
