// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/tests/payload/early"
)

// Report is what the payload prints. Values that differ between two runs of
// one container (inode numbers, mount ids, pids of others) are left out.
type Report struct {
	PID, PGID, SID int
	Args           []string
	Cwd            string
	Env            map[string]string
	Hostname       string
	Domainname     string

	UIDs, GIDs, Groups string
	UIDMap, GIDMap     []string
	Setgroups          string
	Umask              string
	Caps               map[string]string
	NoNewPrivs         string
	Seccomp            string
	SeccompFilters     string
	Securebits         string
	Dumpable           int
	DeathSignal        int
	Rlimits            map[string]string
	OOMScoreAdj        string
	Personality        string
	Label              string
	Sched              Sched
	IOPriority         string
	CPUs               string
	Keyring            string
	Signals            map[string]string

	Cgroups    []string
	Namespaces []string
	Interfaces map[string]string
	Sysctls    map[string]string

	FDs    map[string]string
	Mounts []Mount
	Dev    map[string]string
	Masked map[string]string
	Root   string
}

// Sched is the scheduling policy of the first thread.
type Sched struct {
	Policy, Priority uint32
	Nice             int32
	Flags            uint64
}

func look() Report {
	status := statusFields()
	r := Report{
		PID: os.Getpid(), PGID: unix.Getpgrp(), Args: os.Args,
		FDs:  descriptors(early.Descriptors),
		UIDs: status["Uid"], GIDs: status["Gid"], Groups: status["Groups"],
		UIDMap: lines("/proc/self/uid_map"), GIDMap: lines("/proc/self/gid_map"),
		Setgroups: text("/proc/self/setgroups"), Umask: status["Umask"],
		Caps: map[string]string{
			"inheritable": status["CapInh"], "permitted": status["CapPrm"], "effective": status["CapEff"],
			"bounding": status["CapBnd"], "ambient": status["CapAmb"],
		},
		NoNewPrivs: status["NoNewPrivs"], Seccomp: status["Seccomp"], SeccompFilters: status["Seccomp_filters"],
		// Ignored and blocked only: Go's runtime catches signals of its own.
		Signals:     map[string]string{"ignored": status["SigIgn"], "pending": status["SigPnd"]},
		OOMScoreAdj: text("/proc/self/oom_score_adj"),
		Personality: text("/proc/self/personality"),
		Label:       text("/proc/self/attr/current"),
		CPUs:        status["Cpus_allowed"],
		Rlimits:     rlimits(), Cgroups: lines("/proc/self/cgroup"), Namespaces: namespaces(),
		Interfaces: interfaces(), Sysctls: sysctls(),
		Mounts: mounts(), Dev: devices("/dev", ""), Masked: masked(), Root: rootState(),
	}
	r.SID, _ = unix.Getsid(0) // cannot fail for ourselves
	if cwd, err := unix.Getwd(); err != nil {
		r.Cwd = err.Error()
	} else {
		r.Cwd = cwd
	}
	r.Hostname, r.Domainname = uts()
	r.Env = environment()
	threadAttributes(&r)
	return r
}

func threadAttributes(r *Report) {
	if bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err == nil {
		r.Securebits = fmt.Sprintf("%#x", bits)
	}
	r.Dumpable, _ = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0) // cannot fail
	r.DeathSignal = deathSignal()
	if attr, err := unix.SchedGetAttr(0, 0); err == nil {
		r.Sched = Sched{Policy: attr.Policy, Priority: attr.Priority, Nice: attr.Nice, Flags: attr.Flags}
	}
	r.IOPriority = ioPriority()
	r.Keyring = keyring()
}

func environment() map[string]string {
	env := map[string]string{}
	for _, e := range os.Environ() {
		name, value, _ := strings.Cut(e, "=")
		if _, twice := env[name]; twice {
			name += " (again)"
		}
		env[name] = value
	}
	return env
}

func uts() (host, domain string) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err.Error(), ""
	}
	return unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Domainname[:])
}

func statusFields() map[string]string {
	fields := map[string]string{}
	for _, line := range lines("/proc/self/status") {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.Join(strings.Fields(value), " ")
	}
	return fields
}

func text(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return reason(err)
	}
	return strings.TrimRight(string(data), "\n\x00")
}

// lines returns the lines of a file with runs of blanks made one.
func lines(path string) []string {
	all := []string{}
	for line := range strings.Lines(text(path)) {
		all = append(all, strings.Join(strings.Fields(line), " "))
	}
	return all
}

func rlimits() map[string]string {
	names := map[string]int{
		"AS": unix.RLIMIT_AS, "CORE": unix.RLIMIT_CORE, "CPU": unix.RLIMIT_CPU, "DATA": unix.RLIMIT_DATA,
		"FSIZE": unix.RLIMIT_FSIZE, "LOCKS": unix.RLIMIT_LOCKS, "MEMLOCK": unix.RLIMIT_MEMLOCK,
		"MSGQUEUE": unix.RLIMIT_MSGQUEUE, "NICE": unix.RLIMIT_NICE, "NPROC": unix.RLIMIT_NPROC,
		"RSS": unix.RLIMIT_RSS, "RTPRIO": unix.RLIMIT_RTPRIO, "RTTIME": unix.RLIMIT_RTTIME,
		"SIGPENDING": unix.RLIMIT_SIGPENDING, "STACK": unix.RLIMIT_STACK,
	}
	limits := map[string]string{"NOFILE": limit(early.NoFile.Soft, early.NoFile.Hard)}
	for name, resource := range names {
		var l unix.Rlimit
		if err := unix.Getrlimit(resource, &l); err != nil {
			limits[name] = reason(err)
			continue
		}
		limits[name] = limit(l.Cur, l.Max)
	}
	return limits
}

func limit(soft, hard uint64) string {
	word := func(v uint64) string {
		if v == unix.RLIM_INFINITY {
			return "unlimited"
		}
		return strconv.FormatUint(v, 10)
	}
	return word(soft) + ":" + word(hard)
}

// namespaces lists the kinds of namespaces the process is in; the identities
// are left out, as they differ in every run.
func namespaces() []string {
	entries, err := os.ReadDir("/proc/self/ns")
	if err != nil {
		return []string{reason(err)}
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}
