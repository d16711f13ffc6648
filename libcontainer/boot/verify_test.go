// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"testing"

	"golang.org/x/sys/unix"
)

// op returns a call with immediate arguments.
func op(c Call, args ...int64) *Op {
	o := &Op{Kind: Syscall, Call: c}
	for _, a := range args {
		o.Args = append(o.Args, Arg{Value: a})
	}
	return o
}

func TestVerifyRefuses(t *testing.T) {
	exit := op(ExitGroup, 0)
	word := Word(firstWord)
	load := Arg{Value: int64(word.Addr()), Load: true}
	text := int64(constBase)     // "ok\0"
	open := int64(constBase) + 3 // no terminator behind it
	for _, c := range []struct {
		name string
		ops  []*Op
		want string
	}{
		{"nothing", nil, "boot program: operation 0: the program is empty"},
		{"the end", []*Op{op(Setsid)}, "boot program: operation 0: control runs off the end"},
		{"a jump outside", []*Op{{Kind: Jump, Target: 7}, exit}, "boot program: operation 0: jump to 7 of 2"},
		{"a rule outside", []*Op{{Kind: Syscall, Call: Setsid, Rules: []Rule{{unix.EPERM, 9}}}, exit}, "boot program: operation 0: rule goes to 9 of 2"},
		{"missing arguments", []*Op{op(Chdir), exit}, "boot program: operation 0: chdir with 0 arguments"},
		{"a string without end", []*Op{op(Chdir, open), exit}, "boot program: operation 0: chdir: argument 0 is not a string"},
		{"a wild address", []*Op{op(Getcwd, 0x1234, 8), exit}, "boot program: operation 0: getcwd: argument 0 is no address"},
		{"an early read", []*Op{{Kind: Syscall, Call: Close, Args: []Arg{load}}, exit}, `boot program: operation 0: word "fd" is read before it is written`},
		{"a leaking descriptor", []*Op{op(Openat, unix.AT_FDCWD, text, unix.O_PATH, 0), exit}, "boot program: operation 0: openat: descriptor without close-on-exec"},
		{"seccomp too late", []*Op{op(Capset, text, text), op(Seccomp, 1, 0, text), exit}, "boot program: operation 1: seccomp after the capabilities were dropped, without no_new_privs"},
		{"a result in the interpreter's words", []*Op{{Kind: Syscall, Call: Setsid, Result: opsWord}, exit}, "boot program: operation 0: result in word 9 of 11"},
		{"a call that nobody knows", []*Op{{Kind: Syscall, Call: callCount}, exit}, "boot program: operation 0: unknown call 64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &Program{Arch: AMD64, Ops: c.ops, Words: make([]uint64, firstWord+1), Const: []byte("ok\x00open")}
			p.wordNames = make([]string, firstWord+1)
			p.wordNames[word] = "fd"
			if err := Verify(p); err == nil || err.Error() != c.want {
				t.Errorf("error = %v, want %q", err, c.want)
			}
		})
	}
}

// TestVerifyFollowsEveryPath: a word that only one of two paths writes is not
// written where they meet.
func TestVerifyFollowsEveryPath(t *testing.T) {
	b := New(Config{Arch: AMD64, Control: 3})
	w, meet := b.Word("fd"), b.Label()
	b.Do(Openat, unix.AT_FDCWD, "/", unix.O_CLOEXEC, 0).Into(w).On(meet, unix.ENOENT)
	b.Place(meet)
	b.Do(Close, w)
	b.Do(ExitGroup, 0)
	_, err := b.Finish()
	const want = `boot program: operation 1: word "fd" is read before it is written`
	if err == nil || err.Error() != want {
		t.Errorf("error = %v, want %q", err, want)
	}
}
