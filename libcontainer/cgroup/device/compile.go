// SPDX-License-Identifier: Apache-2.0

package device

import (
	"slices"

	"golang.org/x/sys/unix"

	"berth/libcontainer/cgroup/limit"
)

// Compile makes the program for rules. It asks them from the last to the
// first and keeps the accesses that none has decided yet: a rule that denies
// one of them ends with no, and the one that allows the last of them with yes.
// So each access is decided by the last rule about it and the node, as
// runtime-spec wants, whatever other accesses the request has. A request for
// no access, access(2) with X_OK, is allowed.
//
// The program needs Linux 5.1. The error is a *limit.FieldError when the rules
// are too many; there is place for 1100.
func Compile(rules List) (Program, error) {
	rules, allowed := relevant(rules)
	if allowed && len(rules) == 0 {
		return verdict(1, "allow all"), nil
	}
	var a assembler
	a.load()
	for _, r := range slices.Backward(rules) {
		a.rule(r)
	}
	a.end(allowed)
	if len(a.program) > maxInsns {
		return nil, limit.Refuse("devices", "too many rules: the eBPF program has %d instructions, and %d are possible", len(a.program), maxInsns)
	}
	return a.program, nil
}

// maxInsns keeps the conditional jumps below 8192, of which the verifier
// follows no more in a row (BPF_COMPLEXITY_LIMIT_JMP_SEQ), and all jumps within
// their reach. Instructions may be 1,000,000 since Linux 5.2, before it 4096.
const maxInsns = 8192

// relevant returns the default and the rules that differ from it or from one
// another, with the accesses that no later rule decides for all of their nodes.
func relevant(rules List) (kept List, allowed bool) {
	for i, r := range slices.Backward(rules) {
		if r.Kind == 'a' {
			allowed, rules = r.Allow, rules[i+1:]
			break
		}
	}
	for i, r := range rules {
		for _, later := range rules[i+1:] {
			if later.Covers(r) {
				r.Access &^= later.Access
			}
		}
		excepted := func(e Rule) bool { return e.Allow != r.Allow && e.Overlaps(r) && e.Access&r.Access != 0 }
		if r.Access != 0 && (r.Allow != allowed || slices.ContainsFunc(kept, excepted)) {
			kept = append(kept, r)
		}
	}
	return kept, allowed
}

// Registers. The kernel calls with the context, struct bpf_cgroup_dev_ctx, in
// r1, and takes the answer from r0.
const (
	answer = iota
	context
	kind
	undecided // accesses
	scratch
)

// Offsets in struct bpf_cgroup_dev_ctx: three u32, the first one of
// access<<16 | type.
const (
	accessTypeOffset = 0
	majorOffset      = 4
	minorOffset      = 8
)

// label is a place in the program that is jumped to before it is there.
type label int

const (
	toNextRule label = iota
	toAllow
	toDeny
	labels
)

// assembler appends instructions. All jumps go forward.
type assembler struct {
	program Program
	jumps   [labels][]int // the instructions that jump there
}

func (a *assembler) add(x Insn) { a.program = append(a.program, x) }

func (a *assembler) jump(to label, x Insn) {
	a.jumps[to] = append(a.jumps[to], len(a.program))
	a.add(x)
}

// here lets what jumps to l jump to the instruction that comes next.
func (a *assembler) here(l label) {
	for _, i := range a.jumps[l] {
		a.program[i].Off = int16(len(a.program) - i - 1) // Compile refuses what does not fit
	}
	a.jumps[l] = nil
}

func (a *assembler) load() {
	a.add(Insn{Op: opLoad, Dst: kind, Src: context, Off: accessTypeOffset})
	a.add(Insn{Op: opCopy, Dst: undecided, Src: kind})
	a.add(Insn{Op: opShift, Dst: undecided, Imm: 16, Comment: "undecided: m=1 r=2 w=4"})
	a.jump(toAllow, Insn{Op: opIfEqual, Dst: undecided, Imm: 0})
	a.add(Insn{Op: opAnd, Dst: kind, Imm: 0xffff, Comment: "kind: b=1 c=2"})
}

// rule decides for the nodes of r, and goes on for others. The numbers are
// loaded where they are compared: did they stay in registers, the verifier
// would try the later rules anew with each number it has seen.
func (a *assembler) rule(r Rule) {
	first := len(a.program)
	t := int32(unix.BPF_DEVCG_DEV_CHAR)
	if r.Kind == 'b' {
		t = unix.BPF_DEVCG_DEV_BLOCK
	}
	a.jump(toNextRule, Insn{Op: opIfNot, Dst: kind, Imm: t})
	a.number(r.Major, majorOffset)
	a.number(r.Minor, minorOffset)
	verb := "deny "
	switch {
	case r.Allow && r.Access == All:
		a.jump(toAllow, Insn{Op: opGoto})
	case r.Allow:
		a.add(Insn{Op: opAnd, Dst: undecided, Imm: int32(All &^ r.Access)})
		a.jump(toAllow, Insn{Op: opIfEqual, Dst: undecided, Imm: 0})
	case r.Access == All:
		a.jump(toDeny, Insn{Op: opGoto})
	default:
		a.jump(toDeny, Insn{Op: opIfAny, Dst: undecided, Imm: int32(r.Access)})
	}
	if r.Allow {
		verb = "allow "
	}
	a.program[first].Comment = verb + r.String()
	a.here(toNextRule)
}

func (a *assembler) number(n int64, offset int16) {
	if n == Every {
		return
	}
	a.add(Insn{Op: opLoad, Dst: scratch, Src: context, Off: offset})
	a.jump(toNextRule, Insn{Op: opIfNot, Dst: scratch, Imm: int32(uint32(n))})
}

// end answers: first what is the answer without a rule, then the other one,
// if something jumps there, since the kernel refuses code without use.
func (a *assembler) end(allowed bool) {
	yes := func() {
		a.here(toAllow)
		a.program = append(a.program, verdict(1, "allow")...)
	}
	no := func() {
		a.here(toDeny)
		a.program = append(a.program, verdict(0, "deny")...)
	}
	if allowed {
		yes()
		no() // some rule denies, else all were allowed
		return
	}
	no()
	yes() // a request for nothing
}

func verdict(answer int32, comment string) Program {
	return Program{{Op: opMov, Imm: answer, Comment: comment}, {Op: opExit}}
}
