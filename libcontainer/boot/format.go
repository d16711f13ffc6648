// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FormatCall returns operation i's call as strace would print it, with words
// by their names: openat2(rootfs, "proc", {O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT}, 24).
func (p *Program) FormatCall(i int) string {
	o := p.Ops[i]
	args := make([]string, len(o.Args))
	for j, a := range o.Args {
		args[j] = p.formatArg(o, j, a)
	}
	return o.Call.String() + "(" + strings.Join(args, ", ") + ")"
}

// FormatOp returns operation i with its result and rules, on one line.
func (p *Program) FormatOp(i int) string {
	o := p.Ops[i]
	var s string
	switch o.Kind {
	case Syscall:
		s = p.FormatCall(i)
		if o.Result != 0 {
			s += " = " + p.wordName(int(o.Result))
		}
	case Set:
		s = p.wordName(int(o.Result)) + " = " + p.formatValue(o.Args[0])
	case Jump:
		s = fmt.Sprintf("goto %d", o.Target)
	case JumpIf:
		relation := "=="
		if o.Args[4].Value == 1 {
			relation = "!="
		}
		value := p.addressName(o.Args[0].Value)
		if mask := uint32(o.Args[1].Value); mask != ^uint32(0) {
			value += fmt.Sprintf(" & %#x", mask)
		}
		s = fmt.Sprintf("if %s %s %s goto %d", value, relation, formatNumber(o.Args[2].Value), o.Target)
	case Fail:
		s = "fail " + errnoName(unix.Errno(o.Args[0].Value))
	}
	return s + formatRules(o.Rules)
}

// formatRules joins the errors that lead to one place.
func formatRules(rules []Rule) string {
	if len(rules) == 0 {
		return ""
	}
	var parts []string
	for i := 0; i < len(rules); {
		var names []string
		target := rules[i].Target
		for ; i < len(rules) && rules[i].Target == target; i++ {
			names = append(names, errnoName(rules[i].Errno))
		}
		to := "next"
		if target != Next {
			to = strconv.Itoa(int(target))
		}
		parts = append(parts, strings.Join(names, "|")+" → "+to)
	}
	return "  [" + strings.Join(parts, ", ") + "]"
}

func errnoName(e unix.Errno) string {
	if e == AnyErrno {
		return "any"
	}
	if n := unix.ErrnoName(e); n != "" {
		return n
	}
	return strconv.Itoa(int(e))
}

func (p *Program) formatArg(o *Op, j int, a Arg) string {
	if a.Load {
		return p.addressName(a.Value)
	}
	kind := calls[o.Call].args[j]
	if s := symbolic(o.Call, j, a.Value); s != "" {
		return s
	}
	switch kind {
	case 'p':
		if s, ok := p.stringAt(a.Value); ok {
			return strconv.Quote(s)
		}
	case 's', 'b':
		if s := p.structAt(o, j, a.Value); s != "" {
			return s
		}
	case 'd':
		if a.Value == unix.AT_FDCWD {
			return "AT_FDCWD"
		}
	case 'o':
		return fmt.Sprintf("0%o", uint32(a.Value))
	case 'x':
		return fmt.Sprintf("%#x", uint32(a.Value))
	}
	return p.formatValue(a)
}

// formatValue prints an address by the name of what is there, a string in
// quotes, and everything else as a number.
func (p *Program) formatValue(a Arg) string {
	if a.Load || a.Value >= wordBase && a.Value < bufferBase+int64(p.BufferSize) {
		return p.addressName(a.Value)
	}
	if a.Value >= constBase && a.Value < constBase+int64(len(p.Const)) {
		if s, ok := p.stringAt(a.Value); ok {
			return strconv.Quote(s)
		}
	}
	if a.Value == 0 {
		return "0"
	}
	return formatNumber(a.Value)
}

func formatNumber(v int64) string {
	if v > 0xffff {
		return fmt.Sprintf("%#x", v)
	}
	return strconv.FormatInt(v, 10)
}

// addressName names a word or a place in a buffer.
func (p *Program) addressName(v int64) string {
	if w := wordAt(p, v); w >= 0 {
		return p.wordName(w)
	}
	best := Addr(0)
	for a := range p.bufferNames {
		if int64(a) <= v && a >= best {
			best = a
		}
	}
	if best == 0 {
		return fmt.Sprintf("%#x", v)
	}
	if off := v - int64(best); off != 0 {
		return fmt.Sprintf("%s[%d]", p.bufferNames[best], off)
	}
	return p.bufferNames[best]
}

func (p *Program) stringAt(v int64) (string, bool) {
	c := constAt(p, v)
	end := bytes.IndexByte(c, 0)
	if end < 0 {
		return "", false
	}
	return string(c[:end]), true
}

// structAt prints the structures that matter for reading a plan.
func (p *Program) structAt(o *Op, j int, v int64) string {
	c := constAt(p, v)
	if c == nil {
		return ""
	}
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(c[8*i:]) }
	switch {
	case o.Call == Openat2 && j == 2 && len(c) >= 24:
		return fmt.Sprintf("{%s, %s}", join(openFlags, u64(0)), join(resolveFlags, u64(2)))
	case o.Call == MountSetattr && j == 3 && len(c) >= 32:
		return formatMountAttr(u64(0), u64(1), u64(2))
	case o.Call == Execve:
		var list []string
		for i := 0; 8*i+8 <= len(c) && u64(i) != 0; i++ {
			s, _ := p.stringAt(int64(u64(i)))
			list = append(list, strconv.Quote(s))
		}
		if j == 2 {
			return fmt.Sprintf("/* %d variables */", len(list))
		}
		return "[" + strings.Join(list, ", ") + "]"
	case o.Call == Write:
		n := min(int(o.Args[2].Value), len(c))
		if n >= 8 && string(c[:4]) == barrierMagic {
			return fmt.Sprintf("barrier %d", binary.LittleEndian.Uint32(c[4:]))
		}
		if n > 0 && !o.Args[2].Load {
			return strconv.Quote(string(c[:n]))
		}
	case o.Call == Capset && j == 1 && len(c) >= 24:
		u32 := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(c[4*i:])) }
		return fmt.Sprintf("{effective %#x, permitted %#x, inheritable %#x}", u32(0)|u32(3)<<32, u32(1)|u32(4)<<32, u32(2)|u32(5)<<32)
	}
	return "{…}"
}

func formatMountAttr(set, clear, propagation uint64) string {
	var parts []string
	if set != 0 {
		parts = append(parts, "set "+join(mountAttrs, set))
	}
	if clear != 0 {
		parts = append(parts, "clear "+join(mountAttrs, clear))
	}
	if propagation != 0 {
		parts = append(parts, join(mountFlags, propagation))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
