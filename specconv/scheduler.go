// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/config"
)

// schedulerPolicies are SCHED_* of sched(7); each index is the number.
var schedulerPolicies = []specs.LinuxSchedulerPolicy{
	specs.SchedOther, specs.SchedFIFO, specs.SchedRR, specs.SchedBatch, specs.SchedISO, specs.SchedIdle, specs.SchedDeadline,
}

// schedulerFlags are SCHED_FLAG_* of sched_setattr(2); each index is the bit.
var schedulerFlags = []specs.LinuxSchedulerFlag{
	specs.SchedFlagResetOnFork, specs.SchedFlagReclaim, specs.SchedFlagDLOverrun, specs.SchedFlagKeepPolicy,
	specs.SchedFlagKeepParams, specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax,
}

func scheduler(s *specs.Scheduler) (*config.Scheduler, error) {
	if s == nil {
		return nil, nil
	}
	policy := slices.Index(schedulerPolicies, s.Policy)
	realtime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	deadline := s.Policy == specs.SchedDeadline
	switch {
	case s.Policy == "":
		return nil, errors.New("process.scheduler.policy: scheduler policy is required")
	case policy < 0:
		return nil, fmt.Errorf("process.scheduler.policy: invalid scheduler policy %q", s.Policy)
	case s.Nice < -20 || s.Nice > 19:
		return nil, fmt.Errorf("process.scheduler.nice: invalid scheduler.nice: %d", s.Nice)
	case s.Priority != 0 && !realtime:
		return nil, fmt.Errorf("process.scheduler.priority: is for SCHED_FIFO and SCHED_RR alone, not for %s", s.Policy)
	case realtime && (s.Priority < 0 || s.Priority > 99):
		return nil, fmt.Errorf("process.scheduler.priority: %d is not between 0 and 99", s.Priority)
	case !deadline && (s.Runtime != 0 || s.Deadline != 0 || s.Period != 0):
		return nil, fmt.Errorf("process.scheduler: runtime, deadline and period are for SCHED_DEADLINE alone, not for %s", s.Policy)
	case realtime && s.Priority == 0:
		return nil, fmt.Errorf("process.scheduler.priority: %s needs one from 1 to 99", s.Policy)
	case deadline && s.Deadline != 0 && s.Deadline < s.Runtime:
		return nil, errors.New("process.scheduler.deadline: must not be less than runtime")
	case deadline && s.Runtime == 0:
		return nil, errors.New("process.scheduler.runtime: must be set for SCHED_DEADLINE")
	}
	out := &config.Scheduler{
		Policy: uint32(policy), Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period,
	}
	for i, f := range s.Flags {
		bit := slices.Index(schedulerFlags, f)
		if bit < 0 {
			return nil, fmt.Errorf("process.scheduler.flags[%d]: invalid scheduler flag %q", i, f)
		}
		out.Flags |= 1 << bit
	}
	return out, nil
}

func ioPriority(s *specs.LinuxIOPriority) (*config.IOPriority, error) {
	if s == nil {
		return nil, nil
	}
	classes := []specs.IOPriorityClass{"", specs.IOPRIO_CLASS_RT, specs.IOPRIO_CLASS_BE, specs.IOPRIO_CLASS_IDLE}
	class := slices.Index(classes, s.Class)
	if class < 1 {
		return nil, fmt.Errorf("process.ioPriority.class: invalid class %q", s.Class)
	}
	if s.Priority < 0 || s.Priority > 7 {
		return nil, fmt.Errorf("process.ioPriority.priority: %d is not between 0 and 7", s.Priority)
	}
	return &config.IOPriority{Class: class, Level: s.Priority}, nil
}

func affinity(s *specs.CPUAffinity) (*config.CPUAffinity, error) {
	if s == nil {
		return nil, nil
	}
	initial, err := bitList("process.execCPUAffinity.initial", s.Initial)
	if err != nil {
		return nil, err
	}
	final, err := bitList("process.execCPUAffinity.final", s.Final)
	if err != nil {
		return nil, err
	}
	return &config.CPUAffinity{Initial: initial, Final: final}, nil
}

// maxBit is the largest CPU or node that a list may name: the kernel's
// largest NR_CPUS is 8192.
const maxBit = 8191

// bitList reads "0-3,7" as a mask; "" is nil.
func bitList(field, list string) ([]uint64, error) {
	if strings.TrimSpace(list) == "" {
		return nil, nil
	}
	var mask []uint64
	for _, part := range strings.Split(list, ",") {
		if strings.TrimSpace(part) == "" {
			continue // "0-3," is fine
		}
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		a, err1 := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		if err1 != nil || err2 != nil || a > b || b > maxBit {
			return nil, fmt.Errorf("%s: %q is not a list like 0-3,7", field, list)
		}
		for n := a; n <= b; n++ {
			for uint64(len(mask)) <= n/64 {
				mask = append(mask, 0)
			}
			mask[n/64] |= 1 << (n % 64)
		}
	}
	return mask, nil
}

// memoryModes are MPOL_* of set_mempolicy(2); each index is the number.
var memoryModes = []specs.MemoryPolicyModeType{
	specs.MpolDefault, specs.MpolPreferred, specs.MpolBind, specs.MpolInterleave, specs.MpolLocal, specs.MpolPreferredMany, specs.MpolWeightedInterleave,
}

// memoryFlags are the mode flags and their bits.
var memoryFlags = []struct {
	name specs.MemoryPolicyFlagType
	bit  int
}{
	{specs.MpolFStaticNodes, 1 << 15}, {specs.MpolFRelativeNodes, 1 << 14}, {specs.MpolFNumaBalancing, 1 << 13},
}

func memoryPolicy(s *specs.LinuxMemoryPolicy) (*config.MemoryPolicy, error) {
	if s == nil {
		return nil, nil
	}
	mode := slices.Index(memoryModes, s.Mode)
	if mode < 0 {
		return nil, fmt.Errorf("linux.memoryPolicy.mode: invalid memory policy mode %q", s.Mode)
	}
	out := &config.MemoryPolicy{Mode: mode}
	for i, f := range s.Flags {
		at := slices.IndexFunc(memoryFlags, func(m struct {
			name specs.MemoryPolicyFlagType
			bit  int
		}) bool {
			return m.name == f
		})
		if at < 0 {
			return nil, fmt.Errorf("linux.memoryPolicy.flags[%d]: invalid memory policy flag %q", i, f)
		}
		out.Mode |= memoryFlags[at].bit
	}
	var err error
	if out.Nodes, err = bitList("linux.memoryPolicy.nodes", s.Nodes); err != nil {
		return nil, err
	}
	count := 0
	for _, w := range out.Nodes {
		count += bits.OnesCount64(w)
	}
	const static, relative = 1 << 15, 1 << 14
	switch {
	case (s.Mode == specs.MpolDefault || s.Mode == specs.MpolLocal) && (count > 0 || len(s.Flags) > 0):
		return nil, fmt.Errorf("linux.memoryPolicy: %s takes neither nodes nor flags", s.Mode)
	case s.Mode != specs.MpolDefault && s.Mode != specs.MpolLocal && s.Mode != specs.MpolPreferred && count == 0:
		return nil, fmt.Errorf("linux.memoryPolicy.nodes: %s needs some", s.Mode)
	case out.Mode&static != 0 && out.Mode&relative != 0:
		return nil, errors.New("linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other")
	}
	return out, nil
}
