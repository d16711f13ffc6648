// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func receiveTTY(args []string) error {
	payload, fds, err := receiveOne(args[0])
	if err != nil {
		return err
	}
	fmt.Printf("payload=%d fds=%d\n", len(payload), len(fds))
	if len(fds) != 1 {
		return fmt.Errorf("got %d descriptors, want 1", len(fds))
	}
	size, err := unix.IoctlGetWinsize(fds[0], unix.TIOCGWINSZ)
	if err != nil {
		return fmt.Errorf("not a terminal: %w", err)
	}
	fmt.Printf("size=%dx%d\n", size.Col, size.Row)
	master := os.NewFile(uintptr(fds[0]), "master")
	if len(args) == 3 && args[1] == "-send" {
		if _, err := io.WriteString(master, strings.ReplaceAll(args[2], `\n`, "\n")); err != nil {
			return err
		}
	}
	// EIO is how a pty says that the last slave was closed.
	if _, err := io.Copy(os.Stdout, master); err != nil && !errors.Is(err, unix.EIO) {
		return err
	}
	return nil
}
