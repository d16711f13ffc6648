// SPDX-License-Identifier: Apache-2.0

// Package config holds the resolved intent for one container: plain structs
// with nothing left to parse, look up, or default. specconv makes them from
// config.json; plan compiles them into a boot program. Nothing here touches
// the host.
package config

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Container is everything that create needs to know. Every string is free of
// NUL bytes, every path is clean, every number is in its kernel range.
type Container struct {
	OCIVersion string
	// Bundle is the absolute path of the bundle; Rootfs the absolute host path
	// of the root filesystem.
	Bundle, Rootfs string

	ReadonlyRoot bool
	// RootPropagation holds MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE,
	// perhaps with MS_REC; 0 means the default, MS_SLAVE|MS_REC.
	RootPropagation uint64
	// NoPivot asks for MS_MOVE and chroot instead of pivot_root.
	NoPivot bool

	Hostname, Domainname string

	Namespaces  Namespaces
	UIDMappings []IDMap
	GIDMappings []IDMap
	TimeOffsets []TimeOffset

	Mounts  []Mount
	Devices []Device
	// NetDevices are moved into the network namespace, sorted by HostName.
	NetDevices []NetDevice

	// MaskedPaths and ReadonlyPaths are absolute and clean, without duplicates.
	MaskedPaths, ReadonlyPaths []string
	// MountLabel is the SELinux context for filesystems that we mount.
	MountLabel string

	// Sysctls are sorted by key, with the key as a path below /proc/sys.
	Sysctls []Sysctl

	IntelRDT *IntelRDT
	Hooks    Hooks
	Cgroup   Cgroup

	Process *Process // nil: a container that cannot be started yet
	// ExecCPUAffinity is for processes of exec that say nothing of it.
	ExecCPUAffinity *CPUAffinity
	Annotations     map[string]string

	// Rootless says that we are not root in the initial user namespace: failing
	// to create cgroups is then no error unless something needs them.
	Rootless bool
}

// NamespaceType names a namespace as the runtime spec does.
type NamespaceType string

// The eight namespaces of Linux, namespaces(7).
const (
	UserNS    NamespaceType = "user"
	MountNS   NamespaceType = "mount"
	NetworkNS NamespaceType = "network"
	IPCNS     NamespaceType = "ipc"
	UTSNS     NamespaceType = "uts"
	PIDNS     NamespaceType = "pid"
	CgroupNS  NamespaceType = "cgroup"
	TimeNS    NamespaceType = "time"
)

// Namespace is a new namespace (Path empty) or one to join.
type Namespace struct {
	Type NamespaceType
	// Path is the absolute path of the namespace to join; "" means a new one.
	Path string
	// Index is the position in linux.namespaces, for messages.
	Index int
}

// Namespaces is the set of namespaces the container does not inherit.
type Namespaces []Namespace

// Get returns the entry of type t and whether there is one.
func (n Namespaces) Get(t NamespaceType) (Namespace, bool) {
	for _, ns := range n {
		if ns.Type == t {
			return ns, true
		}
	}
	return Namespace{}, false
}

// New says whether the container gets a new namespace of type t.
func (n Namespaces) New(t NamespaceType) bool {
	ns, ok := n.Get(t)
	return ok && ns.Path == ""
}

// Has says whether t is new or joined, rather than inherited.
func (n Namespaces) Has(t NamespaceType) bool {
	_, ok := n.Get(t)
	return ok
}

// IDMap is one line of uid_map or gid_map, user_namespaces(7).
type IDMap struct {
	ContainerID, HostID, Size uint32
}

// TimeOffset is one line of timens_offsets, time_namespaces(7).
type TimeOffset struct {
	Clock   string // "monotonic" or "boottime"
	Secs    int64
	Nanosec uint32
}

// Mount is one entry of mounts.
type Mount struct {
	// Index is the position in mounts, for messages.
	Index int
	// Destination is clean and absolute inside the container.
	Destination string
	// Source is absolute for bind mounts, else as given.
	Source string
	// Type is the filesystem type; "bind" when Bind.
	Type string
	// Bind says that Source is bind-mounted; Recursive that it is an rbind.
	Bind, Recursive bool
	// Remount changes the attributes of what is mounted at Destination.
	Remount bool

	// Set and Clear are MS_* flags named by options (MS_RDONLY, MS_NOSUID, …,
	// and superblock flags such as MS_SYNCHRONOUS); a flag is in at most one.
	Set, Clear uint64
	// RecSet and RecClear are MOUNT_ATTR_* applied to the whole tree with
	// mount_setattr(AT_RECURSIVE): rro, rnosuid, ….
	RecSet, RecClear uint64
	// Propagation lists propagation changes in the order given: MS_PRIVATE,
	// MS_SHARED|MS_REC, ….
	Propagation []uint64
	// Data are the filesystem's own options ("size=64k"), in the order given.
	Data []string
	// CopyUp asks for the covered directory's contents in the tmpfs.
	CopyUp bool
	// IDMap is set for an id-mapped mount.
	IDMap *MountIDMap
}

// MountIDMap describes an id-mapped mount; empty mappings mean those of the
// container's user namespace.
type MountIDMap struct {
	Recursive                bool
	UIDMappings, GIDMappings []IDMap
}

// Device is a node to make: one of linux.devices or a default one.
type Device struct {
	// Origin is the config field, e.g. "linux.devices[2]", or "default devices".
	Origin string
	// Default: not named by the config; only made in a /dev that it mounts.
	Default bool
	Path    string // absolute in the container
	Type    byte   // 'c', 'b' or 'p'
	Major   uint32
	Minor   uint32
	Mode    uint32 // permission bits
	UID     uint32
	GID     uint32
}

// NetDevice is one entry of linux.netDevices.
type NetDevice struct {
	HostName string
	Name     string // in the container; HostName when not renamed
}

// Sysctl is one entry of linux.sysctl.
type Sysctl struct {
	Key   string // as the config spells it, for messages
	Path  string // below /proc/sys: "net/ipv4/ip_forward"
	Value string
}

// IntelRDT is linux.intelRdt.
type IntelRDT struct {
	ClosID           string
	Schemata         []string
	L3CacheSchema    string
	MemBwSchema      string
	EnableMonitoring bool
}

// Hook is a program of one of the six hook points.
type Hook struct {
	Path string
	Args []string
	// Env is nil when the config has none.
	Env []string
	// Timeout is in seconds; 0 means none.
	Timeout int
}

// Hooks are the six hook points of the spec.
type Hooks struct {
	Prestart, CreateRuntime, CreateContainer, StartContainer, Poststart, Poststop []Hook
}

// CgroupDriver says who makes cgroups.
type CgroupDriver string

// The drivers that --cgroup-manager chooses from.
const (
	CgroupFS       CgroupDriver = "cgroupfs"
	CgroupSystemd  CgroupDriver = "systemd"
	CgroupDisabled CgroupDriver = "disabled"
)

// Cgroup is the container's place in the cgroup hierarchies and its limits.
type Cgroup struct {
	Driver CgroupDriver
	// Path is linux.cgroupsPath as given: "", relative, absolute, or
	// slice:prefix:name for systemd. It has no ".." component.
	Path string
	// Resources is linux.resources; nil when absent.
	Resources *specs.LinuxResources
}

// Process is what create or exec starts.
type Process struct {
	Terminal       bool
	ConsoleRows    uint16 // 0: not set
	ConsoleCols    uint16
	Args           []string
	Env            []string // without duplicates, last wins; HOME may be missing
	Cwd            string   // absolute
	UID, GID       uint32
	AdditionalGIDs []uint32
	Umask          uint32 // 0o022 by default

	Capabilities    *Capabilities // nil: keep none
	Rlimits         []Rlimit
	NoNewPrivileges bool
	OOMScoreAdj     *int
	Scheduler       *Scheduler
	IOPriority      *IOPriority
	CPUAffinity     *CPUAffinity
	MemoryPolicy    *MemoryPolicy // create only
	// Personality is the argument of personality(2); nil: unchanged.
	Personality *uint64

	AppArmorProfile string
	SELinuxLabel    string
	// Seccomp is linux.seccomp; the seccomp package compiles it.
	Seccomp *specs.LinuxSeccomp
}

// Capabilities are five sets as bit masks of capability numbers, capabilities(7).
type Capabilities struct {
	Bounding, Effective, Inheritable, Permitted, Ambient uint64
}

// Rlimit is one resource limit, setrlimit(2).
type Rlimit struct {
	Name       string // "RLIMIT_NOFILE", for messages
	Resource   int
	Soft, Hard uint64
}

// Scheduler holds the fields of struct sched_attr, sched_setattr(2).
type Scheduler struct {
	Policy                    uint32
	Flags                     uint64
	Nice                      int32
	Priority                  uint32
	Runtime, Deadline, Period uint64 // nanoseconds
}

// IOPriority is the class and data of ioprio_set(2).
type IOPriority struct {
	Class int // IOPRIO_CLASS_*: 1 RT, 2 BE, 3 IDLE
	Level int
}

// CPUAffinity holds CPU sets as bit masks, bit n for CPU n, little-endian words.
type CPUAffinity struct {
	Initial []uint64 `json:"initial,omitempty"` // nil: unchanged
	Final   []uint64 `json:"final,omitempty"`
}

// MemoryPolicy is linux.memoryPolicy, set_mempolicy(2).
type MemoryPolicy struct {
	Mode  int      // MPOL_*, with the mode flags or-ed in
	Nodes []uint64 // bit mask of nodes
}

// WithoutZeroPIDs returns limits without pids.limit if that is 0 in a config
// before runtime-spec 1.3, which made 0 a limit: engines that write older ones
// mean none by it. r may be nil and stays as it is.
func WithoutZeroPIDs(r *specs.LinuxResources, ociVersion string) *specs.LinuxResources {
	if r == nil || r.Pids == nil || r.Pids.Limit == nil || *r.Pids.Limit != 0 {
		return r
	}
	minor, _, _ := strings.Cut(strings.TrimPrefix(ociVersion, "1."), ".")
	if n, err := strconv.Atoi(minor); err != nil || n >= 3 {
		return r
	}
	own := *r
	own.Pids = nil
	return &own
}
