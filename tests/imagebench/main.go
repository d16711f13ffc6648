// SPDX-License-Identifier: Apache-2.0

// Command imagebench measures berth-image against Debian's umoci, skopeo and GNU
// tar, on one image: a Debian base with three layers of this machine's files.
// Each round measures every tool once, in an order that rotates. It needs root,
// bin/ of `make build`, those tools, docker-registry and mmdebstrap; without the
// last, or without a mirror, the base is a part of this machine's /usr.
//
//	go run ./tests/imagebench            about ten minutes
//	go run ./tests/imagebench -n 3 -base /var/tmp/base.tar    a quick look, and keeps the base
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/rig"

	"berth/tests/series"
)

type options struct {
	rounds int
	docs   string
	tool   string
	dir    string
	base   string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "n", 7, "rounds")
	flag.StringVar(&o.docs, "docs", "-", "`file` to write the report to, - for none")
	flag.StringVar(&o.tool, "berth-image", "", "`program`, instead of this module's bin/berth-image")
	flag.StringVar(&o.dir, "dir", os.TempDir(), "`directory` on a disk")
	flag.StringVar(&o.base, "base", "", "`tar` of the base; it is made if it is not there")
	flag.Parse()
	os.Exit(rig.Program("imagebench", func() error { return bench(o) }))
}

func bench(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if o.tool == "" {
		module, err := rig.ModuleDir()
		if err != nil {
			return err
		}
		o.tool = filepath.Join(module, "bin", "berth-image")
	}
	for _, program := range []string{o.tool, "umoci", "skopeo", "tar", "docker-registry"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(o.dir, "berth-imagebench-")
	if err != nil {
		return err
	}
	m := &machine{ctx: ctx, opts: o, disk: filepath.Join(dir, "disk"), memory: filepath.Join(dir, "memory"), samples: series.Set{}}
	defer func() { err = errors.Join(err, m.close(), os.RemoveAll(dir)) }()
	begin := time.Now()
	if err := m.all(); err != nil {
		return err
	}
	r := &results{opts: o, samples: m.samples, image: m.describe(), versions: m.versions(), when: begin, took: time.Since(begin)}
	fmt.Print(r.table())
	if o.docs == "-" {
		return nil
	}
	return os.WriteFile(o.docs, []byte(r.markdown()), 0o644)
}
