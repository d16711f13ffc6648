// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// maxProfile is how long a file with a profile may be, in bytes.
const maxProfile = 4 << 20

// profile is a system call filter in Docker's form: the OCI's, with conditions
// on capabilities and architectures that are decided before the container
// starts. A profile in the OCI's form is one without conditions.
type profile struct {
	DefaultAction    specs.LinuxSeccompAction `json:"defaultAction"`
	DefaultErrnoRet  *uint                    `json:"defaultErrnoRet"`
	Architectures    []specs.Arch             `json:"architectures"`
	ArchMap          []archMapping            `json:"archMap"`
	Flags            []specs.LinuxSeccompFlag `json:"flags"`
	ListenerPath     string                   `json:"listenerPath"`
	ListenerMetadata string                   `json:"listenerMetadata"`
	Syscalls         []syscalls               `json:"syscalls"`
}

// archMapping names the architectures that a filter for one has to cover too.
type archMapping struct {
	Arch specs.Arch   `json:"architecture"`
	Sub  []specs.Arch `json:"subArchitectures"`
}

// syscalls is a rule. Name is the older form of Names.
type syscalls struct {
	Name     string                   `json:"name"`
	Names    []string                 `json:"names"`
	Action   specs.LinuxSeccompAction `json:"action"`
	ErrnoRet *uint                    `json:"errnoRet"`
	Args     []specs.LinuxSeccompArg  `json:"args"`
	Includes condition                `json:"includes"`
	Excludes condition                `json:"excludes"`
}

// condition is on the container and the machine.
type condition struct {
	Caps      []string `json:"caps"`
	Arches    []string `json:"arches"`
	MinKernel string   `json:"minKernel"`
}

// machine is what conditions are decided with.
type machine struct {
	arch   string // GOARCH
	caps   []string
	kernel string // release; looked up if a condition needs it
}

// seccompArchs maps GOARCH to the name in a filter.
var seccompArchs = map[string]specs.Arch{
	"386": specs.ArchX86, "amd64": specs.ArchX86_64, "arm": specs.ArchARM, "arm64": specs.ArchAARCH64,
	"loong64": specs.ArchLOONGARCH64, "mips": specs.ArchMIPS, "mipsle": specs.ArchMIPSEL, "mips64": specs.ArchMIPS64,
	"mips64le": specs.ArchMIPSEL64, "ppc64le": specs.ArchPPC64LE, "riscv64": specs.ArchRISCV64, "s390x": specs.ArchS390X,
}

// profileOf is the filter that Options.Seccomp names; nil is none.
func profileOf(name string, m machine) (*specs.LinuxSeccomp, error) {
	switch name {
	case "unconfined":
		return nil, nil
	case "", "default":
		return defaultProfile().render(m)
	}
	data, err := readProfile(name)
	if err != nil {
		return nil, fmt.Errorf("seccomp profile: %w", err)
	}
	var p profile
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("seccomp profile %q: %w", name, err)
	}
	if p.DefaultAction == "" {
		return nil, fmt.Errorf("seccomp profile %q: no defaultAction (hint: a profile is JSON in Docker's or the OCI's form)", name)
	}
	s, err := p.render(m)
	if err != nil {
		return nil, fmt.Errorf("seccomp profile %q: %w", name, err)
	}
	return s, nil
}

func readProfile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxProfile+1))
	if err == nil && len(data) > maxProfile {
		err = fmt.Errorf("%q is larger than %d MiB", name, maxProfile>>20)
	}
	return data, err
}

// render decides the conditions.
func (p *profile) render(m machine) (*specs.LinuxSeccomp, error) {
	s := &specs.LinuxSeccomp{
		DefaultAction: p.DefaultAction, DefaultErrnoRet: p.DefaultErrnoRet, Architectures: p.Architectures,
		Flags: p.Flags, ListenerPath: p.ListenerPath, ListenerMetadata: p.ListenerMetadata,
	}
	if len(p.Architectures) > 0 && len(p.ArchMap) > 0 {
		return nil, errors.New("architectures and archMap exclude each other")
	}
	for _, a := range p.ArchMap {
		if a.Arch == seccompArchs[m.arch] {
			s.Architectures = append([]specs.Arch{a.Arch}, a.Sub...)
			break
		}
	}
	for i, r := range p.Syscalls {
		if r.Name != "" {
			if len(r.Names) > 0 {
				return nil, fmt.Errorf("syscalls[%d]: name and names exclude each other", i)
			}
			r.Names = []string{r.Name}
		}
		applies, err := r.applies(m)
		if err != nil {
			return nil, fmt.Errorf("syscalls[%d]: %w", i, err)
		}
		if applies {
			s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{Names: r.Names, Action: r.Action, ErrnoRet: r.ErrnoRet, Args: r.Args})
		}
	}
	return s, nil
}

// applies: everything that is included holds, nothing that is excluded.
func (r *syscalls) applies(m machine) (bool, error) {
	in, out := r.Includes, r.Excludes
	has := func(c string) bool { return slices.Contains(m.caps, c) }
	switch {
	case len(in.Arches) > 0 && !slices.Contains(in.Arches, m.arch), slices.Contains(out.Arches, m.arch):
		return false, nil
	case slices.ContainsFunc(in.Caps, func(c string) bool { return !has(c) }), slices.ContainsFunc(out.Caps, has):
		return false, nil
	}
	if in.MinKernel != "" {
		if newer, err := kernelAtLeast(m.kernel, in.MinKernel); err != nil || !newer {
			return false, err
		}
	}
	if out.MinKernel != "" {
		newer, err := kernelAtLeast(m.kernel, out.MinKernel)
		return !newer, err
	}
	return true, nil
}

// kernelAtLeast compares a release, "" for this kernel's, with MAJOR.MINOR.
func kernelAtLeast(release, want string) (bool, error) {
	if release == "" {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return false, fmt.Errorf("uname: %w", err)
		}
		release = unix.ByteSliceToString(u.Release[:])
	}
	has, err := kernelVersion(release)
	if err != nil {
		return false, err
	}
	min, err := kernelVersion(want)
	return slices.Compare(has, min) >= 0, err
}

func kernelVersion(s string) ([]int, error) {
	major, rest, _ := strings.Cut(s, ".")
	minor := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	a, err1 := strconv.Atoi(major)
	b, err2 := strconv.Atoi(minor)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("%q is no version of a kernel: want MAJOR.MINOR", s)
	}
	return []int{a, b}, nil
}
