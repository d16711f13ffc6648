// SPDX-License-Identifier: Apache-2.0

// Package plan compiles a container's config and facts about the host into a
// boot program and the parent's steps at its barriers. It is pure: it reads
// nothing and changes nothing, so that a plan can be printed, compared in a
// golden test without root, and fuzzed. phases.go is the table to read first.
package plan

import (
	"berth/libcontainer/boot"
	"berth/libcontainer/config"
	"berth/libcontainer/host"
)

// SourceKind says what a bind mount's source is.
type SourceKind uint8

// The kinds of source; Unknown is for sources that the parent cannot see.
const (
	Unknown SourceKind = iota
	Directory
	NotDirectory
)

// MountFacts are what the parent saw of one mount before planning. They are
// hints: the rootfs may change, and the program does not trust them.
type MountFacts struct {
	Source SourceKind
	// Destination is where the destination's symbolic links lead within the
	// rootfs, absolute; "" means: as in the config.
	Destination string
	// ParentTree: the parent opens the source and passes the detached tree,
	// because it is id-mapped.
	ParentTree bool
	// Fallback: the parent passes the tree for the case that neither the caller
	// without his capabilities nor the container's root may reach the source. Such a tree keeps no locks, so there must
	// be none to keep: no restriction by the host and no submounts.
	Fallback bool
}

// StdioFacts describe one of the standard descriptors.
type StdioFacts struct {
	// Null: it is the host's /dev/null.
	Null bool
	// Owner is its owner's uid in the host.
	Owner uint32
	// Open: there is such a descriptor.
	Open bool
}

// Filter is a compiled seccomp filter.
type Filter struct {
	BPF      []byte // struct sock_filter[]
	Flags    uint64 // SECCOMP_FILTER_FLAG_*
	Listener bool   // seccomp(2) returns a listener for the agent
}

// Input is everything that a plan is made from.
type Input struct {
	ID     string
	Config *config.Container
	Host   host.Facts
	Mounts []MountFacts // parallel to Config.Mounts
	Stdio  [3]StdioFacts
	Filter *Filter

	// CgroupBarrier says that the process is not started in its cgroup: it waits
	// until the parent has made that, and has moved it there if it must.
	CgroupBarrier bool
	// CgroupFiles are the files that the first process enters its v1 cgroups
	// through. With a barrier it opens them itself, else the parent passes them
	// open for writing.
	CgroupFiles []string
	// CgroupView is what a mount of type cgroup shows.
	CgroupView CgroupView

	// PreserveFDs is the number of descriptors from 3 on that the payload gets.
	PreserveFDs  int
	NoNewKeyring bool
	// Start: do not wait for `start`.
	Start bool
	// Exec is set when the plan is for exec; then Config has a Process alone.
	Exec *Exec
}

// Exec says what exec joins.
type Exec struct {
	// Namespaces are CLONE_NEW* flags of the container's namespaces that are
	// not the host's.
	Namespaces int
	// UserNS, PIDNS: those are among them.
	UserNS, PIDNS bool
	// NoPivot: the container's root is a chroot within its mount namespace.
	NoPivot bool
}

// FileKind says what the parent passes as a descriptor of the image.
type FileKind string

// The kinds of passed descriptors.
const (
	FileStdio      FileKind = "stdio"
	FilePreserved  FileKind = "preserved"
	FileControl    FileKind = "control socket"
	FileFifo       FileKind = "exec.fifo"
	FileCgroup     FileKind = "cgroup"
	FileNamespace  FileKind = "namespace"
	FileTree       FileKind = "mount tree"
	FileHookOutput FileKind = "hook output"
	FilePidfd      FileKind = "pidfd of init"
	FileRoot       FileKind = "root of init"
	FileNull       FileKind = "/dev/null"
)

// File is one descriptor of the image; its number is its index in Plan.Files.
type File struct {
	Kind FileKind
	// Index is the index within the kind: of the stdio descriptor, the cgroup
	// file, the mount.
	Index int
	// Path is what to open, where a path names it.
	Path string
}

// StepKind names a step of the parent.
type StepKind string

// The parent's steps.
const (
	StepCgroup    StepKind = "make the cgroup, or move the process there"
	StepMapIDs    StepKind = "write the id maps"
	StepNetDevice StepKind = "move the network devices"
	StepHostHooks StepKind = "run the prestart and createRuntime hooks"
	StepHookState StepKind = "answer with the state for a hook"
	StepHookDone  StepKind = "look at a hook's exit status"
	StepCopyFrom  StepKind = "take the covered directory"
	StepCopyTo    StepKind = "copy it up into the tmpfs"
	StepConsole   StepKind = "take the console's master"
	StepListener  StepKind = "hand over the seccomp listener"
	StepProbe     StepKind = "look at the executable"
	StepReady     StepKind = "set the resource limits, record the state, let go"
	StepEntered   StepKind = "learn the pid"
)

// Step is what the parent does when the image reaches barrier number i, for
// Plan.Steps[i].
type Step struct {
	Kind StepKind
	// Index is the mount's (copy-up) or the hook's.
	Index int
	// Hook says which list Index counts in, e.g. "createContainer".
	Hook string
	// Origin is the config field.
	Origin string
}

// Plan is the result.
type Plan struct {
	Program    *boot.Program
	Cloneflags uintptr
	Files      []File
	Steps      []Step
	// TwoStage: the first process clones the container's init and exits.
	TwoStage bool
	// Candidates are the paths that argv[0] is looked for at.
	Candidates []string
	// ExecOp, LookOp and CwdOps are the indices of the operations that execute
	// the payload, open it for the parent, and find the working directory
	// outside the root: their failures have texts that engines match.
	ExecOp, LookOp int
	CwdOps         []int
	// OwnRlimits: the image sets the resource limits, not the parent.
	OwnRlimits bool
	// Cgroup lists what the parent does about the cgroup before there is a
	// process; for printing only.
	Cgroup []CgroupStep
	// Warnings name what is ignored or degraded.
	Warnings []string
}

// CgroupStep is a directory that is made, a value that is written, a property
// that systemd gets, or an instruction of the device program.
type CgroupStep struct {
	Do     string `json:"do"`
	Origin string `json:"origin,omitempty"`
}
