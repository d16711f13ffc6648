// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"runtime"
	"syscall"

	"berth/libcontainer/boot"
)

// holder is a process that does nothing but be there: it keeps a new user
// namespace alive while we open it, or a systemd scope until init is in it.
type holder struct {
	child *boot.Child
	pid   int
}

// startHolder starts an image that unshares namespaces, CLONE_NEW* or 0, and
// waits. It ends with us.
func startHolder(namespaces uint64) (*holder, error) {
	b := boot.New(boot.Config{Arch: boot.Arch(runtime.GOARCH), Control: 3})
	b.At("holder")
	if namespaces != 0 {
		b.Do(boot.Unshare, namespaces)
	}
	b.Do(boot.Write, b.Control(), b.Bytes(boot.BarrierHeader(0)), 8)
	b.Do(boot.Read, b.Control(), b.Buffer("answer", 8), 8)
	b.Do(boot.ExitGroup, 0)
	p, err := b.Finish()
	if err != nil {
		return nil, err
	}
	child, err := boot.Start(boot.Launch{Program: p})
	if err != nil {
		return nil, err
	}
	h := &holder{child, child.Pid}
	if _, err := child.Receive(); err != nil {
		h.end()
		return nil, err
	}
	return h, nil
}

// end closes the control socket, at which the process exits, and reaps it.
func (h *holder) end() {
	h.child.Close()
	var ws syscall.WaitStatus
	_, _ = wait4(h.pid, &ws)
}
