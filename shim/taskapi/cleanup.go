// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	task "github.com/containerd/containerd/api/runtime/task/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"berth/shim/supervise"
)

// Cleanup is the action `delete`: the shim is gone, and what it left is taken
// away. It says how the container ended: as the shim recorded it, else killed.
func Cleanup(i *Invocation) error {
	bundle := i.Bundle
	if bundle == "" {
		var err error
		if bundle, err = os.Getwd(); err != nil {
			return err
		}
	}
	if i.Namespace == "" || i.ID == "" {
		return errors.New("delete needs -namespace and -id")
	}
	x, known, err := supervise.ReadExit(bundle)
	if err != nil || !known {
		x = supervise.Exit{Pid: readPid(bundle), Status: 128 + int(unix.SIGKILL), At: time.Now()}
	}
	o, err := loadOptions(bundle)
	if err != nil {
		return err
	}
	r := newRuntime(i.ID, i.Namespace, bundle, o, func(error) {})
	failed := r.Delete(true)
	unmountAll(filepath.Join(bundle, "rootfs"))
	forgetLayers(bundle)
	removeSocket(bundle)
	if failed != nil {
		return failed
	}
	answer, err := proto.Marshal(&task.DeleteResponse{Pid: uint32(x.Pid), ExitStatus: uint32(x.Status), ExitedAt: timestamp(x.At)})
	if err != nil {
		return err
	}
	_, err = i.Stdout.Write(answer)
	return err
}

// removeSocket removes that of a shim which is gone; another container's may
// still be served by the group's.
func removeSocket(bundle string) {
	data, err := os.ReadFile(filepath.Join(bundle, "address"))
	if err != nil {
		return
	}
	path := pathOf(strings.TrimSpace(string(data)))
	if !strings.HasPrefix(path, "/") {
		return
	}
	if !served(path) {
		_ = os.Remove(path)
	}
}

// readPid is what the runtime wrote when it created the container; 0 if it did
// not come so far.
func readPid(bundle string) int {
	data, err := os.ReadFile(filepath.Join(bundle, "init.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}
