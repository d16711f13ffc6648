// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// ProcessContext is what a process of exec takes from its container.
type ProcessContext struct {
	Rootless bool
	// UIDMappings and GIDMappings are those of the container's new user
	// namespace, if it has one.
	UIDMappings, GIDMappings []config.IDMap
}

// process converts the container's own process, with what linux says of it.
func (c *converter) process() error {
	if c.spec.Process == nil {
		return errors.New("process: must be set")
	}
	p, warnings, err := ConvertProcess(c.spec.Process, ProcessContext{
		Rootless: c.o.Rootless, UIDMappings: c.out.UIDMappings, GIDMappings: c.out.GIDMappings,
	})
	c.warnings = append(c.warnings, warnings...)
	if err != nil {
		return err
	}
	p.Seccomp = c.spec.Linux.Seccomp
	if !allowsExecve(p.Seccomp) {
		return errors.New("linux.seccomp: no rule allows execve, which starts the process (hint: add a rule with SCMP_ACT_ALLOW for it)")
	}
	c.out.ExecCPUAffinity, p.CPUAffinity = p.CPUAffinity, nil
	if err := c.personality(p); err != nil {
		return err
	}
	p.MemoryPolicy, err = memoryPolicy(c.spec.Linux.MemoryPolicy)
	c.out.Process = p
	return err
}

// allowsExecve says whether the container's program can be executed below a
// filter: the error would come when nobody is there to hear it.
func allowsExecve(s *specs.LinuxSeccomp) bool {
	if s == nil {
		return true
	}
	denies := func(a specs.LinuxSeccompAction) bool {
		return strings.HasPrefix(string(a), "SCMP_ACT_KILL") || a == specs.ActErrno || a == specs.ActTrap
	}
	allowed := !denies(s.DefaultAction)
	for _, r := range s.Syscalls {
		if !slices.Contains(r.Names, "execve") {
			continue
		}
		if !denies(r.Action) {
			return true
		}
		allowed = allowed && len(r.Args) > 0
	}
	return allowed
}

// ConvertProcess checks a process, of create and of exec alike.
func ConvertProcess(s *specs.Process, ctx ProcessContext) (*config.Process, []string, error) {
	if s == nil {
		return nil, nil, errors.New("process: must be set")
	}
	p := &config.Process{
		Terminal: s.Terminal, Args: s.Args, Cwd: filepath.Clean(s.Cwd), Umask: 0o022,
		UID: s.User.UID, GID: s.User.GID, AdditionalGIDs: s.User.AdditionalGids,
		NoNewPrivileges: s.NoNewPrivileges, OOMScoreAdj: s.OOMScoreAdj,
		AppArmorProfile: s.ApparmorProfile, SELinuxLabel: s.SelinuxLabel,
	}
	var warnings []string
	switch {
	case len(s.Args) == 0 || s.Args[0] == "":
		return nil, nil, errors.New("process.args: must name a program: process args cannot be empty")
	case s.Cwd == "":
		return nil, nil, errors.New("process.cwd: must be set: cwd property must not be empty")
	case !filepath.IsAbs(s.Cwd):
		return nil, nil, fmt.Errorf("process.cwd: cwd must be an absolute path, %q is none", s.Cwd)
	case s.OOMScoreAdj != nil && (*s.OOMScoreAdj < -1000 || *s.OOMScoreAdj > 1000):
		return nil, nil, fmt.Errorf("process.oomScoreAdj: %d is not between -1000 and 1000", *s.OOMScoreAdj)
	}
	for _, step := range []func() error{
		func() error { return user(p, s, ctx) },
		func() (err error) { p.Env, err = environment(s.Env); return },
		func() (err error) { p.Rlimits, err = rlimits(s.Rlimits); return },
		func() error { return console(p, s) },
		func() (err error) { p.Scheduler, err = scheduler(s.Scheduler); return },
		func() (err error) { p.IOPriority, err = ioPriority(s.IOPriority); return },
		func() (err error) { p.CPUAffinity, err = affinity(s.ExecCPUAffinity); return },
	} {
		if err := step(); err != nil {
			return nil, warnings, err
		}
	}
	if s.Capabilities != nil {
		p.Capabilities, warnings = capabilities(s.Capabilities)
	}
	return p, warnings, nil
}

// user checks that the ids are mapped, and the umask.
func user(p *config.Process, s *specs.Process, ctx ProcessContext) error {
	switch {
	case s.User.UID == math.MaxUint32:
		return fmt.Errorf("process.user.uid: %d is no id", s.User.UID)
	case s.User.GID == math.MaxUint32:
		return fmt.Errorf("process.user.gid: %d is no id", s.User.GID)
	case !mapped(ctx.UIDMappings, s.User.UID):
		return fmt.Errorf("process.user.uid: %d is unmapped, see linux.uidMappings", s.User.UID)
	case !mapped(ctx.GIDMappings, s.User.GID):
		return fmt.Errorf("process.user.gid: %d is unmapped, see linux.gidMappings", s.User.GID)
	}
	for i, g := range s.User.AdditionalGids {
		if g == math.MaxUint32 {
			return fmt.Errorf("process.user.additionalGids[%d]: %d is no id", i, g)
		}
		if !mapped(ctx.GIDMappings, g) {
			return fmt.Errorf("process.user.additionalGids[%d]: %d is unmapped, see linux.gidMappings", i, g)
		}
	}
	if one := len(ctx.GIDMappings) == 1 && ctx.GIDMappings[0].Size == 1; one && ctx.Rootless && len(s.User.AdditionalGids) > 0 {
		return errors.New("process.user.additionalGids: cannot set any additional groups in a rootless container with one gid mapped; map more with newgidmap")
	}
	if m := s.User.Umask; m != nil {
		if *m > 0o777 {
			return fmt.Errorf("process.user.umask: %#o is more than 0777", *m)
		}
		p.Umask = *m
	}
	return nil
}

// environment refuses what is no variable; of duplicates, the last wins.
func environment(list []string) ([]string, error) {
	out := make([]string, 0, len(list))
	place := make(map[string]int, len(list))
	for i, e := range list {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("process.env[%d]: is not of the form NAME=VALUE", i)
		}
		if strings.ContainsRune(e, 0) {
			return nil, fmt.Errorf("process.env[%d]: %q has a NUL byte", i, name)
		}
		if at, ok := place[name]; ok {
			out[at] = e
			continue
		}
		place[name] = len(out)
		out = append(out, e)
	}
	return out, nil
}

// rlimitNames are the limits of setrlimit(2); each index is the resource.
var rlimitNames = []string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

func rlimits(list []specs.POSIXRlimit) ([]config.Rlimit, error) {
	var out []config.Rlimit
	for i, r := range list {
		n := slices.Index(rlimitNames, r.Type)
		switch {
		case n < 0:
			return nil, fmt.Errorf("process.rlimits[%d].type: unknown rlimit %q", i, r.Type)
		case slices.ContainsFunc(out, func(o config.Rlimit) bool { return o.Resource == n }):
			return nil, fmt.Errorf("process.rlimits[%d].type: duplicate %s", i, r.Type)
		case r.Soft > r.Hard:
			return nil, fmt.Errorf("process.rlimits[%d].soft: %s: %d exceeds hard, %d", i, r.Type, r.Soft, r.Hard)
		}
		out = append(out, config.Rlimit{Name: r.Type, Resource: n, Soft: r.Soft, Hard: r.Hard})
	}
	return out, nil
}

// console converts the size; without a terminal the spec has it ignored.
func console(p *config.Process, s *specs.Process) error {
	if s.ConsoleSize == nil || !s.Terminal {
		return nil
	}
	if s.ConsoleSize.Height > math.MaxUint16 || s.ConsoleSize.Width > math.MaxUint16 {
		return fmt.Errorf("process.consoleSize: %d rows, %d columns are too many", s.ConsoleSize.Height, s.ConsoleSize.Width)
	}
	p.ConsoleRows, p.ConsoleCols = uint16(s.ConsoleSize.Height), uint16(s.ConsoleSize.Width)
	return nil
}

// personality converts the domain: personality(2). Flags are not defined yet.
func (c *converter) personality(p *config.Process) error {
	s := c.spec.Linux.Personality
	if s == nil {
		return nil
	}
	if len(s.Flags) > 0 {
		c.warn("linux.personality.flags: ignored, none are defined")
	}
	domains := map[specs.LinuxPersonalityDomain]uint64{specs.PerLinux: 0, specs.PerLinux32: 8}
	domain, ok := domains[s.Domain]
	if !ok {
		return fmt.Errorf("linux.personality.domain: unknown domain %q", s.Domain)
	}
	p.Personality = &domain
	return nil
}

// capabilityNames are indexed by number, capabilities(7).
var capabilityNames = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
	"CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
	"CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
	"CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
	"CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
}

// capabilities converts the five sets; names that we do not know are dropped
// with a warning, as the spec wants it.
func capabilities(s *specs.LinuxCapabilities) (*config.Capabilities, []string) {
	out := &config.Capabilities{}
	var warnings []string
	for _, set := range []struct {
		name  string
		names []string
		to    *uint64
	}{
		{"bounding", s.Bounding, &out.Bounding}, {"effective", s.Effective, &out.Effective},
		{"inheritable", s.Inheritable, &out.Inheritable}, {"permitted", s.Permitted, &out.Permitted}, {"ambient", s.Ambient, &out.Ambient},
	} {
		for _, name := range set.names {
			n := slices.Index(capabilityNames, name)
			if n < 0 {
				warnings = append(warnings, fmt.Sprintf("process.capabilities.%s: unknown capability %q is ignored", set.name, name))
				continue
			}
			*set.to |= 1 << n
		}
	}
	if lost := out.Effective &^ out.Permitted; lost != 0 {
		warnings = append(warnings, fmt.Sprintf("process.capabilities.effective: %s are not permitted, and dropped", setNames(lost)))
		out.Effective &= out.Permitted
	}
	if lost := out.Ambient &^ (out.Permitted & out.Inheritable); lost != 0 {
		warnings = append(warnings, fmt.Sprintf("process.capabilities.ambient: %s are not both permitted and inheritable, and dropped", setNames(lost)))
		out.Ambient &= out.Permitted & out.Inheritable
	}
	return out, warnings
}

func setNames(set uint64) string {
	var names []string
	for n, name := range capabilityNames {
		if set&(1<<n) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
