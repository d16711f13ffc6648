// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Compile translates a profile for this machine and kernel. The warnings name
// system calls that neither libseccomp nor we know; their rules are left out,
// as engines expect, and are worth a line of debug output. Without a profile
// there is no filter.
func Compile(s *specs.LinuxSeccomp) (*Filter, []string, error) {
	if s == nil {
		return nil, nil, nil
	}
	p, err := check(s)
	if err != nil {
		return nil, nil, err
	}
	f := &Filter{Listener: p.notify}
	if f.Flags, err = p.kernelFlags(); err != nil {
		return nil, nil, err
	}
	if err := p.kernelActions(); err != nil {
		return nil, nil, err
	}
	calls, warnings := p.resolve()
	plain, err := p.plain(calls)
	if err != nil {
		return nil, nil, err
	}
	front, err := p.front(calls, plain)
	if err != nil {
		return nil, nil, err
	}
	program, err := within(buildLimit, func() ([]byte, error) { return p.build(calls, plain) })
	if err != nil {
		return nil, nil, err
	}
	f.BPF = append(front, program...)
	if n := len(f.BPF) / sizeofInstruction; n > maxInstructions {
		return nil, nil, fmt.Errorf("linux.seccomp: the profile makes %d instructions, the kernel takes %d", n, maxInstructions)
	}
	return f, warnings, nil
}

// buildLimit is a thousand times what Docker's profile takes.
const buildLimit = 4 * time.Second

// within gives up on build after the limit. libseccomp 2.5.4 never returns from
// seccomp_rule_add for some pairs of rules, e.g. one for read with conditions
// on the arguments 0, 1 and 2 that all are >= 2, and one with those on 0 and 2.
// Nothing ends a call of C, so that its thread turns until the process exits.
func within(limit time.Duration, build func() ([]byte, error)) ([]byte, error) {
	type result struct {
		program []byte
		err     error
	}
	done := make(chan result, 1)
	go func() {
		program, err := build()
		done <- result{program, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.program, r.err
	case <-timer.C:
		return nil, fmt.Errorf("linux.seccomp: libseccomp %s does not finish within %v; hint: simplify rules for one system call with conditions on several arguments", Version(), limit)
	}
}

// build makes libseccomp's program, of the calls that are not plain.
func (p *profile) build(calls [][]*call, plain map[*call]uint32) ([]byte, error) {
	f, err := libseccomp.NewFilter(p.def.lib())
	if err != nil {
		return nil, fmt.Errorf("%s: cannot make a filter: %w", p.def.field, err)
	}
	defer f.Release()
	for _, a := range p.archs[1:] { // the native one is there already
		if err := f.AddArch(a.lib); err != nil {
			if errors.Is(err, unix.EDOM) {
				err = errors.New("its byte order is not this machine's")
			}
			return nil, fmt.Errorf("linux.seccomp.architectures: cannot add %s: %w", a.name, err)
		}
	}
	// A binary tree instead of a list of comparisons. It came with libseccomp
	// 2.5, and an older one works without.
	_ = f.SetOptimize(2)
	for i, r := range p.rules {
		if r.verdict.same(p.def) {
			continue // libseccomp refuses a rule that changes nothing
		}
		for _, c := range calls[i] {
			if _, done := plain[c]; done && !multiplexes(c.name) {
				continue // the front answers
			}
			if err := addRule(f, c, r); err != nil {
				return nil, fmt.Errorf("%s: cannot add a rule for %q: %w", r.field, c.name, err)
			}
		}
	}
	return export(f)
}

// multiplexes names the two calls by which 32-bit programs make many others.
// libseccomp turns conditions of those, which it cannot see there, into rules
// for these, and refuses two that differ (EEXIST) unless it knows that the whole
// call is decided: Podman's profile has such rules for socket.
func multiplexes(name string) bool { return name == "socketcall" || name == "ipc" }

func addRule(f *libseccomp.ScmpFilter, c *call, r rule) error {
	if r.groups == nil {
		return f.AddRule(c.lib, r.verdict.lib())
	}
	for _, conditions := range r.groups {
		if err := f.AddRuleConditional(c.lib, r.verdict.lib(), conditions); err != nil {
			return err
		}
	}
	return nil
}

// export reads the program back through a memory file: libseccomp writes to a
// descriptor only, before 2.6.
func export(f *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: cannot make a memory file: %w", err)
	}
	file := os.NewFile(uintptr(fd), "seccomp")
	defer file.Close()
	if err := f.ExportBPF(file); err != nil {
		return nil, fmt.Errorf("linux.seccomp: cannot generate a filter: %w", err)
	}
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: cannot measure a filter: %w", err)
	}
	program := make([]byte, size)
	if _, err := file.ReadAt(program, 0); err != nil {
		return nil, fmt.Errorf("linux.seccomp: cannot read a filter: %w", err)
	}
	return program, nil
}
