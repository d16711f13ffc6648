// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"berth/shim/taskapi"
)

// Set by the linker.
var (
	version = "unknown"
	commit  = "unknown"
)

// name is what containerd makes of the runtime io.containerd.berth.v2.
const name = "containerd-shim-berth-v2"

// command is a command line of containerd's.
type command struct {
	taskapi.Invocation
	version, info bool
}

// flags are those that containerd gives: with one dash or two, before the action.
func (c *command) flags() *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&c.Namespace, "namespace", "", "containerd `namespace` of the container")
	f.StringVar(&c.ID, "id", "", "`id` of the container")
	f.StringVar(&c.Address, "address", "", "`path` of containerd's gRPC socket")
	f.StringVar(&c.PublishBinary, "publish-binary", "", "ignored: events go to $TTRPC_ADDRESS")
	f.StringVar(&c.Bundle, "bundle", "", "`directory` of the container, for delete")
	f.StringVar(&c.Socket, "socket", "", "`path` of the socket to serve on, instead of descriptor 3")
	f.String("debug-socket", "", "ignored")
	f.BoolVar(&c.Debug, "debug", false, "log more")
	f.BoolVar(&c.version, "v", false, "print the version")
	f.BoolVar(&c.version, "version", false, "print the version")
	f.BoolVar(&c.info, "info", false, "describe the runtime, as a protobuf RuntimeInfo")
	return f
}

func run(args []string) error {
	c := &command{Invocation: taskapi.Invocation{Stdin: os.Stdin, Stdout: os.Stdout, Env: os.Getenv}}
	f := c.flags()
	f.Usage = func() {} // the library's, for a wrong flag; main prints the error
	f.SetOutput(io.Discard)
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		help(f)
		return nil
	case err != nil:
		return err
	case c.version:
		fmt.Printf("%s:\n  Version:  %s\n  Revision: %s\n", name, version, commit)
		return nil
	case c.info:
		return taskapi.Info(&c.Invocation, "io.containerd.berth.v2", version, commit)
	}
	switch action := f.Arg(0); action {
	case "start":
		return taskapi.Start(&c.Invocation)
	case "delete":
		return taskapi.Cleanup(&c.Invocation)
	case "":
		return taskapi.Serve(&c.Invocation)
	default:
		return fmt.Errorf("unknown action %q: it is start, delete, or none to serve", action)
	}
}

func help(f *flag.FlagSet) {
	fmt.Printf("%s: supervise the containers of a containerd task or pod\n\nusage: %[1]s [flags] [start|delete]\n\n", name)
	f.SetOutput(os.Stdout)
	f.PrintDefaults()
}
