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
	start := initialised(p)
	f := flow{p: p, states: make([]uint64, len(p.Ops)*len(start)), reached: make([]bool, len(p.Ops)), out: make(wordSet, len(start))}
	f.reach(0, start)
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
	p       *Program
	states  []uint64 // a wordSet for each operation that is reached
	reached []bool
	work    []int
	out     wordSet
	err     error
}

// state is operation i's.
func (f *flow) state(i int) wordSet {
	n := len(f.out)
	return f.states[i*n : (i+1)*n]
}

// reach joins a state into operation i's and queues it if that changed.
func (f *flow) reach(i int, s wordSet) {
	if i >= len(f.p.Ops) {
		f.err = &VerifyError{i - 1, "control runs off the end"}
		return
	}
	old := f.state(i)
	if !f.reached[i] {
		f.reached[i] = true
		copy(old, s)
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
	o, s := f.p.Ops[i], f.state(i)
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
	copy(f.out, s)
	if o.Result != 0 {
		f.out[o.Result/64] |= 1 << (o.Result % 64)
	}
	f.reach(i+1, f.out)
}

func (p *Program) wordName(w int) string {
	if w < len(p.wordNames) {
		return p.wordNames[w]
	}
	return fmt.Sprintf("w%d", w)
}
