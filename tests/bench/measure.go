// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/tests/rig"
)

const floorName = "C floor"

// samples are the measurements by operation and runtime.
type samples map[string]map[string][]float64

func (s samples) add(op, runtime string, value float64) {
	if s[op] == nil {
		s[op] = map[string][]float64{}
	}
	s[op][runtime] = append(s[op][runtime], value)
}

// machine is what is measured, and with what.
type machine struct {
	dir         string
	floor       string
	runtimes    []rig.Runtime
	hierarchies []string
	bundles     map[string]string // by kind: spec, docker
	kinds       []string          // of spec and docker, those that can be measured
	samples     samples
}

// The operations, in the order in which they are reported.
const (
	opSpec     = "create+start+wait+delete, `spec` config"
	opDocker   = "create+start+wait+delete, Docker's config"
	opExec     = "exec true"
	opState    = "state"
	opKill     = "kill"
	opUpdate   = "update of memory, pids and CPU"
	opPause    = "pause"
	opResume   = "resume"
	opParallel = "8 workers, per container"
	opPeak     = "peak RSS of create"
	opWaiting  = "VmRSS of the waiting init"
	opLimit    = "smallest memory limit that starts"
)

// spec is the config of a bundle; Docker's holds a seccomp profile.
func (m *machine) spec(kind, id string, args ...string) (*specs.Spec, error) {
	path := rig.CgroupBase() + "/" + id
	if kind == "docker" {
		return rig.DockerSpec(path, args...)
	}
	return rig.DefaultSpec(path, args...), nil
}

// container makes a bundle directory for id that shares the kind's rootfs.
func (m *machine) container(kind, id string, edit func(*specs.Spec), args ...string) (string, error) {
	s, err := m.spec(kind, id, args...)
	if err != nil {
		return "", err
	}
	s.Root.Path = filepath.Join(m.bundles[kind], "rootfs")
	if edit != nil {
		edit(s)
	}
	bundle := filepath.Join(m.dir, "bundles", id)
	if err := os.MkdirAll(bundle, 0o755); err != nil {
		return "", err
	}
	return bundle, rig.WriteConfig(bundle, s)
}

// all runs the rounds, then what is measured once.
func (m *machine) all(rounds int) error {
	running, err := m.startRunning()
	if err != nil {
		return err
	}
	defer m.stopRunning(running)
	for _, kind := range m.kinds {
		for _, r := range m.runtimes {
			if _, err := m.container(kind, kind+"-"+r.Name, nil, "busybox", "true"); err != nil {
				return err
			}
		}
	}
	for i := range rounds + 1 {
		if i == 1 { // round 0 warms the caches
			m.samples = samples{}
		}
		if err := m.round(i, running); err != nil {
			return err
		}
	}
	for i := range max(3, rounds/25) {
		for j := range m.runtimes {
			if err := m.parallel(m.runtimes[(i+j)%len(m.runtimes)]); err != nil {
				return err
			}
		}
	}
	return m.once()
}

// round measures everything once, beginning with another runtime each time.
func (m *machine) round(i int, running map[string]string) error {
	n := len(m.runtimes) + 1
	for j := range n {
		at := (i + j) % n
		if at == len(m.runtimes) {
			if m.floor == "" {
				continue
			}
			if err := m.floorRun(); err != nil {
				return err
			}
			continue
		}
		if err := m.runtime(m.runtimes[at], running[m.runtimes[at].Name]); err != nil {
			return fmt.Errorf("%s: %w", m.runtimes[at].Name, err)
		}
	}
	return nil
}

func (m *machine) runtime(r rig.Runtime, running string) error {
	for _, kind := range m.kinds {
		op := map[string]string{"spec": opSpec, "docker": opDocker}[kind]
		id := kind + "-" + r.Name
		begin := time.Now()
		if err := lifecycle(r, filepath.Join(m.dir, "bundles", id), id); err != nil {
			return err
		}
		m.samples.add(op, r.Name, ms(begin))
	}
	for _, step := range []struct {
		op   string
		args []string
	}{
		{opExec, []string{"exec", running, "busybox", "true"}},
		{opState, []string{"state", running}},
		{opKill, []string{"kill", running, "CONT"}},
		{opUpdate, []string{"update", "--memory", "67108864", "--pids-limit", "100", "--cpu-quota", "50000", running}},
		{opPause, []string{"pause", running}},
		{opResume, []string{"resume", running}},
	} {
		begin := time.Now()
		if err := quiet(r, step.args...); err != nil {
			return err
		}
		m.samples.add(step.op, r.Name, ms(begin))
	}
	return nil
}

func (m *machine) floorRun() error {
	for _, kind := range m.kinds {
		op, how := opSpec, "plain"
		if kind == "docker" {
			op, how = opDocker, "docker"
		}
		args := append([]string{"run", filepath.Join(m.bundles[kind], "rootfs"), rig.CgroupBase() + "/floor", how}, m.hierarchies...)
		begin := time.Now()
		if out, err := exec.Command(m.floor, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("floor: %w: %s", err, out)
		}
		m.samples.add(op, floorName, ms(begin))
	}
	return nil
}

// lifecycle is one container as an engine makes it.
func lifecycle(r rig.Runtime, bundle, id string) error {
	pidFile := filepath.Join(bundle, "pid")
	if err := quiet(r, "create", "--bundle", bundle, "--pid-file", pidFile, id); err != nil {
		return err
	}
	pid, err := readPid(pidFile)
	if err != nil {
		return err
	}
	if err := quiet(r, "start", id); err != nil {
		return err
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		return fmt.Errorf("wait for init %d: %w", pid, err)
	}
	if status.ExitStatus() != 0 {
		return fmt.Errorf("the container's status is %#x", status)
	}
	return quiet(r, "delete", id)
}

// quiet runs a command whose streams are /dev/null; only when it fails is it
// run again to show why.
func quiet(r rig.Runtime, args ...string) error {
	cmd := r.Command(args...)
	if err := cmd.Run(); err != nil {
		again := r.Command(args...)
		out, _ := again.CombinedOutput() // the first failure is the error
		return fmt.Errorf("%s: %w; a second try says: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

func readPid(file string) (int, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// startRunning starts one sleeping container for each runtime.
func (m *machine) startRunning() (map[string]string, error) {
	ids := map[string]string{}
	for _, r := range m.runtimes {
		id := "running-" + r.Name
		bundle, err := m.container("spec", id, nil, "sleep", "100000")
		if err != nil {
			return nil, err
		}
		if err := quiet(r, "create", "--bundle", bundle, id); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		if err := quiet(r, "start", id); err != nil {
			return nil, fmt.Errorf("%s: %w", r.Name, err)
		}
		ids[r.Name] = id
	}
	return ids, nil
}

func (m *machine) stopRunning(ids map[string]string) {
	for _, r := range m.runtimes {
		_ = quiet(r, "delete", "--force", ids[r.Name]) // Leave reports no leftovers; the next run sweeps them
	}
	rig.Reap()
}

// parallel runs 8 workers with 5 containers each.
func (m *machine) parallel(r rig.Runtime) error {
	const workers, each = 8, 5
	errs := make([]error, workers)
	var group sync.WaitGroup
	for w := range workers {
		id := fmt.Sprintf("worker-%d-%s", w, r.Name)
		if _, err := m.container("spec", id, nil, "busybox", "true"); err != nil {
			return err
		}
	}
	begin := time.Now()
	for w := range workers {
		group.Go(func() {
			id := fmt.Sprintf("worker-%d-%s", w, r.Name)
			for range each {
				if errs[w] = lifecycle(r, filepath.Join(m.dir, "bundles", id), id); errs[w] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("%s: 8 workers: %w", r.Name, err)
		}
	}
	m.samples.add(opParallel, r.Name, ms(begin)/(workers*each))
	return nil
}

// once measures sizes, which do not vary much.
func (m *machine) once() error {
	for range 5 {
		for _, r := range m.runtimes {
			if m.floor == "" {
				continue // it is what measures sizes
			}
			if err := m.sizes(r); err != nil {
				return fmt.Errorf("%s: %w", r.Name, err)
			}
		}
	}
	for _, r := range m.runtimes {
		if limit, ok := m.smallest(r); ok {
			m.samples.add(opLimit, r.Name, float64(limit>>10))
		}
	}
	return nil
}

// sizes measures the peak of the runtime's own processes and the waiting init.
func (m *machine) sizes(r rig.Runtime) error {
	id := "size-" + r.Name
	bundle, err := m.container("spec", id, nil, "busybox", "true")
	if err != nil {
		return err
	}
	pidFile := filepath.Join(bundle, "pid")
	out, err := os.CreateTemp(m.dir, "rss-")
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(m.floor, "rss", r.Path, "--root", r.Root, "create", "--bundle", bundle, "--pid-file", pidFile, id)
	cmd.Stdout = out // a file: the container has it open for longer
	if err := cmd.Run(); err != nil {
		return err
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		return err
	}
	peak, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	m.samples.add(opPeak, r.Name, float64(peak))
	pid, err := readPid(pidFile)
	if err != nil {
		return err
	}
	rss, err := vmRSS(pid)
	if err != nil {
		return err
	}
	m.samples.add(opWaiting, r.Name, rss)
	return m.discard(r, id)
}

func (m *machine) discard(r rig.Runtime, id string) error {
	err := quiet(r, "delete", "--force", id)
	if pid, errPid := readPid(filepath.Join(m.dir, "bundles", id, "pid")); errPid == nil {
		_, _ = unix.Wait4(pid, nil, 0, nil) // reaped before, or never there
	}
	return err
}

func vmRSS(pid int) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseFloat(strings.Fields(value)[0], 64)
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", pid)
}

// smallest tries memory limits upwards until a container runs three times.
func (m *machine) smallest(r rig.Runtime) (int64, bool) {
	id := "limit-" + r.Name
	for _, kib := range []int64{128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 5120, 6144, 8192, 12288, 16384, 32768} {
		limit := kib << 10
		ok := true
		for range 3 {
			_, err := m.container("spec", id, func(s *specs.Spec) {
				s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit}
			}, "busybox", "true")
			if err != nil {
				return 0, false
			}
			ok = ok && m.starts(r, id)
		}
		if ok {
			return limit, true
		}
	}
	return 0, false
}

// starts reports whether a container reaches its program and that ends well;
// neither failing nor hanging is an error here.
func (m *machine) starts(r rig.Runtime, id string) bool {
	defer func() {
		_, _ = r.Do(5*time.Second, "delete", "--force", id) // may never have been there
		rig.Reap()
	}()
	bundle := filepath.Join(m.dir, "bundles", id)
	res, err := r.Do(5*time.Second, "run", "--bundle", bundle, id)
	return err == nil && res.Code == 0
}

func ms(begin time.Time) float64 { return float64(time.Since(begin)) / float64(time.Millisecond) }
