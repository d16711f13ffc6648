// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFrontOfASmallProfile shows the shape. If this changes, raise generation.
func TestFrontOfASmallProfile(t *testing.T) {
	needAMD64(t)
	p, err := check(&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: []specs.Arch{specs.ArchX86, specs.ArchX32}, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"read", "write", "openat", "mseal"}, Action: specs.ActAllow},
		{Names: []string{"dup"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Op: specs.OpLessThan, Value: 3}}},
		{Names: []string{"clone3"}, Action: specs.ActErrno, ErrnoRet: errno(38)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	calls, _ := p.resolve()
	plain, err := p.plain(calls)
	if err != nil {
		t.Fatal(err)
	}
	front, err := p.front(calls, plain)
	if err != nil {
		t.Fatal(err)
	}
	got := list(front)
	const golden = "testdata/front.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// agree compares the program with one that libseccomp makes of all rules.
func agree(t *testing.T, s *specs.LinuxSeccomp) {
	t.Helper()
	f, _, err := Compile(s)
	p, checkErr := check(s)
	if checkErr != nil {
		if err == nil {
			t.Fatalf("compiled in spite of %v", checkErr)
		}
		return
	}
	calls, _ := p.resolve()
	alone, aloneErr := p.build(calls, nil)
	if err != nil {
		return // a conflict of rules, which libseccomp may see otherwise
	}
	if err := verify(f.BPF); err != nil {
		t.Fatal(err)
	}
	if aloneErr != nil {
		return // too large for it, or with calls that it does not know
	}
	ours, err := parse(f.BPF)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := parse(alone)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range p.archs {
		for _, nr := range interesting(p, a, calls) {
			for _, c := range []sysCall{{nr: nr, arch: a.audit}, {nr: nr ^ x32Bit, arch: a.audit}, {nr: nr, arch: a.audit, args: [6]uint64{7, 40, 3}}} {
				got, err := execute(ours, c)
				if err != nil {
					t.Fatal(err)
				}
				want, err := execute(theirs, c)
				if err != nil {
					t.Fatal(err)
				}
				if got != want && !(got == enosys && want == p.def.ret() && !p.def.permissive) {
					t.Fatalf("%+v gives %#x, libseccomp alone %#x", c, got, want)
				}
			}
		}
	}
	if got, err := execute(ours, sysCall{arch: 77}); err != nil || got != kill {
		t.Errorf("a foreign architecture gets %#x, %v, want %#x", got, err, kill)
	}
}

// interesting are the numbers at the edges of what a profile names, and those
// of the calls beside socketcall and ipc.
func interesting(p *profile, a *arch, calls [][]*call) []uint32 {
	numbers := []uint32{noCall, noCall - 1, x32Bit - 1, 0x8000_0000, 0xf_0001}
	i := slices.Index(p.archs, a)
	for _, list := range calls {
		for _, c := range list {
			numbers = append(numbers, c.on[i].nr-1, c.on[i].nr, c.on[i].nr+1)
		}
	}
	for _, nr := range directI386 {
		numbers = append(numbers, nr)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// withoutNewer leaves out what libseccomp does not know.
func withoutNewer(s *specs.LinuxSeccomp) *specs.LinuxSeccomp {
	s.Syscalls = slices.Clone(s.Syscalls)
	for i := range s.Syscalls {
		s.Syscalls[i].Names = slices.DeleteFunc(slices.Clone(s.Syscalls[i].Names), func(name string) bool { return findNewer(name) != nil })
	}
	return s
}

func TestFrontChangesNothingElse(t *testing.T) {
	needAMD64(t)
	agree(t, withoutNewer(docker(t)))
	arm := docker(t)
	arm.Architectures = []specs.Arch{specs.ArchAARCH64, specs.ArchARM, specs.ArchMIPSEL}
	agree(t, withoutNewer(arm))
	permissive := docker(t)
	permissive.DefaultAction, permissive.DefaultErrnoRet = specs.ActLog, nil
	agree(t, withoutNewer(permissive))
	// Every second call, with different fates, makes trees that need long jumps.
	patchwork := &specs.LinuxSeccomp{DefaultAction: specs.ActKill, Architectures: docker(t).Architectures}
	for i, name := range withoutNewer(docker(t)).Syscalls[0].Names {
		patchwork.Syscalls = append(patchwork.Syscalls, specs.LinuxSyscall{Names: []string{name}, Action: specs.ActErrno, ErrnoRet: errno(uint(i + 100))})
	}
	agree(t, patchwork)
}

// TestRulesOfOneCallStayTogether: plain and conditional rules, and names that
// share a number, are all libseccomp's.
func TestRulesOfOneCallStayTogether(t *testing.T) {
	first := []specs.LinuxSeccompArg{{Index: 0, Value: 7, Op: specs.OpEqualTo}}
	for _, rules := range [][]specs.LinuxSyscall{
		{{Names: []string{"dup"}, Action: specs.ActErrno, Args: first}, {Names: []string{"dup"}, Action: specs.ActTrap}},
		{{Names: []string{"dup"}, Action: specs.ActTrap}, {Names: []string{"dup"}, Action: specs.ActErrno, Args: first}},
		{{Names: []string{"dup"}, Action: specs.ActTrap}, {Names: []string{"dup"}, Action: specs.ActTrap}},
		{{Names: []string{"arm_sync_file_range"}, Action: specs.ActTrap}, {Names: []string{"sync_file_range2"}, Action: specs.ActErrno, Args: first}},
	} {
		agree(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86, specs.ArchARM}, Syscalls: rules})
	}
}

func TestConflictAboutANewerCallIsAnError(t *testing.T) {
	_, _, err := Compile(&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"listns"}, Action: specs.ActErrno}, {Names: []string{"listns"}, Action: specs.ActTrap}}})
	if want := `linux.seccomp.syscalls[1]: another rule for "listns" has another action`; err == nil || err.Error() != want {
		t.Errorf("error = %v, want %s", err, want)
	}
}

// FuzzCompile: whatever stands in a config.json, compiling it ends, and in a
// program that the kernel would take or in an error.
func FuzzCompile(f *testing.F) {
	s := docker(f)
	s.Syscalls = s.Syscalls[2:]
	data, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_KILL","architectures":["SCMP_ARCH_ARM","SCMP_ARCH_X32"],"listenerPath":"/a","flags":["SECCOMP_FILTER_FLAG_LOG"],"syscalls":[{"names":["mknod","socket","mseal"],"action":"SCMP_ACT_NOTIFY"},{"names":["dup"],"action":"SCMP_ACT_TRACE","errnoRet":9,"args":[{"index":1,"value":3,"valueTwo":1,"op":"SCMP_CMP_MASKED_EQ"}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &specs.LinuxSeccomp{}
		if len(data) > 8<<10 || json.Unmarshal(data, s) != nil {
			return
		}
		filter, _, err := Compile(s)
		if err == nil {
			err = verify(filter.BPF)
		} else if strings.HasPrefix(err.Error(), "linux.seccomp") {
			err = nil
		}
		if err != nil {
			t.Error(err)
		}
	})
}

// FuzzFront: no combination of rules makes the front and libseccomp disagree.
func FuzzFront(f *testing.F) {
	f.Add([]byte{0, 1, 1, 0, 0, 2, 0, 0, 3, 4, 1, 4, 1, 2, 5, 3, 3, 20, 0, 0})
	f.Add([]byte{2, 7, 8, 1, 0, 8, 2, 9, 9, 0, 1, 10, 1, 0, 11, 2, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 2 {
			return
		}
		names := []string{"read", "write", "dup", "openat2", "clone3", "socket", "accept4", "shutdown", "semop", "msgctl", "recv", "ipc", "socketcall",
			"arm_sync_file_range", "sync_file_range2", "sync_file_range", "set_tls", "breakpoint", "arch_prctl", "execve", "mount", "umount", "umount2", "time"}
		// NOTIFY needs more than rules; KILL is KILL_THREAD.
		choices := []specs.LinuxSeccompAction{specs.ActErrno, specs.ActAllow, specs.ActKill, specs.ActTrap, specs.ActLog, specs.ActTrace, specs.ActKillProcess}
		s := &specs.LinuxSeccomp{DefaultAction: choices[int(data[0])%len(choices)]}
		for i, a := range []specs.Arch{specs.ArchX86, specs.ArchX32, specs.ArchARM, specs.ArchMIPSEL, specs.ArchX86_64} {
			if data[1]&(1<<i) != 0 {
				s.Architectures = append(s.Architectures, a)
			}
		}
		for data = data[2:]; len(data) >= 3 && len(s.Syscalls) < 24; data = data[3:] {
			r := specs.LinuxSyscall{Names: []string{names[int(data[0])%len(names)]}, Action: choices[int(data[1])%len(choices)]}
			for n := range data[2] & 3 { // one argument: see within
				r.Args = append(r.Args, specs.LinuxSeccompArg{Index: 0, Value: uint64(data[2]>>4) + uint64(n), ValueTwo: 3, Op: operators[int(data[2]>>2)%len(operators)].name})
			}
			s.Syscalls = append(s.Syscalls, r)
		}
		agree(t, s)
	})
}
