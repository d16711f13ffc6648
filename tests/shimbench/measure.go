// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/tests/rig"

	"berth/tests/series"
)

// shim is one of those compared.
type shim struct{ name, runtime string }

// binary is the program that containerd makes of the runtime's name.
func (s shim) binary() string { return "containerd-shim-" + s.name + "-v2" }

// shims: the first is ours, and ratios are against the second.
var shims = []shim{{"berth", "io.containerd.berth.v2"}, {"runc", "io.containerd.runc.v2"}}

// machine is what measures.
type machine struct {
	*daemon
	opts    options
	samples series.Set
	config  *specs.Spec // that of `ctr run`
	io      map[string]*streams
}

// The shapes of the parallel row.
const (
	workers = 8
	each    = 5
)

func (m *machine) all(ctx context.Context) error {
	m.io = map[string]*streams{}
	defer func() {
		for _, s := range m.io {
			s.close()
		}
	}()
	// What ctr writes as a config is what all rows use.
	err := m.ctr(ctx, "container", "create", "--runtime", shims[0].runtime, "--rootfs", m.file("rootfs"), "template", "/bin/true")
	if err != nil {
		return err
	}
	if m.config, err = m.spec(ctx, "template"); err != nil {
		return err
	}
	if err := m.prepare(ctx); err != nil {
		return err
	}
	for i := range m.opts.rounds + 1 {
		if i == 1 { // round 0 warms the caches
			m.samples = series.Set{}
		}
		for j := range shims {
			s := shims[(i+j)%len(shims)]
			if err := m.round(ctx, s, i); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	for i := range max(3, m.opts.rounds/6) {
		for j := range shims {
			s := shims[(i+j)%len(shims)]
			if err := m.parallel(ctx, s); err != nil {
				return fmt.Errorf("%s: %d workers: %w", s.name, workers, err)
			}
		}
	}
	if err := m.endAll(ctx); err != nil { // alone on the machine, as far as we know
		return err
	}
	for i := range m.opts.memory {
		if err := m.memory(ctx, i); err != nil {
			return fmt.Errorf("memory: %w", err)
		}
	}
	return nil
}

// container adds one with ctr's config and the given program.
func (m *machine) container(ctx context.Context, s shim, id string, annotations map[string]string, args ...string) error {
	spec, process, linux := *m.config, *m.config.Process, *m.config.Linux
	process.Args, linux.CgroupsPath = args, rig.CgroupBase()+"/"+id
	spec.Process, spec.Linux, spec.Annotations = &process, &linux, annotations
	if err := m.addContainer(ctx, id, s.runtime, &spec); err != nil {
		return err
	}
	io, err := openStreams(m.file("fifo"), id)
	if err != nil {
		return err
	}
	m.io[id] = io
	return nil
}

// running adds a container and starts it; its shim's pid is returned.
func (m *machine) running(ctx context.Context, s shim, id string, annotations map[string]string) (int, error) {
	if err := m.container(ctx, s, id, annotations, "/bin/sleep", "100000"); err != nil {
		return 0, err
	}
	pid, err := m.create(ctx, id, m.io[id])
	if err != nil {
		return 0, err
	}
	shim, err := parent(pid)
	if err != nil {
		return 0, err
	}
	return shim, m.start(ctx, id)
}

// prepare makes the containers that the rounds run again and again.
func (m *machine) prepare(ctx context.Context) error {
	for _, s := range shims {
		ids := []string{"api-" + s.name}
		for w := range workers {
			ids = append(ids, fmt.Sprintf("worker-%d-%s", w, s.name))
		}
		for _, id := range ids {
			if err := m.container(ctx, s, id, nil, "/bin/true"); err != nil {
				return err
			}
		}
		if _, err := m.running(ctx, s, "running-"+s.name, nil); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// round measures what takes one container at a time.
func (m *machine) round(ctx context.Context, s shim, i int) error {
	id := "ctr-" + s.name
	begin := time.Now()
	if err := m.ctr(ctx, "run", "--rm", "--runtime", s.runtime, "--cgroup", rig.CgroupBase()+"/"+id, "--fifo-dir", m.file("fifo"),
		"--rootfs", m.file("rootfs"), id, "/bin/true"); err != nil {
		return err
	}
	m.samples.Add(rowRun, s.name, ms(time.Since(begin)))
	if err := m.awaitNoShims(ctx, id); err != nil {
		return err
	}

	id = "api-" + s.name
	took, err := m.run(ctx, id, m.io[id])
	if err != nil {
		return err
	}
	m.samples.Add(rowTask, s.name, ms(took))
	if err := m.delete(ctx, id); err != nil {
		return err
	}
	if err := m.awaitNoShims(ctx, id); err != nil {
		return err
	}

	begin = time.Now()
	if err := m.ctr(ctx, "task", "exec", "--exec-id", fmt.Sprintf("e%d", i), "--fifo-dir", m.file("fifo"), "running-"+s.name, "/bin/true"); err != nil {
		return err
	}
	m.samples.Add(rowExec, s.name, ms(time.Since(begin)))

	begin = time.Now()
	if err := m.ctr(ctx, "version"); err != nil {
		return err
	}
	m.samples.Add(rowClient, "ctr", ms(time.Since(begin)))
	return nil
}

// parallel measures the whole life of tasks, many at a time.
func (m *machine) parallel(ctx context.Context, s shim) error {
	errs := make(chan error, workers)
	var group sync.WaitGroup
	begin := time.Now()
	for w := range workers {
		id := fmt.Sprintf("worker-%d-%s", w, s.name)
		group.Go(func() {
			for range each {
				if _, err := m.run(ctx, id, m.io[id]); err != nil {
					errs <- err
					return
				}
				if err := m.delete(ctx, id); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	close(errs)
	if err := <-errs; err != nil {
		return err
	}
	m.samples.Add(rowParallel, s.name, workers*each/took.Seconds())
	for w := range workers {
		if err := m.awaitNoShims(ctx, fmt.Sprintf("worker-%d-%s", w, s.name)); err != nil {
			return err
		}
	}
	return nil
}

// ten is both the number of shims whose memory is compared and that of the
// containers of a pod.
const ten = 10

// memory measures one shim, ten of them, and one with ten containers, for each
// shim beside the others: they share no page with another program's.
func (m *machine) memory(ctx context.Context, round int) error {
	alone, many := map[string]int{}, map[string][]int{}
	for _, s := range shims {
		pid, err := m.running(ctx, s, fmt.Sprintf("idle-%d-0-%s", round, s.name), nil)
		if err != nil {
			return err
		}
		alone[s.name], many[s.name] = pid, []int{pid}
	}
	if err := m.idle(ctx); err != nil {
		return err
	}
	for _, s := range shims {
		u, err := readUsage(alone[s.name])
		if err != nil {
			return err
		}
		m.samples.Add(rowAlone, s.name, float64(u.pss))
		for i := 1; i < ten; i++ {
			pid, err := m.running(ctx, s, fmt.Sprintf("idle-%d-%d-%s", round, i, s.name), nil)
			if err != nil {
				return err
			}
			many[s.name] = append(many[s.name], pid)
		}
	}
	if err := m.idle(ctx); err != nil {
		return err
	}
	for _, s := range shims {
		if err := m.tenShims(s, many[s.name]); err != nil {
			return err
		}
	}
	if err := m.endAll(ctx); err != nil {
		return err
	}
	return m.pods(ctx, round)
}

func (m *machine) tenShims(s shim, pids []int) error {
	total := 0
	for _, pid := range pids {
		u, err := readUsage(pid)
		if err != nil {
			return err
		}
		total += u.pss
		m.samples.Add(rowPSS, s.name, float64(u.pss))
		m.samples.Add(rowAnonymous, s.name, float64(u.anonymous))
	}
	if s != shims[0] { // ours is measured as a pod
		m.samples.Add(rowPod, s.name, float64(total)/ten)
	}
	return nil
}

// pods measures one pod of each shim, grouped as CRI does it: the first
// container is the sandbox, and all are annotated with its id.
func (m *machine) pods(ctx context.Context, round int) error {
	pods := map[string]int{}
	for _, s := range shims {
		sandbox := fmt.Sprintf("pod-%d-0-%s", round, s.name)
		for i := range ten {
			id := fmt.Sprintf("pod-%d-%d-%s", round, i, s.name)
			pid, err := m.running(ctx, s, id, map[string]string{"io.kubernetes.cri.sandbox-id": sandbox})
			if err != nil {
				return err
			}
			if i > 0 && pid != pods[s.name] {
				return fmt.Errorf("%s: %s has a shim of its own", s.name, id)
			}
			pods[s.name] = pid
		}
	}
	if err := m.idle(ctx); err != nil {
		return err
	}
	for i, s := range shims {
		u, err := readUsage(pods[s.name])
		if err != nil {
			return err
		}
		name := s.name
		if i > 0 {
			name += ", pod"
		}
		m.samples.Add(rowPod, name, float64(u.pss)/ten)
	}
	return m.endAll(ctx)
}

// idle lets the shims come to rest.
func (m *machine) idle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(m.opts.settle):
		return nil
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
