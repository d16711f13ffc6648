// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// The front runs before libseccomp's program. For each architecture of the
// profile it searches the number of the call in a tree of ranges:
//
//   - A plain call has rules without args only, which agree: their action. Calls
//     that libseccomp does not know (newer.go) are always plain.
//   - A number greater than that of every call the profile names is newer than
//     the profile: ENOSYS, so that a C library falls back to an older call. The
//     default action, EPERM say, would be taken as the answer of the new call.
//     This is left out when the default action is permissive (ALLOW, LOG,
//     TRACE), and for an architecture of which the profile names no call at
//     all: nothing can be newer than nothing.
//
// Everything else goes on to libseccomp's program, also the number -1 that a
// tracer sets to skip a call, and architectures that are not in the profile.
// The front only loads the number and the architecture, so that the kernel
// (5.11) still finds the calls that are always allowed by itself and does not
// run the program for them.

// Offsets in struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
)

// noCall is a number that no system call has: -1.
const noCall = 0xffff_ffff

// plain are the calls that the front answers, with their SECCOMP_RET_*.
func (p *profile) plain(calls [][]*call) (map[*call]uint32, error) {
	plain, mixed := map[*call]uint32{}, map[*call]bool{}
	for i, r := range p.rules {
		for _, c := range calls[i] {
			if r.verdict.same(p.def) {
				continue // changes nothing
			}
			ret, seen := plain[c]
			if r.groups != nil || seen && ret != r.verdict.ret() || slices.ContainsFunc(c.on, func(n number) bool { return n.part }) {
				mixed[c] = true
			}
			if c.newer && mixed[c] {
				return nil, fmt.Errorf("%s: another rule for %q has another action", r.field, c.name)
			}
			plain[c] = r.verdict.ret()
		}
	}
	separate(plain, mixed)
	for c := range mixed {
		delete(plain, c)
	}
	return plain, nil
}

// separate makes calls mixed that share a number with a mixed one, or with
// one of another fate (arm_sync_file_range and sync_file_range2 are the same):
// rules about one number must not be torn apart. All of them are in plain.
func separate(plain map[*call]uint32, mixed map[*call]bool) {
	type place struct {
		arch int
		nr   uint32
	}
	for again := true; again; {
		again = false
		at := map[place]*call{}
		for c, ret := range plain {
			for i, n := range c.on {
				if !n.has {
					continue
				}
				other, taken := at[place{i, n.nr}]
				if !taken {
					at[place{i, n.nr}] = c
				} else if mixed[c] != mixed[other] || plain[other] != ret && !mixed[c] {
					mixed[c], mixed[other], again = true, true, true
				}
			}
		}
	}
}

// span is a range of numbers with one outcome. It ends before end.
type span struct {
	first, end uint32
	outcome
}

// outcome is an action, or to leave it to libseccomp's program.
type outcome struct {
	ret  uint32
	pass bool
}

// front assembles the program that runs before libseccomp's.
func (p *profile) front(calls [][]*call, plain map[*call]uint32) ([]byte, error) {
	b := &assembler{}
	behind := b.label()
	b.load(offsetArch)
	var done []uint32
	for i, a := range p.archs {
		if slices.Contains(done, a.audit) {
			continue
		}
		done = append(done, a.audit)
		var spans []span
		for j := i; j < len(p.archs); j++ {
			if p.archs[j].audit == a.audit { // x86_64 and x32
				spans = append(spans, p.spans(j, calls, plain)...)
			}
		}
		if len(spans) == 0 {
			continue
		}
		body, following := b.label(), b.label()
		b.jump(unix.BPF_JEQ, a.audit, body, next)
		b.skip(following)
		b.mark(body)
		b.load(offsetNumber)
		b.search(table(spans), behind)
		b.mark(following)
	}
	b.mark(behind)
	if len(b.code) == 1 {
		return nil, nil
	}
	return b.bytes()
}

// spans are the numbers of p.archs[i] that the front has an answer for.
func (p *profile) spans(i int, calls [][]*call, plain map[*call]uint32) []span {
	a := p.archs[i]
	var spans []span
	var highest uint32
	known := false
	for j := range p.rules {
		for _, c := range calls[j] {
			n := c.on[i]
			if ret, ok := plain[c]; ok && n.has {
				spans = append(spans, span{n.nr, n.nr + 1, outcome{ret: ret}})
			}
			if (n.has || n.part) && (a.private == 0 || n.bound < a.private) {
				highest, known = max(highest, n.bound), true
			}
		}
	}
	if !known || p.def.permissive {
		return spans
	}
	end := uint32(noCall)
	switch {
	case a.private != 0:
		end = a.private
	case a.audit == unix.AUDIT_ARCH_X86_64 && a.base != x32Bit:
		end = x32Bit
	}
	return append(spans, span{highest + 1, end, outcome{ret: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)}})
}

// table sorts spans and makes them cover all numbers: neighbours with the same
// outcome become one, and what lies between them passes.
func table(spans []span) []span {
	slices.SortFunc(spans, func(x, y span) int { return cmp.Compare(x.first, y.first) })
	all := []span{{0, 0, outcome{pass: true}}}
	for _, s := range spans {
		last := &all[len(all)-1]
		switch {
		case s.end <= last.end:
			continue // another rule or name for the same number
		case s.first > last.end && last.pass:
			last.end = s.first
		case s.first > last.end:
			all = append(all, span{last.end, s.first, outcome{pass: true}})
		}
		last = &all[len(all)-1]
		if last.outcome == s.outcome {
			last.end = s.end
		} else {
			all = append(all, s)
		}
	}
	if all[0].end == 0 {
		all = all[1:] // number 0 has an answer
	}
	if last := &all[len(all)-1]; !last.pass {
		all = append(all, span{first: last.end, outcome: outcome{pass: true}})
	}
	return all
}

// maxBranch is a number of spans with which no jump of a tree is too long: its
// comparisons and outcomes are fewer than 255.
const maxBranch = 100

// search finds the span of the number in the accumulator.
func (b *assembler) search(all []span, behind label) {
	if len(all) > maxBranch {
		middle := len(all) / 2
		lower, upper := b.label(), b.label()
		b.jump(unix.BPF_JGE, all[middle].first, next, lower)
		b.skip(upper)
		b.mark(lower)
		b.search(all[:middle], behind)
		b.mark(upper)
		b.search(all[middle:], behind)
		return
	}
	leaves := map[outcome]label{}
	var order []outcome
	for _, s := range all {
		if _, ok := leaves[s.outcome]; !ok {
			leaves[s.outcome] = b.label()
			order = append(order, s.outcome)
		}
	}
	b.branch(all, leaves)
	for _, o := range order {
		b.mark(leaves[o])
		if o.pass {
			b.skip(behind)
		} else {
			b.ret(o.ret)
		}
	}
}

// branch compares the number with the middle of two spans or more.
func (b *assembler) branch(all []span, leaves map[outcome]label) {
	if len(all) < 2 {
		return // the only leaf follows
	}
	lower, upper := all[:len(all)/2], all[len(all)/2:]
	yes, no := leaves[upper[0].outcome], leaves[lower[0].outcome]
	if len(upper) > 1 {
		yes = b.label()
	}
	if len(lower) > 1 {
		no = next
	}
	b.jump(unix.BPF_JGE, upper[0].first, yes, no)
	b.branch(lower, leaves)
	if len(upper) > 1 {
		b.mark(yes)
		b.branch(upper, leaves)
	}
}
