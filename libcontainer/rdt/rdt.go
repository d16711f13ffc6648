// SPDX-License-Identifier: Apache-2.0

// Package rdt puts a container into a resctrl group, which says how much of
// the caches and the memory bandwidth its processes get (Intel RDT, AMD QoS).
// What will be done is planned first, and can be recorded, before it is done.
//
//	group, err := rdt.Plan(id, cfg.IntelRDT)
//	err = rdt.Apply(group, pid)
//	err = rdt.Remove(group)
//
// https://docs.kernel.org/filesystems/resctrl.html
package rdt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/procfs"
	"berth/internal/unsupported"
	"berth/libcontainer/config"
)

// ErrUnsupported says that there is no resctrl filesystem to use. For it
// errors.Is(err, errors.ErrUnsupported) holds.
const ErrUnsupported = unsupported.Error("no resctrl filesystem is mounted (mount -t resctrl resctrl /sys/fs/resctrl; needs a CPU with RDT)")

// Group is a resctrl group, and the monitoring group in it.
type Group = config.RDTGroup

// Plan decides what to do for container id, and refuses what contradicts the
// group that is there. It changes nothing.
func Plan(id string, c *config.IntelRDT) (*Group, error) {
	mounts, err := procfs.ReadAll("self/mountinfo", 64<<20)
	if err != nil {
		return nil, err
	}
	root, ok := mountPoint(string(mounts))
	if !ok {
		return nil, fmt.Errorf("linux.intelRdt: %w", ErrUnsupported)
	}
	return plan(root, id, c)
}

func plan(root, id string, c *config.IntelRDT) (*Group, error) {
	g := &Group{Own: c.ClosID == ""}
	name := c.ClosID
	if g.Own {
		name = id
	}
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("linux.intelRdt.closID: %w", err)
	}
	g.Path = filepath.Join(root, name)
	// The order is the spec's.
	for _, line := range slices.Concat([]string{c.L3CacheSchema, c.MemBwSchema}, c.Schemata) {
		if strings.Contains(line, "\n") {
			return nil, fmt.Errorf("linux.intelRdt: line %q has a newline", line)
		}
		if line != "" {
			g.Schemata = append(g.Schemata, line)
		}
	}
	if c.EnableMonitoring {
		g.MonPath = filepath.Join(g.Path, "mon_groups", id)
	}
	_, err := os.Stat(g.Path)
	switch {
	case err == nil:
		if err := compare(g.Path, c); err != nil {
			return nil, err
		}
		return g, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("linux.intelRdt: %w", err)
	case !g.Own && len(g.Schemata) == 0:
		return nil, fmt.Errorf("linux.intelRdt.closID: group %q does not exist, and there is no schema to make it with", c.ClosID)
	}
	g.Create = true
	return g, nil
}

// checkName refuses what is not one component below the root, but "/", the
// default group.
func checkName(name string) error {
	switch {
	case name == "/":
		return nil
	case name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\n\x00"):
		return fmt.Errorf("invalid group name %q", name)
	case name == "info" || name == "mon_groups" || name == "mon_data":
		return fmt.Errorf("group name %q is the kernel's own", name)
	}
	return nil
}

// compare refuses L3 and MB schemas that an existing group does not have: the
// spec wants an error, as others use the group.
func compare(path string, c *config.IntelRDT) error {
	if c.L3CacheSchema == "" && c.MemBwSchema == "" {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(path, "schemata"))
	if err != nil {
		return fmt.Errorf("linux.intelRdt: %w", err)
	}
	have := parseSchemata(string(data))
	for field, line := range map[string]string{"l3CacheSchema": c.L3CacheSchema, "memBwSchema": c.MemBwSchema} {
		for key, want := range parseSchemata(line) {
			if got, ok := have[key]; !ok || got != want {
				return fmt.Errorf("linux.intelRdt.%s: group %q has %s=%s, not %s", field, filepath.Base(path), key, got, want)
			}
		}
	}
	return nil
}

// parseSchemata makes "L3:0=00f;1=ff" the keys "L3:0" and "L3:1". Leading
// zeros go, as the kernel pads.
func parseSchemata(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		resource, list, _ := strings.Cut(strings.TrimSpace(line), ":")
		for item := range strings.SplitSeq(list, ";") {
			domain, value, ok := strings.Cut(strings.TrimSpace(item), "=")
			if !ok {
				continue
			}
			value = strings.ToLower(strings.TrimLeft(strings.TrimSpace(value), "0"))
			if value == "" {
				value = "0"
			}
			values[resource+":"+strings.TrimSpace(domain)] = value
		}
	}
	return values
}

// Apply makes what is missing, writes the schemata, and moves process pid in.
// What it made is gone again if it fails. A nil group is nothing to do.
func Apply(g *Group, pid int) error {
	if g == nil {
		return nil
	}
	made, err := apply(g, pid)
	if err != nil {
		for _, dir := range slices.Backward(made) {
			_ = rmdir(dir) // the first error is the one to tell
		}
	}
	return err
}

func apply(g *Group, pid int) (made []string, err error) {
	if g.Create {
		err := mkdir(g.Path)
		if err == nil {
			made = append(made, g.Path)
		} else if !errors.Is(err, os.ErrExist) { // another container was faster
			return made, fmt.Errorf("linux.intelRdt: cannot make group: %w%s", err, reason(g.Path, err))
		}
	}
	for _, line := range g.Schemata {
		// One write a line: the kernel then tells which one it refuses.
		if err := write(g.Path, "schemata", line); err != nil {
			return made, fmt.Errorf("linux.intelRdt: schema %q: %w", line, err)
		}
	}
	if err := write(g.Path, "tasks", strconv.Itoa(pid)); err != nil {
		return made, fmt.Errorf("linux.intelRdt: %w", err)
	}
	if g.MonPath == "" {
		return made, nil
	}
	if err := mkdir(g.MonPath); err != nil {
		return made, fmt.Errorf("linux.intelRdt.enableMonitoring: cannot make group: %w%s", err, reason(g.Path, err))
	}
	made = append(made, g.MonPath)
	if err := write(g.MonPath, "tasks", strconv.Itoa(pid)); err != nil {
		return made, fmt.Errorf("linux.intelRdt.enableMonitoring: %w", err)
	}
	return made, nil
}

func write(dir, name, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text + "\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%w%s", err, reason(dir, err))
	}
	return nil
}

// reason adds what the kernel says about the last command that failed.
func reason(dir string, err error) string {
	for ; len(dir) > 1; dir = filepath.Dir(dir) {
		text, rerr := os.ReadFile(filepath.Join(dir, "info", "last_cmd_status"))
		if rerr != nil {
			continue
		}
		if s := strings.TrimSpace(string(text)); s != "" && s != "ok" {
			return " (" + strings.ReplaceAll(s, "\n", "; ") + ")"
		}
		break
	}
	if errors.Is(err, unix.ENOSPC) {
		return " (all class or monitor ids of the CPU are in use)"
	}
	return ""
}

// Remove removes the monitoring group, and the group if it is the container's
// own. The kernel moves tasks that are left back to the parent. What is gone
// already is no error, nor is a nil group.
func Remove(g *Group) error {
	if g == nil {
		return nil
	}
	var errs []error
	if g.MonPath != "" {
		errs = append(errs, rmdir(g.MonPath))
	}
	if g.Own && g.Create {
		errs = append(errs, rmdir(g.Path))
	}
	return errors.Join(errs...)
}

// mkdir makes a group below one that exists.
func mkdir(path string) error {
	return inParent(path, func(dir int, name string) error { return unix.Mkdirat(dir, name, 0o755) })
}

func rmdir(path string) error {
	err := inParent(path, func(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	return fmt.Errorf("cannot remove resctrl group: %w", err)
}

func inParent(path string, call func(dir int, name string) error) error {
	dir, name := filepath.Split(path)
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == nil {
		err = call(fd, name)
		_ = unix.Close(fd) // only looked at
	}
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	return nil
}

// mountPoint finds the resctrl filesystem in the contents of a mountinfo,
// proc_pid_mountinfo(5).
func mountPoint(mountinfo string) (string, bool) {
	for line := range strings.Lines(mountinfo) {
		fields, after, ok := strings.Cut(line, " - ")
		if !ok || !strings.HasPrefix(after, "resctrl ") {
			continue
		}
		// Field 4 is the part of the filesystem that is mounted: all of it, please.
		if f := strings.Fields(fields); len(f) >= 6 && f[3] == "/" {
			return unescape(f[4]), true
		}
	}
	return "", false
}

// unescape undoes what the kernel does to blanks in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
