// SPDX-License-Identifier: Apache-2.0

// Command shimbench measures Berth's shim against Debian's containerd-shim-runc-v2
// with runc, under one containerd that it starts itself: own root, state and
// socket, nothing of the machine's containerd is touched. Each round measures
// every shim once, in an order that rotates. It needs root, containerd and ctr,
// runc, and bin/ of `make build`.
//
//	go run ./tests/shimbench            about three minutes
//	go run ./tests/shimbench -n 10 -memory 1    a quick look
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/rig"

	"berth/tests/series"
)

type options struct {
	rounds int
	memory int
	settle time.Duration
	docs   string
	bin    string
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "n", 60, "rounds of the times")
	flag.IntVar(&o.memory, "memory", 3, "rounds of the memory")
	flag.DurationVar(&o.settle, "settle", 5*time.Second, "how long a shim idles before its memory is read")
	flag.StringVar(&o.docs, "docs", "-", "`file` whose shimbench section is rewritten, - for none")
	flag.StringVar(&o.bin, "bin", "", "`directory` of containerd-shim-berth-v2, instead of this module's bin")
	flag.Parse()
	os.Exit(rig.Program("shimbench", func() error { return bench(o) }))
}

func bench(o options) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	// Shims without a parent are init's business, as on every host.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	if o.bin == "" {
		module, err := rig.ModuleDir()
		if err != nil {
			return err
		}
		o.bin = filepath.Join(module, "bin")
	}
	d, err := startDaemon(ctx, o.bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	m := &machine{daemon: d, opts: o, samples: series.Set{}}
	begin := time.Now()
	if err := m.all(ctx); err != nil {
		return errors.Join(err, d.lastWords())
	}
	r := &results{opts: o, samples: m.samples, versions: d.versions(), when: begin, took: time.Since(begin)}
	fmt.Print(r.table())
	if o.docs == "-" {
		return nil
	}
	return rewrite(o.docs, r.markdown())
}
