// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"fmt"
)

// VerifyError says which operation of a program breaks which rule.
type VerifyError struct {
	Op     int
	Reason string
}

func (e *VerifyError) Error() string {
	return fmt.Sprintf("boot program: operation %d: %s", e.Op, e.Reason)
}

// Verify checks a program before it is written:
//   - every operation is well formed and every jump stays inside;
//   - control never runs off the end;
//   - every word is written (or initialised) before it is read, on every path;
//   - every string is terminated and every address lies in an area;
//   - every new descriptor is close-on-exec;
//   - no_new_privs is never needed after it could no longer be set: seccomp
//     comes after no_new_privs or before the final capset.
func Verify(p *Program) error {
	size := 0
	for i := range p.Ops {
		size += encodedSize(p.Ops[i])
		if err := verifyOp(p, i); err != nil {
			return err
		}
	}
	if size/4 >= nextTarget {
		return fmt.Errorf("boot program: %d bytes of operations are too many", size)
	}
	if len(p.Words) < firstWord || len(p.Words) > wordLimit {
		return fmt.Errorf("boot program: %d words", len(p.Words))
	}
	if err := verifyFlow(p); err != nil {
		return err
	}
	return verifyPrivileges(p)
}

func verifyOp(p *Program, i int) error {
	o := p.Ops[i]
	bad := func(format string, args ...any) error {
		return &VerifyError{i, fmt.Sprintf(format, args...)}
	}
	want := [...]int{Set: 1, Jump: 0, JumpIf: 5, Fail: 1}
	switch {
	case o.Kind > Fail:
		return bad("unknown kind %d", o.Kind)
	case o.Kind == Syscall && (o.Call == NoCall || o.Call >= callCount):
		return bad("unknown call %d", o.Call)
	case o.Kind == Syscall && len(o.Args) != len(calls[o.Call].args):
		return bad("%v with %d arguments", o.Call, len(o.Args))
	case o.Kind != Syscall && len(o.Args) != want[o.Kind]:
		return bad("%d arguments", len(o.Args))
	case o.Kind != Syscall && len(o.Rules) > 0:
		return bad("rules on something that is not a call")
	case len(o.Rules) > maxRules:
		return bad("%d rules", len(o.Rules))
	case int(o.Result) >= len(p.Words) || o.Result != 0 && o.Result < firstWord:
		return bad("result in word %d of %d", o.Result, len(p.Words))
	case o.Kind == Set && o.Result == 0:
		return bad("set without a word")
	case (o.Kind == Jump || o.Kind == JumpIf) && !inside(p, o.Target):
		return bad("jump to %d of %d", o.Target, len(p.Ops))
	}
	for _, r := range o.Rules {
		if r.Target != Next && !inside(p, r.Target) {
			return bad("rule goes to %d of %d", r.Target, len(p.Ops))
		}
		if r.Errno == 0 || r.Errno > AnyErrno {
			return bad("rule for errno %d", r.Errno)
		}
	}
	for j, a := range o.Args {
		if a.Load && wordAt(p, a.Value) < 0 && !inBuffer(p, a.Value) {
			return bad("argument %d loads from %#x", j, a.Value)
		}
	}
	if o.Kind == JumpIf && !mapped(p, o.Args[0].Value, 4) {
		return bad("jump reads %#x", o.Args[0].Value)
	}
	if o.Kind == Syscall {
		if reason := verifyCall(p, o); reason != "" {
			return bad("%v: %s", o.Call, reason)
		}
	}
	return nil
}

// verifyCall checks the addresses and the close-on-exec flag of a call.
func verifyCall(p *Program, o *Op) string {
	info := calls[o.Call]
	for j, kind := range []byte(info.args) {
		a := o.Args[j]
		if a.Load {
			continue
		}
		switch kind {
		case 'p':
			if a.Value != 0 && !terminated(p, a.Value) {
				return fmt.Sprintf("argument %d is not a string", j)
			}
		case 's', 'b':
			if a.Value != 0 && !mapped(p, a.Value, 1) {
				return fmt.Sprintf("argument %d is no address", j)
			}
		}
	}
	if info.fd == nil {
		return ""
	}
	flags := uint64(0)
	if info.fd.arg < 0 { // openat2: struct open_how
		how := constAt(p, o.Args[2].Value)
		if len(how) < 24 {
			return "open_how is no constant"
		}
		for k := range 8 {
			flags |= uint64(how[k]) << (8 * k)
		}
	} else {
		flags = uint64(o.Args[info.fd.arg].Value)
	}
	if flags&info.fd.flag == 0 {
		return "descriptor without close-on-exec"
	}
	return ""
}

func inside(p *Program, l Label) bool { return l >= 0 && int(l) < len(p.Ops) }

// wordAt returns the index of the word at an address, or -1.
func wordAt(p *Program, a int64) int {
	if a < wordBase || a%8 != 0 || a >= wordBase+int64(8*len(p.Words)) {
		return -1
	}
	return int(a-wordBase) / 8
}

func inBuffer(p *Program, a int64) bool {
	return a >= bufferBase && a+8 <= int64(bufferBase+p.BufferSize)
}

// constAt returns the constants from an address on.
func constAt(p *Program, a int64) []byte {
	if a < constBase || a >= constBase+int64(len(p.Const)) {
		return nil
	}
	return p.Const[a-constBase:]
}

func mapped(p *Program, a, n int64) bool {
	return int64(len(constAt(p, a))) >= n ||
		a >= wordBase && a+n <= wordBase+int64(8*len(p.Words)) ||
		a >= bufferBase && a+n <= bufferBase+int64(p.BufferSize)
}

// terminated says whether a string at an address ends; those in buffers are
// written by the parent, which terminates them.
func terminated(p *Program, a int64) bool {
	if v := constAt(p, a); v != nil {
		return bytes.IndexByte(v, 0) >= 0
	}
	return a >= bufferBase && a < bufferBase+int64(p.BufferSize)
}

// verifyPrivileges checks, in the order of the list, that a filter is loaded
// after no_new_privs or before capabilities are dropped: seccomp(2) needs one
// of the two.
func verifyPrivileges(p *Program) error {
	const prSetNoNewPrivs = 38
	nnp, dropped := false, false
	for i := range p.Ops {
		o := p.Ops[i]
		switch {
		case o.Kind != Syscall:
		case o.Call == Prctl && o.Args[0].Value == prSetNoNewPrivs:
			nnp = true
		case o.Call == Capset:
			dropped = true
		case o.Call == Seccomp && !nnp && dropped:
			return &VerifyError{i, "seccomp after the capabilities were dropped, without no_new_privs"}
		}
	}
	return nil
}
