// SPDX-License-Identifier: Apache-2.0

// Command payload is a container's first process that prints what it sees as
// one JSON object. It is built without cgo, so it needs nothing in the root
// file system. Other commands serve the tests:
//
//	payload                print the report
//	payload sleep SECONDS  wait (for ever with 0); SIGTERM ends it with 0
//	payload exit N         exit with N
//	payload touch PATH     make a file
//	payload cat PATH       copy a file to stdout
//	payload fds            print the open descriptors only
//	payload spawn N        start N sleeping children, then sleep
//	payload mark PATH      append a line to PATH, then sleep
//
// The debug setting keeps Go's runtime from opening the files of the CPU
// cgroup, which would be among the descriptors.
//
//go:debug containermaxprocs=0
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"berth/tests/payload/early"
)

func main() {
	runtime.LockOSThread() // per-thread attributes are read on the first thread
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "payload:", err)
		os.Exit(125)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return print(look())
	}
	arg := ""
	if len(args) > 1 {
		arg = args[1]
	}
	command, ok := map[string]func(string) error{
		"sleep": sleep, "exit": exit, "touch": touch, "cat": cat, "fds": fds, "spawn": spawn, "mark": mark,
	}[args[0]]
	if !ok {
		return fmt.Errorf("unknown command %q", args[0])
	}
	return command(arg)
}

func print(v any) error {
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

func sleep(arg string) error {
	seconds, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	var end <-chan time.Time
	if seconds > 0 {
		end = time.After(time.Duration(seconds) * time.Second)
	}
	select {
	case <-stop:
	case <-end:
	}
	return nil
}

func exit(arg string) error {
	code, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	os.Exit(code)
	return nil
}

func touch(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

func cat(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(data)
	return err
}

func fds(string) error {
	return print(descriptors(early.Descriptors))
}

func spawn(arg string) error {
	n, err := strconv.Atoi(arg)
	if err != nil {
		return err
	}
	for range n {
		if err := exec.Command("/proc/self/exe", "sleep", "0").Start(); err != nil {
			return err
		}
	}
	return sleep("0")
}

func mark(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(f, "started"); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return sleep("0")
}
