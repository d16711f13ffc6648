// SPDX-License-Identifier: Apache-2.0

package device

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The attributes of bpf(2) commands, as far as we use them: the parts of union
// bpf_attr in linux/bpf.h, all of whose integers are aligned to their size.

type loadAttr struct {
	progType, insnCount uint32
	insns, license      uint64 // addresses
	logLevel, logSize   uint32
	logBuf              uint64 // an address
	kernVersion, flags  uint32
	name                [16]byte // Linux 4.15
}

type attachAttr struct {
	target, prog       uint32 // descriptors
	attachType, flags  uint32
	replace, alignment uint32 // a descriptor, Linux 5.6
}

type queryAttr struct {
	target, attachType uint32
	flags, attachFlags uint32
	ids                uint64 // an address
	count, alignment   uint32
}

type idAttr struct{ id, nextID, openFlags uint32 }

func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, error) {
	// attr points to a Go variable that the caller's frame keeps alive; the
	// conversion in the call's arguments is the pattern that unsafe allows.
	n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}

// load is BPF_PROG_LOAD. It returns a descriptor, close-on-exec as all of
// bpf(2) are. With a log, which must not be empty, the verifier writes there.
func load(code []byte, log []byte) (int, error) {
	license := []byte("Apache-2.0\x00") // no helper of the kernel is called that wants another
	a := loadAttr{progType: unix.BPF_PROG_TYPE_CGROUP_DEVICE, insnCount: uint32(len(code) / 8)}
	copy(a.name[:], "berth_device")
	// The kernel wants addresses as integers. Pinned memory neither moves nor
	// is freed before Unpin.
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(unsafe.SliceData(code))
	pins.Pin(unsafe.SliceData(license))
	a.insns = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(code))))
	a.license = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(license))))
	if len(log) > 0 {
		pins.Pin(unsafe.SliceData(log))
		a.logLevel, a.logSize = 1, uint32(len(log))
		a.logBuf = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(log))))
	}
	return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

// query is BPF_PROG_QUERY: the ids of the programs that are attached to the
// cgroup itself, and how many they are. ids must be long enough.
func query(dir int, ids []uint32) (int, error) {
	var pins runtime.Pinner
	defer pins.Unpin()
	pins.Pin(unsafe.SliceData(ids)) // as in load
	a := queryAttr{target: uint32(dir), attachType: unix.BPF_CGROUP_DEVICE, count: uint32(len(ids))}
	a.ids = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(ids))))
	_, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return int(a.count), err
}

// open is BPF_PROG_GET_FD_BY_ID.
func open(id uint32) (int, error) {
	a := idAttr{id: id}
	return bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&a), unsafe.Sizeof(a))
}

// attach is BPF_PROG_ATTACH beside other programs, or in the place of the one
// whose descriptor is replace, if that is not negative.
func attach(dir, prog, replace int) error {
	a := attachAttr{target: uint32(dir), prog: uint32(prog), attachType: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI}
	if replace >= 0 {
		a.flags |= unix.BPF_F_REPLACE
		a.replace = uint32(replace)
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return err
}

// detach is BPF_PROG_DETACH.
func detach(dir, prog int) error {
	a := attachAttr{target: uint32(dir), prog: uint32(prog), attachType: unix.BPF_CGROUP_DEVICE}
	_, err := bpf(unix.BPF_PROG_DETACH, unsafe.Pointer(&a), unsafe.Sizeof(a))
	return err
}
