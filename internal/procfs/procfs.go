// SPDX-License-Identifier: Apache-2.0

// Package procfs reads the host's /proc. It opens /proc once, makes sure that
// it is a procfs and its root, and resolves every name beneath it without
// crossing a mount or a magic link, so that a file that somebody mounted over
// /proc/PID/stat is an error and not an answer (CVE-2025-52881's class). It is
// not for the container's /proc, which nobody may trust.
//
//	start, err := procfs.StartTime(pid)
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"berth/internal/openat2"
)

// rootInode is the number of /proc's own inode in every procfs, PROC_ROOT_INO.
const rootInode = 1

// Stat is what we use of /proc/PID/stat, proc_pid_stat(5).
type Stat struct {
	PID    int
	Comm   string
	State  byte // 'R', 'S', 'D', 'Z' for a zombie, 'X' for dead, …
	Parent int
	// Start is field 22: clock ticks between boot and the start of the process.
	// Together with the pid it names a process uniquely.
	Start uint64
}

// Dead says whether the process has ended, reaped or not.
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// root opens /proc for the life of the program: a descriptor cannot be mounted
// over later.
var root = sync.OnceValues(openRoot)

func openRoot() (int, error) {
	fd, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open /proc: %w", err)
	}
	if err := verify(fd); err != nil {
		_ = unix.Close(fd) // only looked at
		return -1, fmt.Errorf("cannot use /proc: %w", err)
	}
	return fd, nil
}

func verify(fd int) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if int64(fs.Type) != unix.PROC_SUPER_MAGIC || st.Ino != rootInode {
		return errors.New("it is not the root of a procfs")
	}
	return nil
}

// Open opens name below /proc, e.g. "self/mountinfo"; O_CLOEXEC is added to
// flags. A missing process is ENOENT.
func Open(name string, flags int) (*os.File, error) {
	fd, err := open(name, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "/proc/"+name), nil
}

func open(name string, flags int) (int, error) {
	dir, err := root()
	if err != nil {
		return -1, err
	}
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_MAGICLINKS,
	}
	fd, err := openat2.Open(dir, name, how)
	if err != nil {
		return -1, fmt.Errorf("cannot open %q: %w", "/proc/"+name, err)
	}
	return fd, nil
}

// OpenNamespace opens a namespace of process pid: kind is a name in
// /proc/PID/ns, such as "net" or "pid_for_children".
func OpenNamespace(pid int, kind string) (*os.File, error) {
	name := strconv.Itoa(pid) + "/ns"
	dir, err := open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	// The last step is a magic link by nature; its directory is verified.
	fd, err := unix.Openat(dir, kind, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", "/proc/"+name+"/"+kind, err)
	}
	return os.NewFile(uintptr(fd), "/proc/"+name+"/"+kind), nil
}

// Read returns what one read(2) of at most 4096 bytes gives of the file name
// below /proc: the kernel makes short files such as PID/stat in one go, so that
// the parts of what is read belong together.
func Read(name string) ([]byte, error) {
	fd, err := open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	buf := make([]byte, 4096)
	n, err := read(fd, buf)
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", "/proc/"+name, err)
	}
	return buf[:n], nil
}

// ReadAll returns the whole of the file name below /proc, or EFBIG if it has
// more than limit bytes.
func ReadAll(name string, limit int) ([]byte, error) {
	fd, err := open(name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var all []byte
	buf := make([]byte, 16<<10)
	for {
		n, err := read(fd, buf)
		if err == nil && len(all)+n > limit {
			err = unix.EFBIG
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", "/proc/"+name, err)
		}
		if n == 0 {
			return all, nil
		}
		all = append(all, buf[:n]...)
	}
}

func read(fd int, buf []byte) (int, error) {
	for {
		n, err := unix.Read(fd, buf)
		if !errors.Is(err, unix.EINTR) {
			return max(n, 0), err
		}
	}
}

// ReadStat reads /proc/PID/stat. A process that is gone is ENOENT or ESRCH:
// ask Gone.
func ReadStat(pid int) (Stat, error) {
	data, err := Read(strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Stat{}, err
	}
	return ParseStat(data)
}

// StartTime returns when process pid started, in clock ticks after boot.
func StartTime(pid int) (uint64, error) {
	st, err := ReadStat(pid)
	return st.Start, err
}

// State returns the state letter of process pid; 'Z' is a zombie.
func State(pid int) (byte, error) {
	st, err := ReadStat(pid)
	return st.State, err
}

// Parent returns the pid of the parent of process pid.
func Parent(pid int) (int, error) {
	st, err := ReadStat(pid)
	return st.Parent, err
}

// Children returns the children of process pid, of all its threads. Without
// CONFIG_PROC_CHILDREN it is an error that says so.
func Children(pid int) ([]int, error) {
	dir := strconv.Itoa(pid) + "/task"
	task, err := Open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer task.Close()
	threads, err := task.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, tid := range threads {
		data, err := ReadAll(dir+"/"+tid+"/children", 8<<20)
		if Gone(err) && tid != strconv.Itoa(pid) {
			continue // the thread ended while we looked
		}
		if err != nil {
			return nil, err
		}
		for field := range bytes.FieldsSeq(data) {
			child, err := strconv.Atoi(string(field))
			if err != nil {
				return nil, fmt.Errorf("cannot parse %q: %w", "/proc/"+dir+"/"+tid+"/children", err)
			}
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// Gone says whether err, from a function of this package, means that the
// process does not exist any more.
func Gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
}

// ParseStat parses the contents of a /proc/PID/stat. The name of the program,
// in parentheses, may itself hold parentheses, blanks and newlines.
func ParseStat(data []byte) (Stat, error) {
	text := string(data)
	left, right := strings.IndexByte(text, '('), strings.LastIndexByte(text, ')')
	if left < 1 || right < left {
		return Stat{}, fmt.Errorf("cannot parse stat %q", text)
	}
	// Field 3, the state, is the first after the name.
	fields := strings.Fields(text[right+1:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return Stat{}, fmt.Errorf("cannot parse stat %q", text)
	}
	st := Stat{Comm: text[left+1 : right], State: fields[0][0]}
	var errs [3]error
	st.PID, errs[0] = strconv.Atoi(strings.TrimSpace(text[:left]))
	st.Parent, errs[1] = strconv.Atoi(fields[1])
	st.Start, errs[2] = strconv.ParseUint(fields[19], 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return Stat{}, fmt.Errorf("cannot parse stat %q", text)
	}
	return st, nil
}
