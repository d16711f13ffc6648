// SPDX-License-Identifier: Apache-2.0

// Command containerd-shim-berth-v2 supervises the containers of one containerd
// task or pod: containerd's shim v2, in front of Berth or another OCI runtime.
package main

import (
	"flag"
	"fmt"
	"os"

	"berth/shim/taskapi"
)

// Set by the linker.
var (
	version = "unknown"
	commit  = "unknown"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run parses containerd's flags: with one dash or two, before the action.
func run(args []string) error {
	i := &taskapi.Invocation{Stdin: os.Stdin, Stdout: os.Stdout, Env: os.Getenv}
	var showVersion, info bool
	f := flag.NewFlagSet("containerd-shim-berth-v2", flag.ContinueOnError)
	f.StringVar(&i.Namespace, "namespace", "", "containerd `namespace` of the container")
	f.StringVar(&i.ID, "id", "", "`id` of the container")
	f.StringVar(&i.Address, "address", "", "`path` of containerd's gRPC socket")
	f.StringVar(&i.PublishBinary, "publish-binary", "", "ignored: events go to $TTRPC_ADDRESS")
	f.StringVar(&i.Bundle, "bundle", "", "`directory` of the container, for delete")
	f.StringVar(&i.Socket, "socket", "", "`path` of the socket to serve on, instead of descriptor 3")
	debugSocket := f.String("debug-socket", "", "ignored")
	f.BoolVar(&i.Debug, "debug", false, "log more")
	f.BoolVar(&showVersion, "v", false, "print the version")
	f.BoolVar(&showVersion, "version", false, "print the version")
	f.BoolVar(&info, "info", false, "describe the runtime, as a protobuf RuntimeInfo")
	if err := f.Parse(args); err != nil {
		return err
	}
	_ = debugSocket
	switch {
	case showVersion:
		fmt.Printf("containerd-shim-berth-v2:\n  Version:  %s\n  Revision: %s\n", version, commit)
		return nil
	case info:
		return taskapi.Info(i, "io.containerd.berth.v2", version, commit)
	}
	switch action := f.Arg(0); action {
	case "start":
		return taskapi.Start(i)
	case "delete":
		return taskapi.Cleanup(i)
	case "":
		return taskapi.Serve(i)
	default:
		return fmt.Errorf("unknown action %q: it is start, delete, or none to serve", action)
	}
}
