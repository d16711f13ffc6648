// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	bootstrap "github.com/containerd/containerd/api/runtime/bootstrap/v1"
	runcoptions "github.com/containerd/containerd/api/types/runc/options"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"berth/internal/atomicfile"
)

// Invocation is the command line of a shim, and what containerd passes beside it.
type Invocation struct {
	Namespace, ID, Address, Bundle string
	PublishBinary, Socket          string
	Debug                          bool
	Stdin                          io.Reader
	Stdout                         io.Writer
	Env                            func(string) string
}

// request is what the daemon has said, whichever version of it.
type request struct {
	modern    bool // protobuf parameters: since containerd 2.3
	socketDir string
	ttrpc     string
	options   *runcoptions.Options
}

// maxParams bounds what we read from stdin, in bytes.
const maxParams = 4 << 20

// readRequest reads the options or the parameters that come on stdin. An Any
// is valid as BootstrapParams too, so what these say must agree with the flags.
func readRequest(i *Invocation) (*request, error) {
	r := &request{ttrpc: i.Env("TTRPC_ADDRESS"), options: &runcoptions.Options{}}
	data, err := io.ReadAll(io.LimitReader(i.Stdin, maxParams))
	if err != nil || len(data) == 0 {
		return r, err
	}
	var params bootstrap.BootstrapParams
	if proto.Unmarshal(data, &params) == nil && params.InstanceID == i.ID && params.Namespace == i.Namespace {
		r.modern, r.socketDir = true, params.GetSocketDir()
		if params.ContainerdTtrpcAddress != "" {
			r.ttrpc = params.ContainerdTtrpcAddress
		}
		for _, e := range params.Extensions {
			if o, err := decodeOptions(e.GetValue()); err == nil {
				r.options = o
			} // else an extension that is not for us
		}
		return r, nil
	}
	var any anypb.Any
	if err := proto.Unmarshal(data, &any); err != nil {
		return nil, fmt.Errorf("stdin: %w", err)
	}
	r.options, err = decodeOptions(&any)
	return r, err
}

// reply is what containerd reads: a bare address before 1.7, JSON until 2.2,
// then protobuf.
func reply(i *Invocation, r *request, address string) ([]byte, error) {
	switch {
	case r.modern:
		return proto.Marshal(&bootstrap.BootstrapResult{Version: 3, Address: address, Protocol: "ttrpc"})
	case i.Env("MAX_SHIM_VERSION") == "":
		return []byte(address), nil
	}
	return json.Marshal(struct {
		Version  int    `json:"version"`
		Address  string `json:"address"`
		Protocol string `json:"protocol"`
	}{2, address, "ttrpc"})
}

// Start brings up the shim of a container, or finds that of its group, and says
// where it listens. On success it writes nothing else: containerd reads stderr
// as a part of the answer.
func Start(i *Invocation) error {
	if i.Namespace == "" || i.ID == "" {
		return errors.New("start needs -namespace and -id")
	}
	r, err := readRequest(i)
	if err != nil {
		return err
	}
	bundle, err := os.Getwd()
	if err != nil {
		return err
	}
	group, err := group(bundle, i.ID)
	if err != nil {
		return err
	}
	path, err := socketPath(r.socketDir, i.Address, i.Namespace, group)
	if err != nil {
		return err
	}
	listener, err := listen(path)
	switch {
	case err == nil:
		defer listener.Close()
		if err := spawn(i, r, listener); err != nil {
			_ = os.Remove(path)
			return err
		}
	case !errors.Is(err, errServed):
		return err
	}
	// containerd 1.x and CRI-O find the shim by it after a restart.
	if err := atomicfile.Write(filepath.Join(bundle, "address"), []byte(address(path)), 0o600); err != nil {
		return err
	}
	answer, err := reply(i, r, address(path))
	if err != nil {
		return err
	}
	_, err = i.Stdout.Write(answer)
	return err
}

// spawn starts the serving process, which inherits the listener.
func spawn(i *Invocation, r *request, listener *os.File) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	argv := []string{self, "-namespace", i.Namespace, "-id", i.ID, "-address", i.Address}
	if i.Debug {
		argv = append(argv, "-debug")
	}
	// Not os/exec, which first starts a process to see whether pidfds work. One
	// thread of Go code is enough, and each has memory of its own.
	attr := &syscall.ProcAttr{
		Env:   shimEnv(os.Environ(), r.ttrpc),
		Files: []uintptr{0, 1, 2, listener.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if dir := r.options.ShimCgroup; dir != "" {
		d, err := shimCgroup(dir)
		if err != nil {
			return err
		}
		if d != nil {
			defer d.Close()
			attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(d.Fd())
		}
	}
	if i.Env("SCHED_CORE") != "" {
		// A cookie of its own for our group; the child inherits it. prctl(2).
		if err := unix.Prctl(unix.PR_SCHED_CORE, unix.PR_SCHED_CORE_CREATE, 0, unix.PR_SCHED_CORE_SCOPE_PROCESS_GROUP, 0); err != nil {
			return os.NewSyscallError("prctl PR_SCHED_CORE", err)
		}
	}
	// The container is to die before the shim, and the shim before containerd.
	// Set before the start: the child inherits it.
	if err := adjustScore(); err != nil {
		return err
	}
	pid, err := startNull(self, argv, attr)
	if err != nil {
		return err
	}
	if dir := r.options.ShimCgroup; dir != "" {
		if err := joinV1(dir, pid); err != nil {
			_ = unix.Kill(pid, unix.SIGKILL) // our child: nobody else has its pid
			return err
		}
	}
	return nil
}

// shimEnv is the caller's environment with our own variables, each once: the
// first counts.
func shimEnv(env []string, ttrpc string) []string {
	env = slices.DeleteFunc(env, func(e string) bool {
		return strings.HasPrefix(e, "GOMAXPROCS=") || strings.HasPrefix(e, "TTRPC_ADDRESS=")
	})
	return append(env, "GOMAXPROCS=1", "TTRPC_ADDRESS="+ttrpc)
}

// startNull starts a program with /dev/null for its first three files.
func startNull(path string, argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	for i := range 3 {
		attr.Files[i] = null.Fd()
	}
	pid, err = syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, fmt.Errorf("cannot start %s: %w", path, err)
	}
	return pid, nil
}

// adjustScore makes our OOM score containerd's plus one, at most 1000.
func adjustScore() error {
	const maxScore = 1000
	data, err := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/oom_score_adj")
	if err != nil {
		return err
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return err
	}
	value := strconv.Itoa(min(score+1, maxScore))
	err = os.WriteFile("/proc/self/oom_score_adj", []byte(value), 0)
	if errors.Is(err, os.ErrPermission) && os.Geteuid() != 0 {
		return nil // rootless: only upwards
	}
	return err
}
