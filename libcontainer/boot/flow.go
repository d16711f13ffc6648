// SPDX-License-Identifier: Apache-2.0

package boot

import "fmt"

// verifyFlow walks every path and checks that control never runs off the end
// and that a word is written before it is read. The state at an operation is
// the set of words written on all paths that lead to it; it only shrinks, so
// the walk ends.
func verifyFlow(p *Program) error {
	if len(p.Ops) == 0 {
		return &VerifyError{0, "the program is empty"}
	}
	f := flow{p: p, states: make([]wordSet, len(p.Ops))}
	f.reach(0, initialised(p))
	for len(f.work) > 0 && f.err == nil {
		i := f.work[len(f.work)-1]
		f.work = f.work[:len(f.work)-1]
		f.step(i)
	}
	return f.err
}

type wordSet []uint64

func (s wordSet) has(w int) bool { return s[w/64]&(1<<(w%64)) != 0 }

// initialised returns the words that may be read from the start: the
// interpreter's own, and every flag. A flag (Builder.Flag) starts as zero.
func initialised(p *Program) wordSet {
	s := make(wordSet, (len(p.Words)+63)/64)
	for w := range firstWord {
		s[w/64] |= 1 << (w % 64)
	}
	for _, w := range p.flags {
		s[int(w)/64] |= 1 << (w % 64)
	}
	return s
}

type flow struct {
	p      *Program
	states []wordSet
	work   []int
	err    error
}

// reach joins a state into operation i's and queues it if that changed.
func (f *flow) reach(i int, s wordSet) {
	if i >= len(f.p.Ops) {
		f.err = &VerifyError{i - 1, "control runs off the end"}
		return
	}
	old := f.states[i]
	if old == nil {
		f.states[i] = append(wordSet(nil), s...)
		f.work = append(f.work, i)
		return
	}
	changed := false
	for k := range old {
		if n := old[k] & s[k]; n != old[k] {
			old[k], changed = n, true
		}
	}
	if changed {
		f.work = append(f.work, i)
	}
}

// step checks operation i's reads and follows its exits.
func (f *flow) step(i int) {
	o, s := &f.p.Ops[i], f.states[i]
	for _, a := range o.Args {
		if w := wordAt(f.p, a.Value); a.Load && w >= 0 && !s.has(w) {
			f.err = &VerifyError{i, fmt.Sprintf("word %q is read before it is written", f.p.wordName(w))}
			return
		}
	}
	for _, r := range o.Rules {
		to := int(r.Target)
		if r.Target == Next {
			to = i + 1
		}
		f.reach(to, s)
	}
	switch o.Kind {
	case Fail:
		return
	case Jump:
		f.reach(int(o.Target), s)
		return
	case JumpIf:
		f.reach(int(o.Target), s)
	case Syscall:
		if o.Call == ExitGroup || o.Call == Execve {
			return // execve returns only with an error
		}
	}
	out := s
	if o.Result != 0 && !s.has(int(o.Result)) {
		out = append(wordSet(nil), s...)
		out[o.Result/64] |= 1 << (o.Result % 64)
	}
	f.reach(i+1, out)
}

func (p *Program) wordName(w int) string {
	if w < len(p.wordNames) {
		return p.wordNames[w]
	}
	return fmt.Sprintf("w%d", w)
}
