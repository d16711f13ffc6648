// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/rig"
)

// outcome is one program on one runtime.
type outcome struct {
	pass, fail, skip int
	died             string // why the program itself ended badly
	failures         []string
	silent           bool // neither results nor complaints
}

func (o outcome) ok() bool { return o.fail == 0 && o.died == "" && (o.pass+o.skip > 0 || o.silent) }

// results are the outcomes by program and runtime.
type results struct {
	programs []string
	outcomes map[string]map[string]outcome
}

// run runs every program on every runtime, a few at a time. Programs that use
// the same cgroup path, or the whole machine's state, run one after another.
func (s *suite) run(o options, runtimes []rig.Runtime, dir string) *results {
	res := &results{outcomes: map[string]map[string]outcome{}}
	var together, alone []func()
	var lock sync.Mutex
	for _, program := range s.programs {
		if !o.only.MatchString(program) {
			continue
		}
		res.programs = append(res.programs, program)
		res.outcomes[program] = map[string]outcome{}
		for _, r := range runtimes {
			job := func() {
				got := s.one(o, r, program, dir)
				for n := 1; n < attempts && !got.ok() && racy(program); n++ {
					got = s.one(o, r, program, filepath.Join(dir, "again", strconv.Itoa(n)))
				}
				lock.Lock()
				defer lock.Unlock()
				res.outcomes[program][r.Name] = got
			}
			if strings.HasPrefix(program, "linux_cgroups") || strings.HasPrefix(program, "delete") {
				alone = append(alone, job)
			} else {
				together = append(together, job)
			}
		}
	}
	inParallel(o.workers, together)
	inParallel(1, alone)
	return res
}

// attempts is how often a racy program may run until it passes.
const attempts = 3

// racy says whether a program's verdict depends on chance, on every runtime:
// poststart compares what the payload's shell and the hook's shell wrote first,
// and hooks that do not read their state give crun 1.8.1 a broken pipe.
func racy(program string) bool {
	return strings.HasPrefix(program, "poststart") || strings.HasPrefix(program, "poststop")
}

func inParallel(workers int, jobs []func()) {
	queue := make(chan func())
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for job := range queue {
				job()
			}
		})
	}
	for _, job := range jobs {
		queue <- job
	}
	close(queue)
	group.Wait()
}

// one runs a program in a directory of its own, with a state root of its own,
// and deletes by force whatever containers it leaves.
func (s *suite) one(o options, r rig.Runtime, program, dir string) outcome {
	here := filepath.Join(dir, "work", r.Name, program)
	r.Root = filepath.Join(here, "root")
	wrapper, err := s.setUp(here, r)
	if err != nil {
		return outcome{died: err.Error()}
	}
	out, err := os.Create(filepath.Join(here, "output"))
	if err != nil {
		return outcome{died: err.Error()}
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(s.dir, "programs", program))
	cmd.Dir = here
	cmd.Env = append(os.Environ(), "RUNTIME="+wrapper, "TMPDIR="+filepath.Join(here, "tmp"))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return outcome{died: err.Error()}
	}
	timer := time.AfterFunc(o.limit, func() { _ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) })
	err = cmd.Wait()
	late := !timer.Stop()
	leftovers := tidy(r)
	text, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		return outcome{died: readErr.Error()}
	}
	keep(o.logs, r.Name, program, text)
	got := parseTAP(string(text))
	switch {
	case late:
		got.died = fmt.Sprintf("not done after %s", o.limit)
	case err != nil:
		got.died = err.Error()
	}
	if leftovers != "" && got.died == "" {
		got.failures = append(got.failures, "(left containers: "+leftovers+")")
	}
	return got
}

func (s *suite) setUp(here string, r rig.Runtime) (wrapper string, err error) {
	if err := os.MkdirAll(filepath.Join(here, "tmp"), 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if err := s.bring(e.Name(), here); err != nil {
			return "", err
		}
	}
	wrapper = filepath.Join(here, "runtime")
	script := fmt.Sprintf("#!/bin/sh\nexec '%s' --root '%s' \"$@\"\n", r.Path, r.Root)
	return wrapper, os.WriteFile(wrapper, []byte(script), 0o755)
}

// bring puts a file of the suite into the directory here. The programs copy it
// on into bundles, so it cannot be a symbolic link.
func (s *suite) bring(name, here string) error {
	from, to := filepath.Join(s.dir, name), filepath.Join(here, name)
	if os.Link(from, to) == nil {
		return nil
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// tidy deletes the containers that a program left and names them.
func tidy(r rig.Runtime) string {
	entries, err := os.ReadDir(r.Root)
	if err != nil {
		return "" // it made no container
	}
	var left []string
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		res, err := r.Do(20*time.Second, "delete", "--force", e.Name())
		if err == nil && res.Code == 0 {
			left = append(left, e.Name())
		}
	}
	return strings.Join(left, " ")
}

func keep(dir, runtime, program string, text []byte) {
	if dir == "" {
		return
	}
	if err := os.MkdirAll(dir, 0o755); err == nil {
		err = os.WriteFile(filepath.Join(dir, program+"."+runtime), text, 0o644)
		if err != nil {
			fmt.Fprintln(os.Stderr, "conformance:", err)
		}
	}
}
