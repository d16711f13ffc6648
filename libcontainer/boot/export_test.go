// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"strconv"
	"syscall"
)

// StartTraced is Start for a child that the calling thread traces; it stops
// at its first instruction.
func StartTraced(l Launch) (*Child, error) {
	_, code := Interpreter()
	image, err := Image(l.Program, code)
	if err != nil {
		return nil, err
	}
	exe, err := seal(image, false)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(exe)
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(pair[1])
	_ = syscall.SetsockoptInt(pair[0], syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	files := make([]uintptr, l.Program.Words[controlWord]+1)
	for i := range files {
		if i < len(l.Files) && l.Files[i] != nil {
			files[i] = l.Files[i].Fd()
		} else {
			files[i] = ^uintptr(0)
		}
	}
	files[len(files)-1] = uintptr(pair[1])
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(exe), []string{"berth-boot"}, &syscall.ProcAttr{
		Files: files, Env: []string{}, Sys: &syscall.SysProcAttr{Cloneflags: l.Cloneflags, Ptrace: true},
	})
	return &Child{Pid: pid, control: pair[0], program: l.Program}, err
}

// OpAt returns the index of the operation at an address of the image.
func (p *Program) OpAt(address uint64) int {
	return opAt(p, address-uint64(constBase+(len(p.Const)+7)&^7))
}
