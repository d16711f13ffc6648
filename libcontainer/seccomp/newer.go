// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import specs "github.com/opencontainers/runtime-spec/specs-go"

// newerCall is a system call that a libseccomp we may be linked with does not
// know: Debian 12's 2.5.4 ends with Linux 5.17. Engines' profiles name newer
// ones, and a profile that allows fchmodat2 should not depend on that.
type newerCall struct {
	name string
	nr   uint32
	only specs.Arch // "" means all
}

// Since Linux 5.1 a new call has the same number on all architectures that
// libseccomp knows, apart from the base that MIPS and x32 add.
var newerCalls = []newerCall{
	{"cachestat", 451, ""},         // 6.5
	{"fchmodat2", 452, ""},         // 6.6
	{"map_shadow_stack", 453, ""},  // 6.6
	{"futex_wake", 454, ""},        // 6.7
	{"futex_wait", 455, ""},        // 6.7
	{"futex_requeue", 456, ""},     // 6.7
	{"statmount", 457, ""},         // 6.8
	{"listmount", 458, ""},         // 6.8
	{"lsm_get_self_attr", 459, ""}, // 6.8
	{"lsm_set_self_attr", 460, ""}, // 6.8
	{"lsm_list_modules", 461, ""},  // 6.8
	{"mseal", 462, ""},             // 6.10
	{"setxattrat", 463, ""},        // 6.13
	{"getxattrat", 464, ""},        // 6.13
	{"listxattrat", 465, ""},       // 6.13
	{"removexattrat", 466, ""},     // 6.13
	{"open_tree_attr", 467, ""},    // 6.15
	{"file_getattr", 468, ""},      // 6.17
	{"file_setattr", 469, ""},      // 6.17
	{"listns", 470, ""},            // 6.19
	{"rseq_slice_yield", 471, ""},  // 7.0
	// Two that fill holes of x86_64's table.
	{"uretprobe", 335, specs.ArchX86_64}, // 6.11
	{"uprobe", 336, specs.ArchX86_64},    // 6.18
}

func findNewer(name string) *newerCall {
	for i := range newerCalls {
		if newerCalls[i].name == name {
			return &newerCalls[i]
		}
	}
	return nil
}

// number is the call's number on a, and whether a has it.
func (c *newerCall) number(a *arch) (uint32, bool) {
	return a.base + c.nr, c.only == "" || c.only == a.name
}
