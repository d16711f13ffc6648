// SPDX-License-Identifier: Apache-2.0

//go:build !cgo

package seccomp

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A program that is built without cgo starts half a millisecond faster, and
// most starts find their filter in the cache. For the others it carries the
// helper, cmd/berth-seccomp: a static program with libseccomp, which `make
// build` puts into the folder helper before.
//
//go:embed all:helper
var helper embed.FS

// helperVersion is the version of the helper's libseccomp; the linker sets it.
var helperVersion = "0.0.0"

// Version returns the version of libseccomp, "2.5.4".
func Version() string { return helperVersion }

// Compile turns linux.seccomp into a filter. See the version with cgo.
func Compile(s *specs.LinuxSeccomp) (*Filter, []string, error) {
	if s == nil {
		return nil, nil, nil
	}
	a, err := ask(question{Profile: s})
	if err != nil {
		return nil, nil, fmt.Errorf("linux.seccomp: %w", err)
	}
	if a.Error != "" {
		return nil, nil, errors.New(a.Error)
	}
	return a.Filter, a.Warnings, nil
}

// Support says what Compile can do here; nothing without a helper.
func Support() Features {
	a, err := ask(question{})
	if err != nil || a.Features == nil {
		return Features{Version: Version()}
	}
	return *a.Features
}

// ask runs the helper with the question as stdin and the answer as stdout,
// both in memory: neither side can block the other.
func ask(q question) (*answer, error) {
	program, err := fs.ReadFile(helper, "helper/berth-seccomp")
	if err != nil {
		return nil, errors.New("this program was built without the seccomp helper; hint: build it with `make build`, or with CGO_ENABLED=1")
	}
	exe, err := memoryFile("berth-seccomp", program, unix.MFD_EXEC)
	if err != nil {
		return nil, err
	}
	defer exe.Close()
	text, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	in, err := memoryFile("question", text, 0)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := memoryFile("answer", nil, 0)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	// Out of the way of the child's own descriptors.
	number, err := unix.FcntlInt(exe.Fd(), unix.F_DUPFD_CLOEXEC, 64)
	if err != nil {
		return nil, fmt.Errorf("seccomp helper: F_DUPFD_CLOEXEC: %w", err)
	}
	defer unix.Close(number)
	p, err := os.StartProcess("/proc/self/fd/"+strconv.Itoa(number), []string{"berth-seccomp"},
		&os.ProcAttr{Env: []string{}, Files: []*os.File{in, out, os.Stderr}})
	if err != nil {
		return nil, fmt.Errorf("seccomp helper: %w", err)
	}
	st, err := p.Wait()
	if err != nil || !st.Success() {
		return nil, fmt.Errorf("seccomp helper: %v", errors.Join(err, errors.New(st.String())))
	}
	var a answer
	if err := json.NewDecoder(bytes.NewReader(readFrom(out))).Decode(&a); err != nil {
		return nil, fmt.Errorf("seccomp helper: %w", err)
	}
	return &a, nil
}

// memoryFile returns a memfd with some content, positioned at its start.
func memoryFile(name string, content []byte, flags int) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|flags)
	if errors.Is(err, unix.EINVAL) { // MFD_EXEC came with Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("seccomp helper: memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.WriteAt(content, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("seccomp helper: %w", err)
	}
	return f, nil
}

// readFrom returns all of a memory file.
func readFrom(f *os.File) []byte {
	fi, err := f.Stat()
	if err != nil {
		return nil
	}
	v := make([]byte, fi.Size())
	n, _ := f.ReadAt(v, 0) // a short read shows as broken JSON
	return v[:n]
}
