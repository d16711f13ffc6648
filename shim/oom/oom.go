// SPDX-License-Identifier: Apache-2.0

// Package oom tells a supervisor of processes that the kernel killed for want
// of memory, before it tells that they have ended.
package oom

import (
	"sync"

	"berth/libcontainer/cgroup"
	"berth/libcontainer/cgroup/oom"
	"berth/libcontainer/cgroup/stats"
)

// Watch calls tell for each out-of-memory event in the cgroup of a process, once
// per kill. check calls it for what has happened and was not told yet: to be
// called when a process ends, since notifications may be later than that. stop
// ends it.
func Watch(pid int, tell func()) (check, stop func(), err error) {
	dirs, err := cgroup.DirsOf(pid)
	if err != nil {
		return nil, nil, err
	}
	w, err := oom.Watch(dirs)
	if err != nil {
		return nil, nil, err
	}
	o := &watch{dirs: dirs, tell: tell}
	if s, err := stats.Read(dirs); err == nil && s.Memory.Events != nil {
		o.told = s.Memory.Events.OOMKill // of others, in a shared cgroup
	}
	go func() {
		for range w.Events() {
			o.check()
		}
	}()
	return o.check, func() { _ = w.Close() }, nil
}

// watch counts the kills that were told.
type watch struct {
	dirs stats.Dirs
	tell func()

	mu   sync.Mutex
	told uint64
}

func (o *watch) check() {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, err := stats.Read(o.dirs)
	if err != nil || s.Memory.Events == nil {
		return // the cgroup is gone, and its counter with it
	}
	for ; o.told < s.Memory.Events.OOMKill; o.told++ {
		o.tell()
	}
}
