// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer"
	"berth/specconv"
)

// updateCommand is `update`. The flags write into the very structure that
// --resources brings.
type updateCommand struct {
	file   string
	dryRun bool

	cpu     specs.LinuxCPU
	memory  specs.LinuxMemory
	pids    *int64
	weight  *uint16
	kernel  bool
	l3, mem string
}

func (c *updateCommand) flags() []flag {
	return []flag{
		text(&c.file, "FILE|-", "linux.resources as JSON, - for stdin; flags for limits are then ignored", "resources", "r"),
		toggle(&c.dryRun, "print old and new value of each file, and change nothing", "dry-run"),
		number(&c.weight, 16, "N", "relative block I/O weight, 10 to 1000", "blkio-weight"),
		number(&c.cpu.Period, 64, "MICROSECONDS", "period of --cpu-quota", "cpu-period"),
		signed(&c.cpu.Quota, "MICROSECONDS", "CPU time per period, -1 for no limit", "cpu-quota"),
		number(&c.cpu.Burst, 64, "MICROSECONDS", "CPU time that may be saved up", "cpu-burst"),
		number(&c.cpu.Shares, 64, "N", "relative CPU weight, 2 to 262144", "cpu-share"),
		number(&c.cpu.RealtimePeriod, 64, "MICROSECONDS", "period of --cpu-rt-runtime (cgroup v1)", "cpu-rt-period"),
		signed(&c.cpu.RealtimeRuntime, "MICROSECONDS", "real-time CPU time per period (cgroup v1)", "cpu-rt-runtime"),
		text(&c.cpu.Cpus, "LIST", "CPUs to run on, as 0-2,7", "cpuset-cpus"),
		text(&c.cpu.Mems, "LIST", "memory nodes to use", "cpuset-mems"),
		signed(&c.cpu.Idle, "0|1", "1 to run only when nobody else wants the CPU", "cpu-idle"),
		memorySize(&c.memory.Limit, "memory limit", "memory"),
		memorySize(&c.memory.Reservation, "memory below which reclaim spares the container", "memory-reservation"),
		memorySize(&c.memory.Swap, "limit of memory and swap together", "memory-swap"),
		hide(c.ignoredSize("kernel-memory")),
		hide(c.ignoredSize("kernel-memory-tcp")),
		signed(&c.pids, "N", "most processes and threads, -1 for no limit", "pids-limit"),
		text(&c.l3, "LINE", "L3 cache schema, Intel RDT", "l3-cache-schema"),
		text(&c.mem, "LINE", "memory bandwidth schema, Intel RDT", "mem-bw-schema"),
	}
}

// number is an unsigned number of the given bits.
func number[T uint16 | uint64](p **T, bits int, value, usage, name string) flag {
	return flag{names: []string{name}, value: value, usage: usage, set: func(s string) error {
		n, err := strconv.ParseUint(s, 10, bits)
		if err != nil {
			return fmt.Errorf("must be a number from 0 to %d", uint64(1)<<bits-1)
		}
		v := T(n)
		*p = &v
		return nil
	}}
}

func signed(p **int64, value, usage, name string) flag {
	return flag{names: []string{name}, value: value, usage: usage, set: func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return errors.New("must be a number")
		}
		*p = &n
		return nil
	}}
}

// memorySize is a number of bytes, "512m", or -1 for no limit.
func memorySize(p **int64, usage, name string) flag {
	return flag{names: []string{name}, value: "BYTES", usage: usage + ", as 512m; -1 for none", set: func(s string) error {
		n := int64(-1)
		if s != "-1" {
			var err error
			if n, err = units.RAMInBytes(s); err != nil {
				return fmt.Errorf("must be a size such as 512m or -1: %w", err)
			}
			if n < 0 || n == math.MaxInt64 { // the parser's float was too big
				return errors.New("is more than can be counted")
			}
		}
		*p = &n
		return nil
	}}
}

func (c *updateCommand) ignoredSize(name string) flag {
	return flag{names: []string{name}, value: "BYTES", set: func(string) error { c.kernel = true; return nil }}
}

func (c *updateCommand) run(e *env, args []string) (int, error) {
	if c.kernel {
		e.log.warn("update: Kernel memory settings are ignored and will be removed")
	}
	r, err := c.resources(e.stdio[0])
	if err != nil {
		return 1, err
	}
	if err := specconv.CheckResources(r); err != nil {
		return 1, err
	}
	container, err := load(e, args[0])
	if err != nil {
		return 1, err
	}
	lines, err := container.Update(libcontainer.UpdateOptions{
		Resources: r, L3CacheSchema: c.l3, MemBwSchema: c.mem, DryRun: c.dryRun, Warn: e.log.warn,
	})
	for _, line := range lines {
		fmt.Fprintln(e.stdio[1], line)
	}
	return 0, err
}

// resources are those of --resources, or else of the flags.
func (c *updateCommand) resources(in *os.File) (*specs.LinuxResources, error) {
	if c.file == "" {
		return c.flagged(), nil
	}
	if c.file != "-" {
		f, err := os.Open(c.file)
		if err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
		defer f.Close()
		in = f
	}
	// A config.json is never near this size.
	data, err := io.ReadAll(io.LimitReader(in, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("--resources %s: %w", c.file, err)
	}
	return specconv.ParseResources("--resources "+c.file, data)
}

func (c *updateCommand) flagged() *specs.LinuxResources {
	r := &specs.LinuxResources{CPU: &c.cpu, Memory: &c.memory}
	if c.pids != nil {
		r.Pids = &specs.LinuxPids{Limit: c.pids}
	}
	if c.weight != nil {
		r.BlockIO = &specs.LinuxBlockIO{Weight: c.weight}
	}
	return r
}
