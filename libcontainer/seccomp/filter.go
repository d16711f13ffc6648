// SPDX-License-Identifier: Apache-2.0

package seccomp

import specs "github.com/opencontainers/runtime-spec/specs-go"

// maxInstructions is the kernel's limit for one program, BPF_MAXINSNS.
const maxInstructions = 4096

// sizeofInstruction is sizeof(struct sock_filter).
const sizeofInstruction = 8

// Filter is what seccomp(2) needs to load a profile.
type Filter struct {
	// BPF is an array of struct sock_filter in native byte order.
	BPF []byte
	// Flags are SECCOMP_FILTER_FLAG_* for SECCOMP_SET_MODE_FILTER, with
	// NEW_LISTENER when Listener is set.
	Flags uint
	// Listener says that seccomp(2) returns a descriptor for the agent at
	// listenerPath (SendListener).
	Listener bool
}

// Features is what `features` says about seccomp. The lists come from the
// tables that profiles are read with.
type Features struct {
	// Version is libseccomp's, e.g. "2.5.4".
	Version   string
	Actions   []specs.LinuxSeccompAction
	Operators []specs.LinuxSeccompOperator
	Archs     []specs.Arch
	// KnownFlags are those that a config may name, SupportedFlags those that
	// this kernel takes.
	KnownFlags, SupportedFlags []specs.LinuxSeccompFlag
}
