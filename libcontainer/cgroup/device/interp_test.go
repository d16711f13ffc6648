// SPDX-License-Identifier: Apache-2.0

package device

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// request is what the kernel asks.
type request struct {
	kind         byte
	major, minor uint32
	access       Access
}

// word is a field of struct bpf_cgroup_dev_ctx.
func (q request) word(offset int16) (uint32, error) {
	kinds := map[byte]uint32{'b': unix.BPF_DEVCG_DEV_BLOCK, 'c': unix.BPF_DEVCG_DEV_CHAR}
	switch offset {
	case accessTypeOffset:
		return uint32(q.access)<<16 | kinds[q.kind], nil
	case majorOffset:
		return q.major, nil
	case minorOffset:
		return q.minor, nil
	}
	return 0, fmt.Errorf("no field at offset %d", offset)
}

// run interprets p as the kernel does, and refuses what its verifier would.
func run(p Program, q request) (bool, error) {
	var r [11]uint64
	for i := 0; i < len(p); i++ {
		x := p[i]
		k, jump := uint32(x.Imm), false
		switch x.Op {
		case opLoad:
			if x.Src != context {
				return false, fmt.Errorf("%d: loads from r%d", i, x.Src)
			}
			w, err := q.word(x.Off)
			if err != nil {
				return false, fmt.Errorf("%d: %w", i, err)
			}
			r[x.Dst] = uint64(w)
		case opMov:
			r[x.Dst] = uint64(int64(x.Imm))
		case opCopy:
			r[x.Dst] = r[x.Src]
		case opAnd:
			r[x.Dst] &= uint64(int64(x.Imm))
		case opShift:
			r[x.Dst] >>= k
		case opGoto:
			jump = true
		case opIfEqual:
			jump = uint32(r[x.Dst]) == k
		case opIfNot:
			jump = uint32(r[x.Dst]) != k
		case opIfAny:
			jump = uint32(r[x.Dst])&k != 0
		case opExit:
			return r[0] == 1, nil
		default:
			return false, fmt.Errorf("%d: unknown operation %#x", i, x.Op)
		}
		if jump && x.Off < 0 {
			return false, fmt.Errorf("%d: jumps back by %d", i, x.Off)
		}
		if jump {
			i += int(x.Off)
		}
	}
	return false, fmt.Errorf("runs off its end")
}

// reference is the meaning of rules, access by access.
func reference(rules List, q request) bool {
	for _, bit := range []Access{Read, Write, Mknod} {
		if q.access&bit == 0 {
			continue
		}
		allowed := false
		for _, r := range rules {
			if about(r, q) && r.Access&bit != 0 {
				allowed = r.Allow
			}
		}
		if !allowed {
			return false
		}
	}
	return true
}

func about(r Rule, q request) bool {
	if r.Kind == 'a' {
		return true
	}
	return r.Kind == q.kind &&
		(r.Major == Every || r.Major == int64(q.major)) &&
		(r.Minor == Every || r.Minor == int64(q.minor))
}

// Few numbers, so that rules meet each other, and the largest ones.
var numbers = []int64{0, 1, 3, 1<<31 - 1, 1 << 31, 1<<32 - 1}

func randomRule(rnd *rand.Rand) Rule {
	pick := func() int64 {
		if rnd.IntN(3) == 0 {
			return Every
		}
		return numbers[rnd.IntN(len(numbers))]
	}
	if rnd.IntN(12) == 0 {
		return Rule{Allow: rnd.IntN(2) == 0, Kind: 'a', Major: Every, Minor: Every, Access: All}
	}
	return Rule{Allow: rnd.IntN(2) == 0, Kind: "bc"[rnd.IntN(2)], Major: pick(), Minor: pick(), Access: Access(rnd.IntN(8))}
}

// requests are all that rules with these numbers can tell apart.
func requests() []request {
	var all []request
	for _, kind := range []byte("bc") {
		for _, major := range append([]int64{77}, numbers...) {
			for _, minor := range append([]int64{77}, numbers...) {
				for access := range All + 1 {
					all = append(all, request{kind, uint32(major), uint32(minor), access})
				}
			}
		}
	}
	return all
}

// check compares the program of rules with their meaning.
func check(t *testing.T, rules List, all []request) {
	t.Helper()
	p, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	if err := reachable(p); err != nil {
		t.Fatalf("%v in\n%s", err, p)
	}
	everything := true
	for _, q := range all {
		got, err := run(p, q)
		want := reference(rules, q)
		if err != nil || got != want {
			t.Fatalf("%c %d:%d %s: got %v, %v, want %v, from %v:\n%s", q.kind, q.major, q.minor, q.access, got, err, want, verbs(rules), p)
		}
		everything = everything && want
	}
	if p.AllowsAll() && !everything {
		t.Fatalf("AllowsAll, from %v", verbs(rules))
	}
}

// reachable: the kernel refuses instructions that nothing leads to.
func reachable(p Program) error {
	reached := make([]bool, len(p)+1)
	reached[0] = true
	for i, x := range p {
		if !reached[i] {
			return fmt.Errorf("%d is not reachable", i)
		}
		if slices.Contains([]uint8{opGoto, opIfEqual, opIfNot, opIfAny}, x.Op) {
			reached[i+1+int(x.Off)] = true
		}
		if x.Op != opGoto && x.Op != opExit {
			reached[i+1] = true
		}
	}
	if reached[len(p)] {
		return fmt.Errorf("the end is reachable")
	}
	return nil
}

func verbs(rules List) (lines []string) {
	for _, r := range rules {
		verb := "deny "
		if r.Allow {
			verb = "allow "
		}
		lines = append(lines, verb+r.String())
	}
	return lines
}

func TestProgramMeansTheLastRuleAboutEachAccess(t *testing.T) {
	all := requests()
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var rules List
		for range rnd.IntN(12) {
			rules = append(rules, randomRule(rnd))
		}
		check(t, rules, all)
	}
}

// FuzzCompile reads a rule from each four bytes.
func FuzzCompile(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x87, 0, 0, 0, 0x17, 1, 3, 0})
	f.Add([]byte{0x97, 9, 9, 0, 0x11, 1, 1, 0, 0x92, 1, 9, 0})
	all := requests()
	f.Fuzz(func(t *testing.T, data []byte) {
		at := func(b byte) int64 {
			if int(b) >= len(numbers) {
				return Every
			}
			return numbers[b]
		}
		var rules List
		for c := range slices.Chunk(data[:min(len(data), 80)], 4) {
			if len(c) < 4 {
				break
			}
			r := Rule{Allow: c[0]&0x80 != 0, Kind: "bc"[c[0]>>4&1], Major: at(c[1]), Minor: at(c[2]), Access: Access(c[0]) & All}
			if c[3] == 'a' {
				r.Kind, r.Major, r.Minor, r.Access = 'a', Every, Every, All
			}
			rules = append(rules, r)
		}
		check(t, rules, all)
	})
}
