// SPDX-License-Identifier: Apache-2.0

// Command bench measures berth against crun, runc and a bare C program that
// makes the same kernel calls, in one interleaved run: every round measures
// each of them once, in an order that rotates. It acts as an engine does, as
// the subreaper that waits for the container's first process. It needs root.
//
//	go run ./tests/bench            about three minutes
//	go run ./tests/bench -n 20      a quick look
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/rig"
)

type options struct {
	rounds   int
	docs     string
	runtimes string
	first    string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "n", 200, "rounds")
	flag.StringVar(&o.docs, "docs", "docs", "directory for performance.md and performance.svg, - for none")
	flag.StringVar(&o.runtimes, "runtimes", "berth,crun,runc", "runtimes to measure; ratios are against the later ones")
	flag.Parse()
	o.first, _, _ = strings.Cut(o.runtimes, ",")
	os.Exit(rig.Program("bench", func() error { return bench(o) }))
}

func bench(o options) error {
	dir, err := os.MkdirTemp("", "berth-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// State roots are on a tmpfs, as /run is on every host; the mount is in the
	// rig's own mount namespace and ends with it.
	roots := filepath.Join(dir, "roots")
	if err := os.Mkdir(roots, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", roots, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=700"); err != nil {
		return fmt.Errorf("cannot mount a tmpfs for the state roots: %w", err)
	}
	defer func() { _ = unix.Unmount(roots, unix.MNT_DETACH) }() // it is empty
	b, err := prepare(dir, o)
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := b.all(o.rounds); err != nil {
		return err
	}
	r := b.results(o, begin)
	fmt.Print(r.table())
	if o.docs == "-" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(o.docs, "performance.md"), []byte(r.markdown()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(o.docs, "performance.svg"), []byte(r.plot()), 0o644)
}

func buildFloor(module, out string) error {
	build := exec.Command("gcc", "-O2", "-static", "-o", out, filepath.Join(module, "tests/bench/floor.c"))
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the floor (is gcc installed?): %w\n%s", err, text)
	}
	return nil
}

// prepare finds the runtimes, builds the floor and makes the bundles.
func prepare(dir string, o options) (*machine, error) {
	b := &machine{dir: dir, floor: filepath.Join(dir, "floor"), bundles: map[string]string{}, samples: samples{}}
	for name := range strings.SplitSeq(o.runtimes, ",") {
		r, err := rig.Find(name, filepath.Join(dir, "roots"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		b.runtimes = append(b.runtimes, r)
	}
	module, err := rig.ModuleDir()
	if err != nil {
		return nil, err
	}
	if b.hierarchies, err = rig.PrepareBase(); err != nil {
		return nil, err
	}
	if len(b.hierarchies) == 0 {
		fmt.Fprintln(os.Stderr, "bench: without the C floor and sizes, which need cgroup v1")
		b.floor = ""
	} else if err := buildFloor(module, b.floor); err != nil {
		return nil, err
	}
	b.kinds = []string{"spec", "docker"}
	if _, err := rig.DockerSpec("/none"); err != nil {
		fmt.Fprintln(os.Stderr, "bench: not measuring Docker's config:", err)
		b.kinds = b.kinds[:1]
	}
	for _, kind := range b.kinds {
		bundle := filepath.Join(dir, kind)
		if err := rig.Bundle(bundle, nil); err != nil {
			return nil, err
		}
		b.bundles[kind] = bundle
	}
	return b, nil
}
