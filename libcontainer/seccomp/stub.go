// SPDX-License-Identifier: Apache-2.0

package seccomp

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// The stub runs before libseccomp's program and decides two things, for each
// architecture of the profile:
//
//   - A system call whose number is greater than that of every call the profile
//     names is newer than the profile: ENOSYS, so that a C library falls back to
//     an older call. The default action, EPERM say, would be taken as the answer
//     of the new call. This is left out when the default action is permissive
//     (ALLOW, LOG, TRACE), and for an architecture of which the profile names
//     no call at all: nothing can be newer than nothing.
//   - A rule without args for a call that libseccomp does not know (newer.go)
//     is applied.
//
// Everything else, and the number -1 that a tracer sets to skip a call, goes
// on to libseccomp's program, which also answers for architectures that are not
// in the profile. The stub only loads the number and the architecture, so that
// the kernel (5.11) still finds the calls that are always allowed by itself and
// does not run the program for them.

// Offsets in struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
)

// noCall is a number that no system call has.
const noCall = 0xffff_ffff

// table is what the stub knows about one architecture.
type table struct {
	arch *arch
	// extras are the calls that libseccomp does not know, by number.
	extras []extra
	// highest is the greatest number that the profile names; known says that
	// there is one.
	highest uint32
	known   bool
}

type extra struct {
	nr, ret uint32
}

// tables collects what the stub needs, for the architectures where it has
// something to do.
func (p *profile) tables(calls [][]call) []table {
	var all []table
	for _, a := range p.archs {
		t := table{arch: a}
		for i, r := range p.rules {
			for _, c := range calls[i] {
				nr, ok := c.number(a)
				if !ok {
					continue
				}
				if c.newer != nil {
					t.extras = append(t.extras, extra{nr, r.verdict.ret()})
				}
				if a.private == 0 || nr < a.private {
					t.highest, t.known = max(t.highest, nr), true
				}
			}
		}
		if p.def.permissive {
			t.known = false
		}
		if !t.known && t.extras == nil {
			continue
		}
		slices.SortStableFunc(t.extras, func(x, y extra) int { return cmp.Compare(x.nr, y.nr) })
		t.extras = slices.CompactFunc(t.extras, func(x, y extra) bool { return x.nr == y.nr })
		all = append(all, t)
	}
	return all
}

// stub assembles the stub; nil when there is nothing to do.
func (p *profile) stub(calls [][]call) ([]byte, error) {
	tables := p.tables(calls)
	if len(tables) == 0 {
		return nil, nil
	}
	b := &assembler{}
	end := b.label()
	b.load(offsetArch)
	for len(tables) > 0 {
		// x86_64 and x32 have one value of seccomp_data.arch.
		audit := tables[0].arch.audit
		var same, other []table
		for _, t := range tables {
			if t.arch.audit == audit {
				same = append(same, t)
			} else {
				other = append(other, t)
			}
		}
		b.section(audit, same, end)
		tables = other
	}
	b.mark(end)
	return b.bytes()
}

// section is the part for one value of seccomp_data.arch, which the
// accumulator holds at its beginning, and still does at its end.
func (b *assembler) section(audit uint32, tables []table, end label) {
	following, out := b.label(), b.label()
	b.jump(unix.BPF_JEQ, audit, next, following)
	b.load(offsetNumber)
	if audit == unix.AUDIT_ARCH_X86_64 {
		var x64, x32 *table
		for i := range tables {
			if tables[i].arch.base == x32Bit {
				x32 = &tables[i]
			} else {
				x64 = &tables[i]
			}
		}
		upper := b.label()
		b.jump(unix.BPF_JGE, x32Bit, upper, next)
		b.table(x64, out)
		b.mark(upper)
		b.table(x32, out)
	} else {
		b.table(&tables[0], out)
	}
	b.mark(out)
	b.skip(end) // conditional jumps reach 255 instructions, this one all
	b.mark(following)
}

// table decides about the number in the accumulator, or goes to out.
func (b *assembler) table(t *table, out label) {
	if t == nil {
		b.skip(out)
		return
	}
	if len(t.extras) > 0 {
		ordinary := b.label()
		b.jump(unix.BPF_JGE, t.extras[0].nr, next, ordinary)
		for _, e := range t.extras {
			differs := b.label()
			b.jump(unix.BPF_JEQ, e.nr, next, differs)
			b.ret(e.ret)
			b.mark(differs)
		}
		b.mark(ordinary)
	}
	if t.known {
		b.jump(unix.BPF_JGT, t.highest, next, out)
		b.jump(unix.BPF_JEQ, noCall, out, next)
		if t.arch.private != 0 {
			b.jump(unix.BPF_JGE, t.arch.private, out, next)
		}
		b.ret(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
	} else {
		b.skip(out)
	}
}
