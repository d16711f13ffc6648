// SPDX-License-Identifier: Apache-2.0

// Package selfpipe catches signals for programs that wait most of their lives.
// os/signal keeps three threads and their stacks for that, 130 kB in all; this
// is the oldest way instead: the handler writes the signal's number into a pipe.
//
//	died := make(chan unix.Signal, 1)
//	err := selfpipe.Notify(died, unix.SIGCHLD)
//
// As with os/signal a signal that is caught is not ignored: execve(2) gives the
// new program the default action. A program has either this or os/signal for
// one signal, not both.
package selfpipe

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// writeEnd is where the handler writes to, 0 before there is a pipe.
var writeEnd int32

var (
	mu sync.Mutex
	// wanted by signal, changed under mu.
	wanted [65][]chan<- unix.Signal
)

// Notify has every one of signals sent to c from now on, without waiting: what
// c has no room for is lost. With a nil c they are caught, and that is all.
// Signals that come faster than they can be read may be one.
func Notify(c chan<- unix.Signal, signals ...unix.Signal) error {
	mu.Lock()
	defer mu.Unlock()
	if writeEnd == 0 {
		if err := open(); err != nil {
			return err
		}
	}
	for _, s := range signals {
		if c != nil {
			wanted[s] = append(wanted[s], c)
		}
		if err := catch(s); err != nil {
			return os.NewSyscallError("rt_sigaction "+unix.SignalName(s), err)
		}
	}
	return nil
}

// open makes the pipe, and a reader that runs as long as the program.
func open() error {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	writeEnd = int32(fds[1])
	go deliver(os.NewFile(uintptr(fds[0]), "signals"))
	return nil
}

func deliver(pipe *os.File) {
	var numbers [16]byte
	for {
		n, err := pipe.Read(numbers[:])
		if err != nil {
			return
		}
		mu.Lock()
		for _, s := range numbers[:n] {
			for _, c := range wanted[s] {
				select {
				case c <- unix.Signal(s):
				default:
				}
			}
		}
		mu.Unlock()
	}
}
