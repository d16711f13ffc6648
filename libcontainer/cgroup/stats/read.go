// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Dirs are the directories of one cgroup. A controller that is in V1 is not
// looked for in V2.
type Dirs struct {
	V1 map[string]string // by controller: "memory"
	V2 string            // "" for none
}

// Empty says that there is no cgroup.
func (d Dirs) Empty() bool { return len(d.V1) == 0 && d.V2 == "" }

var (
	// ErrGone says that the cgroup, or a part of it, does not exist any more.
	ErrGone = errors.New("the cgroup does not exist")
	// ErrNone says that there is no cgroup to ask.
	ErrNone = errors.New("there is no cgroup")
)

// controllers say how each is read. A v2 is read unless v1 has one of the names.
var controllers = []struct {
	names  []string
	v1, v2 func(*dir, *Stats)
}{
	{[]string{"cpuacct"}, cpuacctV1, nil},
	{[]string{"cpu"}, cpuV1, nil},
	{[]string{"cpu", "cpuacct"}, nil, cpuV2},
	{[]string{"cpuset"}, cpusetV1, cpusetV2},
	{[]string{"memory"}, memoryV1, memoryV2},
	{[]string{"pids"}, pidsV1, pidsV2},
	{[]string{"blkio"}, blkioV1, blkioV2},
	{[]string{"hugetlb"}, hugetlbV1, hugetlbV2},
	{[]string{"rdma"}, rdma, rdma},
	{[]string{"misc"}, miscellaneous, miscellaneous},
	{nil, nil, pressure}, // has files in v2 only, whoever has the controllers
}

// Read reads all statistics of a cgroup. The error is ErrGone or ErrNone, or
// about a file that cannot be read or understood.
func Read(p Dirs) (*Stats, error) {
	if p.Empty() {
		return nil, ErrNone
	}
	s := &Stats{Hugetlb: map[string]Hugetlb{}}
	buf := make([]byte, 4096) // grows for memory.stat
	for _, c := range controllers {
		for _, name := range c.names {
			path, ok := p.V1[name]
			if c.v1 == nil || !ok {
				continue
			}
			err := in(path, &buf, func(d *dir) { c.v1(d, s) })
			if err != nil {
				return nil, err
			}
		}
	}
	if p.V2 == "" {
		return s, nil
	}
	err := in(p.V2, &buf, func(d *dir) {
		for _, c := range controllers {
			if c.v2 != nil && !p.inV1(c.names) {
				c.v2(d, s)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (d Dirs) inV1(names []string) bool {
	for _, n := range names {
		if _, ok := d.V1[n]; ok {
			return true
		}
	}
	return false
}

// dir is an open cgroup. The first error stays, and all reads after it give
// nothing, so that a controller's function need not look at each.
type dir struct {
	fd   int
	path string
	buf  *[]byte
	// missing says that some file was not there: nothing to say about a kernel
	// without it, but so it is in a cgroup that was removed meanwhile.
	missing bool
	err     error
}

// in opens the cgroup at path for f.
func in(path string, buf *[]byte, f func(*dir)) error {
	// The way there is the mount table's and ours; nobody can make a link in
	// a cgroup filesystem.
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case err != nil && gone(err):
		return fmt.Errorf("%w: %s", ErrGone, path)
	case err != nil:
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	d := &dir{fd: fd, path: path, buf: buf}
	f(d)
	switch {
	case d.err != nil && gone(d.err), d.missing && !d.exists():
		return fmt.Errorf("%w: %s", ErrGone, path)
	case d.err != nil:
		return fmt.Errorf("cannot read statistics: %w", d.err)
	}
	return nil
}

// exists: each cgroup has cgroup.procs, until it is removed.
func (d *dir) exists() bool { return unix.Faccessat(d.fd, "cgroup.procs", unix.F_OK, 0) == nil }

// gone says that err means a file or cgroup does not exist (any more): reads of
// a removed cgroup's open files give ENODEV.
func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) }

// read returns the text of a file until the next read, nil for one that does
// not exist, or that the kernel was told not to count.
func (d *dir) read(name string) []byte {
	if d.err != nil {
		return nil
	}
	fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	for errors.Is(err, unix.EINTR) {
		fd, err = unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	}
	switch {
	case gone(err):
		d.missing = true
		return nil
	case err != nil:
		d.fail(name, err)
		return nil
	}
	text, err := fill(fd, d.buf)
	_ = unix.Close(fd) // read only
	switch {
	// EOPNOTSUPP is pressure without psi=1, or cgroup.procs of a threaded cgroup.
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil
	case err != nil:
		d.fail(name, err)
		return nil
	}
	return text
}

// fill reads fd to its end into buf, which grows as needed.
func fill(fd int, buf *[]byte) ([]byte, error) {
	b := *buf
	for n := 0; ; {
		if n == len(b) {
			b = append(b, make([]byte, len(b))...)
			*buf = b
		}
		m, err := unix.Read(fd, b[n:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, err
		case m == 0:
			return b[:n], nil
		default:
			n += m
		}
	}
}

func (d *dir) fail(name string, err error) {
	if d.err == nil && err != nil {
		d.err = fmt.Errorf("%s/%s: %w", d.path, name, err)
	}
}

// number reads a file with one number; 0 if there is none.
func (d *dir) number(name string) uint64 {
	n, _ := d.counter(name)
	return n
}

// counter is number, and whether there is such a file.
func (d *dir) counter(name string) (uint64, bool) {
	text := d.read(name)
	if text == nil {
		return 0, false
	}
	n, err := parseNumber(text)
	d.fail(name, err)
	return n, true
}

// flat reads a file of "key number" lines, and says whether it is there.
func (d *dir) flat(name string, f func(key []byte, n uint64)) bool {
	text := d.read(name)
	d.fail(name, parseFlat(text, f))
	return text != nil
}

// pageSizes finds the sizes for which there is a file "hugetlb.SIZE"+suffix.
func (d *dir) pageSizes(suffix string) []string {
	if d.err != nil {
		return nil
	}
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		d.fail("", err)
		return nil
	}
	f := os.NewFile(uintptr(fd), d.path)
	names, err := f.Readdirnames(-1)
	_ = f.Close() // read only
	d.fail("", err)
	var sizes []string
	for _, name := range names {
		size, ok := strings.CutPrefix(name, "hugetlb.")
		size, ok2 := strings.CutSuffix(size, suffix)
		if ok && ok2 && !strings.Contains(size, ".") {
			sizes = append(sizes, size)
		}
	}
	return sizes
}
