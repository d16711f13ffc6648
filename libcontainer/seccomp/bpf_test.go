// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// sysCall is struct seccomp_data.
type sysCall struct {
	nr, arch uint32
	args     [6]uint64
}

// word is what a program loads from an offset.
func (c sysCall) word(offset uint32) (uint32, error) {
	var data [64]byte
	binary.NativeEndian.PutUint32(data[0:], c.nr)
	binary.NativeEndian.PutUint32(data[4:], c.arch)
	for i, arg := range c.args {
		binary.NativeEndian.PutUint64(data[16+8*i:], arg)
	}
	if offset%4 != 0 || offset > 60 {
		return 0, fmt.Errorf("load from %d", offset)
	}
	return binary.NativeEndian.Uint32(data[offset:]), nil
}

// parse takes a program apart.
func parse(bpf []byte) ([]unix.SockFilter, error) {
	if len(bpf)%sizeofInstruction != 0 || len(bpf) == 0 || len(bpf) > maxInstructions*sizeofInstruction {
		return nil, fmt.Errorf("a program of %d bytes", len(bpf))
	}
	var program []unix.SockFilter
	for ; len(bpf) > 0; bpf = bpf[sizeofInstruction:] {
		program = append(program, unix.SockFilter{
			Code: binary.NativeEndian.Uint16(bpf), Jt: bpf[2], Jf: bpf[3], K: binary.NativeEndian.Uint32(bpf[4:]),
		})
	}
	return program, nil
}

// verify checks what the kernel checks: all jumps stay inside, the program ends
// with a return, and each instruction is one of those that we interpret.
func verify(bpf []byte) error {
	program, err := parse(bpf)
	if err != nil {
		return err
	}
	for i, in := range program {
		room := len(program) - i - 2
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			_, err = sysCall{}.word(in.K)
		case unix.BPF_RET | unix.BPF_K, unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
		case unix.BPF_JMP | unix.BPF_JA:
			if int64(in.K) > int64(room) {
				err = fmt.Errorf("instruction %d jumps out of the program", i)
			}
		case unix.BPF_JMP | unix.BPF_JEQ, unix.BPF_JMP | unix.BPF_JGE, unix.BPF_JMP | unix.BPF_JGT, unix.BPF_JMP | unix.BPF_JSET:
			if max(int(in.Jt), int(in.Jf)) > room {
				err = fmt.Errorf("instruction %d jumps out of the program", i)
			}
		default:
			err = fmt.Errorf("instruction %d has operation %#x", i, in.Code)
		}
		if err != nil {
			return err
		}
	}
	if program[len(program)-1].Code != unix.BPF_RET|unix.BPF_K {
		return fmt.Errorf("the program does not end with a return")
	}
	return nil
}

// interpret runs a program and returns SECCOMP_RET_* with its data.
func interpret(bpf []byte, c sysCall) (uint32, error) {
	program, err := parse(bpf)
	if err != nil {
		return 0, err
	}
	return execute(program, c)
}

func execute(program []unix.SockFilter, c sysCall) (uint32, error) {
	var a uint32
	var err error
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		var yes bool
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			switch in.K { // the usual ones, fast
			case offsetNumber:
				a = c.nr
				continue
			case offsetArch:
				a = c.arch
				continue
			}
			if a, err = c.word(in.K); err != nil {
				return 0, err
			}
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K, nil
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= in.K
			continue
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ:
			yes = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE:
			yes = a >= in.K
		case unix.BPF_JMP | unix.BPF_JGT:
			yes = a > in.K
		case unix.BPF_JMP | unix.BPF_JSET:
			yes = a&in.K != 0
		default:
			return 0, fmt.Errorf("instruction %d has operation %#x", pc, in.Code)
		}
		if yes {
			pc += int(in.Jt)
		} else {
			pc += int(in.Jf)
		}
	}
	return 0, fmt.Errorf("ran over the end")
}

// list prints a program, one instruction a line, with absolute jumps.
func list(bpf []byte) string {
	program, err := parse(bpf)
	if err != nil {
		return err.Error() + "\n"
	}
	tests := map[uint16]string{unix.BPF_JEQ: "==", unix.BPF_JGE: ">=", unix.BPF_JGT: ">", unix.BPF_JSET: "&"}
	var out strings.Builder
	for i, in := range program {
		fmt.Fprintf(&out, "%3d  ", i)
		switch class := in.Code & 7; {
		case class == unix.BPF_LD:
			fmt.Fprintf(&out, "load %d\n", in.K)
		case class == unix.BPF_RET:
			fmt.Fprintf(&out, "ret %#x\n", in.K)
		case in.Code == unix.BPF_JMP|unix.BPF_JA:
			fmt.Fprintf(&out, "goto %d\n", i+1+int(in.K))
		default:
			fmt.Fprintf(&out, "if %s %#x goto %d else %d\n", tests[in.Code&0xf0], in.K, i+1+int(in.Jt), i+1+int(in.Jf))
		}
	}
	return out.String()
}
