// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Options is what the user wants otherwise than the image, and otherwise than
// Docker's defaults. The zero value asks for nothing.
type Options struct {
	// Rootfs is root.path, relative to the bundle; "rootfs" if empty.
	Rootfs string
	// ReadOnly makes the root file system read-only. Image volumes stay writable.
	ReadOnly bool

	// Cmd and Entrypoint replace the image's; nil leaves them. An Entrypoint,
	// even an empty one, also removes the image's Cmd.
	Cmd, Entrypoint []string
	// Env has NAME=VALUE, over the image's.
	Env []string
	// User is as in an image config, see LookupUser; "" is the image's.
	User string
	// Cwd is an absolute path; "" is the image's working directory.
	Cwd string
	// TTY gives the process a terminal.
	TTY bool
	// Init is a static init program on the host, such as tini: process 1, which
	// reaps orphans and passes signals on. It is mounted on /dev/init.
	Init string
	// StopSignal, a name or a number, is for the annotation that engines read.
	StopSignal string
	// Annotations are over the image's labels.
	Annotations map[string]string

	// Hostname and Domainname; "" leaves the host's.
	Hostname, Domainname string
	// Net is "host", "none" (a new namespace) or the absolute path of a
	// namespace. "" is none, and host if Rootless.
	Net string
	// Mounts come after the default ones, and instead of those and of image
	// volumes with the same destination.
	Mounts []Mount
	// ImageVolumes says what the image's volumes become: "tmpfs", the default,
	// with a copy of what the image has there; or "ignore", directories of the
	// root file system.
	ImageVolumes string
	// ShmSize is /dev/shm's, in bytes; 0 is 64 MiB.
	ShmSize int64
	// Sysctls are of the container's namespaces.
	Sysctls map[string]string

	// Memory is in bytes, CPUs in processors, Pids in tasks; 0 is no limit.
	Memory int64
	CPUs   float64
	Pids   int64
	// Ulimits, see ParseUlimit.
	Ulimits []specs.POSIXRlimit
	// Devices, see ParseDevice.
	Devices []Device
	// CgroupsPath is linux.cgroupsPath; "" leaves it to the runtime.
	CgroupsPath string

	// Rootless is for a user who is not root: a user namespace, with IDMaps.
	Rootless bool
	// UIDMaps and GIDMaps make a user namespace, also for root. Inside says that
	// the runtime is started in it, and makes none.
	UIDMaps, GIDMaps []specs.LinuxIDMapping
	Inside           bool
	// Privileged takes the isolation away that keeps root in the container from
	// being root on the host. The user namespace, if any, stays.
	Privileged bool
	// CapAdd and CapDrop change Docker's default set: names with or without
	// CAP_ in any case, or ALL.
	CapAdd, CapDrop []string
	// NewPrivileges lets programs gain privileges by setuid bits and file
	// capabilities; otherwise no_new_privs is set, prctl(2).
	NewPrivileges bool
	// Seccomp is "default", "unconfined" or a file with a profile in Docker's
	// or the OCI's form; "" is default, and unconfined if Privileged.
	Seccomp string
	// AppArmor is a profile that is loaded; "" is none.
	AppArmor string
	// SELinux and SELinuxMount are the labels of the process and the mounts.
	SELinux, SELinuxMount string

	// Arch is the machine's GOARCH, for the seccomp profile; "" is this one's.
	Arch string
}

// Device is a device of the host that the container may use.
type Device struct {
	specs.LinuxDevice
	// Access is of the letters r, w and m, for the devices cgroup.
	Access string
}
