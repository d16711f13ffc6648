// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"errors"
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// profile is linux.seccomp with every name replaced by what it means.
type profile struct {
	def   verdict
	rules []rule
	// archs are those of the config and the native one, without duplicates.
	archs []*arch
	flags []*filterFlag
	// specAllow: the config has no flags, and gets the default one if it can.
	specAllow bool
	notify    bool
}

// verdict is an action with its data.
type verdict struct {
	field string
	*action
	data uint16
}

// rule is one entry of syscalls.
type rule struct {
	field   string
	names   []string
	verdict verdict
	// groups are alternatives, each a list of conditions that must all hold;
	// none means that the rule is unconditional.
	groups [][]libseccomp.ScmpCondition
}

// ret is the value that a BPF program returns.
func (v verdict) ret() uint32 { return v.action.ret | uint32(v.data) }

// same says whether two verdicts mean the same to the kernel.
func (v verdict) same(w verdict) bool { return v.ret() == w.ret() }

// lib is libseccomp's value.
func (v verdict) lib() libseccomp.ScmpAction {
	if !v.action.data {
		return v.action.lib
	}
	return v.action.lib.SetReturnCode(int16(v.data)) // the bits count, not the sign
}

// Validate says what is wrong with a profile, naming the field. It does not
// look at this kernel, and an unknown system call is not wrong.
func Validate(s *specs.LinuxSeccomp) error {
	if s == nil {
		return nil
	}
	_, err := check(s)
	return err
}

// check resolves all of s but the names of system calls.
func check(s *specs.LinuxSeccomp) (*profile, error) {
	p := &profile{specAllow: s.Flags == nil}
	var err error
	if p.def, err = checkAction("linux.seccomp.defaultAction", s.DefaultAction, "linux.seccomp.defaultErrnoRet", s.DefaultErrnoRet); err != nil {
		return nil, err
	}
	if s.DefaultAction == specs.ActNotify {
		return nil, errors.New("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default: the agent would be asked about the calls that reach it")
	}
	for i := range s.Syscalls {
		r, err := checkRule(fmt.Sprintf("linux.seccomp.syscalls[%d]", i), &s.Syscalls[i])
		if err != nil {
			return nil, err
		}
		p.notify = p.notify || s.Syscalls[i].Action == specs.ActNotify
		p.rules = append(p.rules, r)
	}
	if err := p.checkArchs(s.Architectures); err != nil {
		return nil, err
	}
	if err := p.checkFlags(s.Flags); err != nil {
		return nil, err
	}
	return p, p.checkListener(s)
}

func checkAction(field string, name specs.LinuxSeccompAction, dataField string, data *uint) (verdict, error) {
	a := findAction(name)
	if a == nil {
		return verdict{}, fmt.Errorf("%s: unknown action %q", field, name)
	}
	v := verdict{field: field, action: a}
	if a.data {
		v.data = uint16(unix.EPERM)
	}
	if data == nil {
		return v, nil
	}
	// runtime-spec config-linux.md#seccomp: an errno for an action without one
	// must be an error.
	if !a.data {
		return verdict{}, fmt.Errorf("%s: %s takes no errno", dataField, name)
	}
	if *data > a.max {
		return verdict{}, fmt.Errorf("%s: %d is more than %d, the largest value for %s", dataField, *data, a.max, name)
	}
	v.data = uint16(*data)
	return v, nil
}

func checkRule(field string, s *specs.LinuxSyscall) (rule, error) {
	r := rule{field: field, names: s.Names}
	var err error
	if r.verdict, err = checkAction(field+".action", s.Action, field+".errnoRet", s.ErrnoRet); err != nil {
		return rule{}, err
	}
	if len(s.Names) == 0 {
		return rule{}, fmt.Errorf("%s.names: must name at least one system call", field)
	}
	for i, name := range s.Names {
		// C would read a name with a NUL as a shorter one.
		if name == "" || strings.IndexByte(name, 0) >= 0 {
			return rule{}, fmt.Errorf("%s.names[%d]: %q is no name of a system call", field, i, name)
		}
		// The container's init reports with write(2) what it wants from its
		// parent, also that the listener is there to be handed to the agent.
		if s.Action == specs.ActNotify && name == "write" {
			return rule{}, fmt.Errorf("%s.names[%d]: SCMP_ACT_NOTIFY cannot be used for write: it is needed before the agent can answer", field, i)
		}
	}
	r.groups, err = checkArgs(field, s.Args)
	return r, err
}

// checkArgs makes one group of all conditions, or one group of each when an
// argument is tested twice: libseccomp cannot express that in one rule, and
// engines expect alternatives then.
func checkArgs(field string, args []specs.LinuxSeccompArg) ([][]libseccomp.ScmpCondition, error) {
	var all []libseccomp.ScmpCondition
	var seen [6]bool // seccomp_data.args
	twice := false
	for i, arg := range args {
		op := findOperator(arg.Op)
		if op == nil {
			return nil, fmt.Errorf("%s.args[%d].op: unknown operator %q", field, i, arg.Op)
		}
		if arg.Index >= uint(len(seen)) {
			return nil, fmt.Errorf("%s.args[%d].index: %d is more than %d, the last argument of a system call", field, i, arg.Index, len(seen)-1)
		}
		twice = twice || seen[arg.Index]
		seen[arg.Index] = true
		all = append(all, libseccomp.ScmpCondition{Argument: arg.Index, Op: op.lib, Operand1: arg.Value, Operand2: arg.ValueTwo})
	}
	if len(all) == 0 {
		return nil, nil
	}
	if !twice {
		return [][]libseccomp.ScmpCondition{all}, nil
	}
	groups := make([][]libseccomp.ScmpCondition, len(all))
	for i := range all {
		groups[i] = all[i : i+1]
	}
	return groups, nil
}

func (p *profile) checkArchs(names []specs.Arch) error {
	native := nativeArch()
	if native == nil {
		return errors.New("linux.seccomp: libseccomp does not know this machine's architecture")
	}
	p.archs = []*arch{native}
	for i, name := range names {
		a := findArch(name)
		if a == nil {
			return fmt.Errorf("linux.seccomp.architectures[%d]: unknown architecture %q", i, name)
		}
		if !p.has(a) {
			p.archs = append(p.archs, a)
		}
	}
	return nil
}

func (p *profile) has(a *arch) bool {
	for _, have := range p.archs {
		if have == a {
			return true
		}
	}
	return false
}

func (p *profile) checkFlags(names []specs.LinuxSeccompFlag) error {
	for i, name := range names {
		f := findFlag(name)
		if f == nil {
			return fmt.Errorf("linux.seccomp.flags[%d]: unknown flag %q", i, name)
		}
		if name == specs.LinuxSeccompFlagWaitKillableRecv && !p.notify {
			return fmt.Errorf("linux.seccomp.flags[%d]: %s needs a rule with SCMP_ACT_NOTIFY", i, name)
		}
		p.flags = append(p.flags, f)
	}
	return nil
}

// checkListener: runtime-spec config-linux.md#seccomp ignores a listenerPath
// that no rule needs, and refuses metadata without a path.
func (p *profile) checkListener(s *specs.LinuxSeccomp) error {
	switch {
	case p.notify && s.ListenerPath == "":
		return errors.New("linux.seccomp.listenerPath: must be set, a rule has SCMP_ACT_NOTIFY")
	case s.ListenerMetadata != "" && s.ListenerPath == "":
		return errors.New("linux.seccomp.listenerMetadata: must not be set without listenerPath")
	}
	return nil
}
