// SPDX-License-Identifier: Apache-2.0

// Command embed starts a container in its own process, through the library and
// not through the berth command, waits for it and prints its exit status:
//
//	embed BUNDLE ID
//
// Nothing is executed again and no thread is special: a boot image is what runs
// on the container's side, so this is an ordinary Go program.
package main

import (
	"errors"
	"fmt"
	"os"

	"berth/libcontainer"
	"berth/specconv"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: embed BUNDLE ID")
		os.Exit(2)
	}
	status, err := run(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
	fmt.Println("exit status", status)
}

// run is the life of one container.
func run(bundle, id string) (status int, err error) {
	spec, err := specconv.Load(bundle)
	if err != nil {
		return 0, err
	}
	config, _, err := specconv.Convert(spec, specconv.Options{ID: id, Bundle: bundle})
	if err != nil {
		return 0, err
	}
	container, err := libcontainer.Create(libcontainer.CreateOptions{
		Root: "/run/berth-embed", ID: id, Config: config, Start: true,
		Stdio: [3]*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, container.Delete(true, nil)) }()
	process, err := container.Init()
	if err != nil {
		return 0, err
	}
	return process.Wait()
}
