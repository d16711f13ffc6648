// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/series"
)

// contender is a tool in one row: args is its command line, for a new directory.
type contender struct {
	row, tool string
	cpu       bool // user and system time, instead of wall-clock time
	args      func(place string) []string
}

func (m *machine) contenders() []contender {
	unpack := func(dir, name string) func(string) []string {
		return func(place string) []string {
			return m.berth(dir+"/store", "unpack", "--mode", "copy", name, place+"/bundle")
		}
	}
	umoci := func(dir string) func(string) []string {
		return func(place string) []string {
			return []string{"umoci", "unpack", "--image", dir + "/layout:" + tag(gzipImage), place + "/bundle"}
		}
	}
	extract := func(dir, name string) func(string) []string {
		return func(place string) []string {
			script := "set -e; mkdir " + place + "/rootfs"
			for _, blob := range m.layers[name] {
				script += fmt.Sprintf("; tar %s -C %s/rootfs -xf %s/layout/%s", map[string]string{gzipImage: "-z", zstdImage: "--zstd"}[name], place, dir, blob)
			}
			return []string{"sh", "-c", script}
		}
	}
	pull := func(place string) []string {
		return m.berth(place+"/store", "pull", m.host+"/"+gzipImage)
	}
	copyOut := func(place string) []string {
		return []string{"skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "docker://" + m.host + "/" + gzipImage, "oci:" + place + "/layout:x"}
	}
	return []contender{
		{rowDisk, "berth", false, unpack(m.disk, gzipImage)},
		{rowDisk, "umoci", false, umoci(m.disk)},
		{rowDisk, "tar", false, extract(m.disk, gzipImage)},
		{rowGzip, "berth", true, unpack(m.memory, gzipImage)},
		{rowGzip, "umoci", true, umoci(m.memory)},
		{rowGzip, "tar", true, extract(m.memory, gzipImage)},
		{rowZstd, "berth", true, unpack(m.memory, zstdImage)},
		{rowZstd, "umoci, gzip", true, umoci(m.memory)},
		{rowZstd, "tar", true, extract(m.memory, zstdImage)},
		{rowPull, "berth", false, pull},
		{rowPull, "skopeo", false, copyOut},
	}
}

func (m *machine) all() error {
	if err := m.prepare(); err != nil {
		return err
	}
	// The layers of overlay bundles, and the size of the files.
	for _, args := range [][]string{{"--mode", "copy", gzipImage, m.disk + "/first"}, {"--mode", "overlay", gzipImage, m.disk + "/shared"}} {
		if err := m.must(m.berth(m.disk+"/store", append([]string{"unpack"}, args...)...)); err != nil {
			return err
		}
	}
	list := m.contenders()
	for i := range m.opts.rounds + 1 {
		if i == 1 { // round 0 warms the caches
			m.samples = series.Set{}
		}
		for j := range list {
			c := list[(i+j)%len(list)]
			if err := m.round(c); err != nil {
				return err
			}
		}
		if err := m.second(); err != nil {
			return err
		}
	}
	err := m.peaks()
	return errors.Join(err, m.must(m.berth(m.disk+"/store", "unmount", "--rm", m.disk+"/shared")))
}

// place is a new directory; those on the tmpfs are to be removed, while those on
// the disk stay: ext4 makes files slowly where others were just removed.
func (m *machine) place(c contender) (string, error) {
	dir := m.disk
	if c.cpu {
		dir = m.memory
	}
	m.used++
	place := fmt.Sprintf("%s/%d", dir, m.used)
	return place, os.Mkdir(place, 0o755)
}

func (m *machine) round(c contender) error {
	place, err := m.place(c)
	if err != nil {
		return err
	}
	unix.Sync() // what others have written is not to be waited for
	args := c.args(place)
	cmd := exec.CommandContext(m.ctx, args[0], args[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	begin := time.Now()
	err = cmd.Run()
	took := time.Since(begin)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	if c.cpu {
		took = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	m.samples.Add(c.row, c.tool, milliseconds(took))
	if !c.cpu {
		return nil
	}
	return os.RemoveAll(place)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// second measures the second overlay bundle of an image.
func (m *machine) second() error {
	store := m.disk + "/store"
	m.used++
	bundle := fmt.Sprintf("%s/%d", m.disk, m.used)
	before, err := diskUse(store)
	if err != nil {
		return err
	}
	unix.Sync()
	begin := time.Now()
	err = m.must(m.berth(store, "unpack", "--mode", "overlay", gzipImage, bundle))
	took := time.Since(begin)
	if err != nil {
		return err
	}
	own, err1 := diskUse(bundle)
	after, err2 := diskUse(store)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	m.samples.Add(rowSecond, "berth", milliseconds(took))
	m.samples.Add(rowSpace, "berth", float64(own+after-before)/1000)
	return m.must(m.berth(store, "unmount", "--rm", bundle))
}

// diskUse is what is below a directory, in bytes, without what is mounted there.
func diskUse(dir string) (total int64, err error) {
	var top unix.Stat_t
	if err := unix.Stat(dir, &top); err != nil {
		return 0, err
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil {
			err = unix.Lstat(path, &st)
		}
		switch {
		case err != nil:
			return err
		case st.Dev != top.Dev:
			return fs.SkipDir
		}
		total += st.Blocks * 512
		return nil
	})
	return total, err
}

// peaks measures memory.
func (m *machine) peaks() error {
	store := m.memory + "/store"
	bundle := m.memory + "/bundle"
	for range 3 {
		for _, c := range []struct {
			row, name string
			args      []string
		}{
			{rowMemory, "unpack", m.berth(store, "unpack", "--mode", "copy", gzipImage, bundle)},
			{rowMemory, "commit", m.berth(store, "commit", bundle, "bench/committed")},
			{rowMemory, "unpack, zstd", m.berth(store, "unpack", "--mode", "copy", zstdImage, bundle)},
			{rowMemory, "pull", m.berth(m.memory+"/pulled", "pull", m.host+"/"+gzipImage)},
			{rowFlat, "unpack", m.berth(store, "unpack", "--mode", "copy", smallImage, bundle)},
			{rowFlat, "unpack, 4 × as large", m.berth(store, "unpack", "--mode", "copy", largeImage, bundle)},
			{rowFlat, "pull", m.berth(m.memory+"/pulled", "pull", m.host+"/"+smallImage)},
			{rowFlat, "pull, 4 × as large", m.berth(m.memory+"/pulled", "pull", m.host+"/"+largeImage)},
		} {
			if c.name != "commit" {
				if err := m.clear(store, bundle); err != nil {
					return err
				}
			}
			if c.name == "commit" {
				if err := m.change(bundle + "/rootfs"); err != nil {
					return err
				}
			}
			parent, child, err := m.peak(c.args)
			if err != nil {
				return err
			}
			m.samples.Add(c.row, c.name, float64(parent))
			if child > 0 {
				m.samples.Add(c.row, c.name+", the applier", float64(child))
			}
		}
	}
	return m.clear(store, bundle)
}

func (m *machine) clear(store, bundle string) error {
	err := os.RemoveAll(m.memory + "/pulled")
	if _, there := os.Stat(bundle); there == nil {
		err = errors.Join(err, m.must(m.berth(store, "unmount", "--rm", bundle)))
	}
	return err
}

// change adds a large file to a bundle.
func (m *machine) change(rootfs string) error {
	return generate(filepath.Join(rootfs, "added.tar"), smallLayer)
}

// peak runs a command, and returns the peak of its resident memory and that of
// its children, in kB. The rusage of a child has what its parent had before it
// was executed, so VmHWM is polled: it only grows.
func (m *machine) peak(args []string) (parent, child int, err error) {
	cmd := exec.CommandContext(m.ctx, args[0], args[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
			}
			return parent, child, err
		case <-time.After(time.Millisecond):
			parent = max(parent, m.highWater(cmd.Process.Pid))
			for _, pid := range children(cmd.Process.Pid) {
				child = max(child, m.highWater(pid))
			}
		}
	}
}

// highWater is 0 if the process has ended, or has not executed its program yet.
func (m *machine) highWater(pid int) int {
	data, err1 := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	program, err2 := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	ours, err3 := os.Stat(m.opts.tool)
	if errors.Join(err1, err2, err3) != nil || !os.SameFile(program, ours) {
		return 0
	}
	_, after, _ := strings.Cut(string(data), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	n, _ := strconv.Atoi(number) // none: a zombie
	return n
}

func children(pid int) []int {
	var pids []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, list := range lists {
		data, _ := os.ReadFile(list) // the thread may have ended
		for word := range strings.FieldsSeq(string(data)) {
			if n, err := strconv.Atoi(word); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
