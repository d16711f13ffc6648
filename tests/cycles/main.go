// SPDX-License-Identifier: Apache-2.0

// Command cycles creates, starts, kills and deletes one container after the
// other, and then looks for what they left: cgroups, mounts, processes, keys,
// systemd units, state. It also says whether the last ones cost what the first
// did. It needs root.
//
//	cycles -n 1000 -bundle DIR -runtime bin/berth [-systemd]
//
// The bundle's config.json is rewritten for each container's cgroup.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"berth/tests/rig"
)

type options struct {
	n       int
	bundle  string
	runtime string
	systemd bool
	slower  float64
}

func main() {
	var o options
	flag.IntVar(&o.n, "n", 1000, "number of containers")
	flag.StringVar(&o.bundle, "bundle", "", "bundle; its process must wait, as sleep does (default: one is made)")
	flag.StringVar(&o.runtime, "runtime", "bin/berth", "runtime to use")
	flag.BoolVar(&o.systemd, "systemd", false, "use the systemd cgroup driver")
	flag.Float64Var(&o.slower, "slower", 0, "fail when the last tenth takes more than this many times the first tenth; 0: only say so")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "cycles:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	dir, err := os.MkdirTemp("", "berth-cycles")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.bundle == "" {
		o.bundle = filepath.Join(dir, "bundle")
		if err := rig.Bundle(o.bundle, nil); err != nil {
			return err
		}
	}
	root := filepath.Join(dir, "root")
	before, err := look(root)
	if err != nil {
		return err
	}
	times := make([]time.Duration, 0, o.n)
	for i := range o.n {
		id := fmt.Sprintf("cycle%d-%d", os.Getpid(), i)
		begin := time.Now()
		if err := cycle(o, root, id); err != nil {
			return fmt.Errorf("container %d: %w", i+1, err)
		}
		times = append(times, time.Since(begin))
	}
	if err := compare(before, root); err != nil {
		return err
	}
	return report(o, times)
}

// cycle is one container's life.
func cycle(o options, root, id string) error {
	spec := rig.DefaultSpec("/berth-cycles/"+id, "sleep", "1000")
	if o.systemd {
		spec.Linux.CgroupsPath = "system.slice:berth:" + id
	}
	if err := rig.WriteConfig(o.bundle, spec); err != nil {
		return err
	}
	global := []string{"--root", root}
	if o.systemd {
		global = append(global, "--systemd-cgroup")
	}
	for _, verb := range [][]string{
		{"create", "--bundle", o.bundle, id}, {"start", id}, {"kill", id, "KILL"}, {"delete", id},
	} {
		// A killed init takes a moment to be gone, and delete does not wait.
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			cmd := exec.Command(o.runtime, append(slices.Clone(global), verb...)...)
			out, err := output(cmd)
			if err == nil {
				break
			}
			if verb[0] != "delete" || time.Now().After(deadline) {
				return fmt.Errorf("%s: %w: %s", verb[0], err, strings.TrimSpace(out))
			}
		}
	}
	return nil
}

// output is what a command prints, through a file: the container's init keeps
// a pipe open.
func output(cmd *exec.Cmd) (string, error) {
	f, err := os.CreateTemp("", "berth-cycles-out")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	data, readErr := os.ReadFile(f.Name())
	if readErr != nil {
		return "", readErr
	}
	return string(data), err
}

// host is what the machine has of each kind, sorted.
type host map[string][]string

func look(root string) (host, error) {
	h := host{}
	for kind, list := range map[string]func() ([]string, error){
		"cgroup":  cgroups,
		"mount":   func() ([]string, error) { return lines("/proc/self/mountinfo") },
		"process": processes,
		"keyring": keyrings,
		"unit":    units,
		"state":   func() ([]string, error) { return names(root) },
	} {
		found, err := list()
		if err != nil {
			return nil, fmt.Errorf("cannot list what there is of kind %s: %w", kind, err)
		}
		slices.Sort(found)
		h[kind] = found
	}
	return h, nil
}

// compare waits a moment for what the kernel and systemd clean up late.
func compare(before host, root string) error {
	var more []string
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		after, err := look(root)
		if err != nil {
			return err
		}
		more = more[:0]
		for kind, list := range after {
			for _, x := range list {
				if _, ok := slices.BinarySearch(before[kind], x); !ok && ours(kind, x) {
					more = append(more, kind+" "+x)
				}
			}
		}
		if len(more) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d things left:\n%s", len(more), strings.Join(more[:min(20, len(more))], "\n"))
		}
	}
}

// ours keeps the machine's own comings and goings out: what is a container's
// has "cycle" in its name, but for processes and keyrings.
func ours(kind, x string) bool {
	switch kind {
	case "process", "keyring", "state":
		return true
	}
	return strings.Contains(x, "cycle") && !strings.HasSuffix(x, "/berth-cycles")
}

func report(o options, times []time.Duration) error {
	tenth := max(1, len(times)/10)
	first, last := median(times[:tenth]), median(times[len(times)-tenth:])
	ratio := float64(last) / float64(first)
	driver := "cgroupfs"
	if o.systemd {
		driver = "systemd"
	}
	fmt.Printf("cycles: %d with %s: nothing left; median of the first %d: %.2f ms, of the last %d: %.2f ms, ratio %.3f\n",
		len(times), driver, tenth, first.Seconds()*1000, tenth, last.Seconds()*1000, ratio)
	if o.slower > 0 && ratio > o.slower {
		return fmt.Errorf("the last containers took %.2f times as long as the first, more than %.2f", ratio, o.slower)
	}
	return nil
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}
