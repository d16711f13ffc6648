// SPDX-License-Identifier: Apache-2.0

// Package rig is what the privileged tests and the benchmark stand on: a
// private mount namespace in which berth, runc and crun all find a cgroup
// hierarchy they accept, bundles to run, and checks for what a container left
// behind. It drives runtimes by their command lines only and imports nothing
// of Berth. Example:
//
//	func TestMain(m *testing.M) { os.Exit(rig.Main(m)) }
package rig

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	insideEnv  = "BERTH_RIG_INSIDE"
	cgroupRoot = "/sys/fs/cgroup"
	basePrefix = "berth-rig-"
)

// CgroupBase is the parent, in every hierarchy, of the cgroups that this
// process's containers use. Main and Enter remove it at the end.
func CgroupBase() string { return "/" + basePrefix + strconv.Itoa(os.Getpid()) }

// Main runs a package's tests inside the rig. As an ordinary user it just runs
// them: each test says itself what it needs.
func Main(m *testing.M) int {
	if os.Geteuid() != 0 {
		return m.Run()
	}
	inside, code, err := Enter()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		return 1
	}
	if !inside {
		return code
	}
	defer Leave()
	return m.Run()
}

// Enter runs the program again in a private mount namespace. In the second run
// it prepares the cgroup hierarchies, makes the process a child subreaper and
// reports inside; the caller then works and calls Leave. In the first run it
// waits and returns the exit code to pass on.
func Enter() (inside bool, code int, err error) {
	if os.Getenv(insideEnv) == "" {
		code, err = again()
		return false, code, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return true, 0, fmt.Errorf("cannot become a subreaper: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return true, 0, fmt.Errorf("cannot make mounts private: %w", err)
	}
	removeStaleBases()
	if err := ownNull(); err != nil {
		return true, 0, err
	}
	return true, 0, equalHierarchies()
}

// ownNull covers /dev/null with a node of our own: crun 1.8.1 gives whatever
// stdin, stdout and stderr are open on to the container's user, and that would
// be the machine's /dev/null.
func ownNull() error {
	dir, err := os.MkdirTemp("", "berth-rig-dev-")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID, "mode=755,size=64k"); err != nil {
		return fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	node := filepath.Join(dir, "null")
	if err := unix.Mknod(node, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		return fmt.Errorf("cannot make a null device: %w", err)
	}
	if err := os.Chmod(node, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(node, os.DevNull, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot cover %s: %w", os.DevNull, err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Remove(dir)
}

// Leave removes the cgroups below CgroupBase.
func Leave() { removeBase(CgroupBase()) }

func again() (int, error) {
	// Pdeathsig belongs to the thread that forks, so that must not end first.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signal.Ignore(unix.SIGINT, unix.SIGTERM) // the second run decides
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if exit.ExitCode() < 0 {
			return 1, fmt.Errorf("second run: %w", err)
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// hierarchy is one mounted cgroup hierarchy.
type hierarchy struct {
	point string
	v2    bool
}

func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []hierarchy
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		if !ok || !strings.HasPrefix(after, "cgroup") {
			continue
		}
		found = append(found, hierarchy{point: strings.Fields(before)[4], v2: strings.HasPrefix(after, "cgroup2 ")})
	}
	return found, lines.Err()
}

// equalHierarchies gives every runtime the same view. On a v1 hybrid machine
// crun refuses to work while a controller is left on the v2 hierarchy, so each
// such controller gets a v1 mount of its own, below a tmpfs that only this
// mount namespace sees; the machine's own /sys/fs/cgroup stays as it is.
func equalHierarchies() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	var left []string
	hybrid := false
	for _, h := range all {
		if !h.v2 {
			hybrid = true
			continue
		}
		data, err := os.ReadFile(filepath.Join(h.point, "cgroup.controllers"))
		if err != nil {
			return err
		}
		left = strings.Fields(string(data))
	}
	if !hybrid || len(left) == 0 {
		return nil
	}
	view, err := os.MkdirTemp("", "berth-rig-cgroup-")
	if err != nil {
		return err
	}
	if err := fillView(view, all, left); err != nil {
		return err
	}
	if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot detach %s: %w", cgroupRoot, err)
	}
	if err := unix.Mount(view, cgroupRoot, "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot move %s to %s: %w", view, cgroupRoot, err)
	}
	return os.Remove(view)
}

func fillView(view string, all []hierarchy, left []string) error {
	if err := unix.Mount("tmpfs", view, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	for _, h := range all {
		at := filepath.Join(view, filepath.Base(h.point))
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(h.point, at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("cannot bind %s: %w", h.point, err)
		}
	}
	for _, name := range left {
		at := filepath.Join(view, name)
		if err := os.Mkdir(at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", at, "cgroup", 0, name); err != nil {
			// Somebody uses the controller on v2; crun will say so itself.
			_ = os.Remove(at)
		}
	}
	return nil
}

// removeStaleBases removes what earlier, killed runs left in the hierarchies.
func removeStaleBases() {
	all, err := hierarchies()
	if err != nil {
		return
	}
	for _, h := range all {
		old, _ := filepath.Glob(filepath.Join(h.point, basePrefix+"*"))
		for _, dir := range old {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), basePrefix))
			if err == nil && unix.Kill(pid, 0) == unix.ESRCH {
				removeTree(dir)
			}
		}
	}
}

func removeBase(base string) {
	all, err := hierarchies()
	if err != nil {
		return
	}
	for _, h := range all {
		removeTree(filepath.Join(h.point, base))
	}
}

// Forget returns a function that removes the cgroups at these paths, from the
// hierarchies in which they are not there now.
func Forget(paths ...string) func() {
	all, err := hierarchies()
	if err != nil {
		return func() {}
	}
	var dirs []string
	for _, h := range all {
		for _, path := range paths {
			dir := filepath.Join(h.point, path)
			if _, err := os.Stat(dir); err != nil {
				dirs = append(dirs, dir)
			}
		}
	}
	return func() {
		for _, dir := range dirs {
			removeTree(dir)
		}
	}
}

// removeTree removes cgroup directories depth first; their files go with them.
func removeTree(dir string) {
	below, _ := os.ReadDir(dir)
	for _, e := range below {
		if e.IsDir() {
			removeTree(filepath.Join(dir, e.Name()))
		}
	}
	_ = unix.Rmdir(dir) // busy ones are found by the leftover check
}

// PrepareBase makes CgroupBase in every v1 hierarchy, with the cpuset filled
// in, and returns the hierarchies' mount points.
func PrepareBase() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var points []string
	for _, h := range all {
		if h.v2 {
			continue
		}
		points = append(points, h.point)
		dir := filepath.Join(h.point, CgroupBase())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(h.point, name))
			if err != nil {
				continue // not the cpuset hierarchy
			}
			if err := os.WriteFile(filepath.Join(dir, name), value, 0o644); err != nil {
				return nil, err
			}
		}
	}
	return points, nil
}

// Program is the main function of a benchmark: body runs as root in a mount
// namespace of its own, so that what it mounts ends with it. The result is the
// exit status.
func Program(name string, body func() error) int {
	fail := func(err error) int {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	if os.Geteuid() != 0 {
		return fail(errors.New("must be run as root"))
	}
	inside, code, err := Enter()
	if err == nil && inside {
		err = body()
		Leave()
	}
	if err != nil {
		return fail(err)
	}
	return code
}
