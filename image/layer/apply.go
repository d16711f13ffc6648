// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bufferSize is how much of a file is written at once.
const bufferSize = 256 << 10

// applier applies one layer. Nothing of it may be used from two goroutines.
type applier struct {
	o      Options
	layers []int // descriptors: the directory that is written to, then the layers below it
	top    *dir
	cache  map[string]*dir // by path, links not resolved
	clock  uint64
	late   map[string]lateness // by path, links resolved
	own    *ownership          // Plain form on a directory that is not empty; else nil
	opaque map[string]bool     // directories that were made opaque here
	hidden map[string]bool     // those of them that a whiteout names
	// whiteouts are those that were made, in an overlay form.
	whiteouts []string
	bareRoot  bool // the layer hides all that is below, in an overlay form
	warned    map[string]bool
	thread    *cwdThread
	buffer    []byte
	result    Result
}

// Apply applies an uncompressed tar to a directory that nobody else writes to.
// It reads up to the archive's end, which need not be r's. After an error the
// directory is half made and of no use. dir stays the caller's.
func Apply(dir *os.File, r io.Reader, o Options) (Result, error) {
	a, err := newApplier(dir, o)
	if err != nil {
		return Result{}, err
	}
	defer a.close()
	// The applier has their descriptors, which a finalizer would close.
	defer runtime.KeepAlive(dir)
	defer runtime.KeepAlive(o.Lowers)
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return a.result, a.finish()
		}
		if h == nil || err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return a.result, readError(err)
		}
		if err := a.entry(h, archive); err != nil {
			return a.result, of(h.Name, err)
		}
	}
}

// readError gives an error of the archive's reader its kind; what the source
// said itself stays as it is.
func readError(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, tar.ErrFieldTooLong) {
		return damaged(err)
	}
	return err
}

func newApplier(top *os.File, o Options) (*applier, error) {
	a := &applier{
		o: o, layers: []int{int(top.Fd())}, cache: map[string]*dir{}, late: map[string]lateness{},
		opaque: map[string]bool{}, hidden: map[string]bool{}, warned: map[string]bool{}, buffer: make([]byte, bufferSize),
	}
	if o.Form > UserOverlay {
		return nil, refuse("form %d of layers is not known", o.Form)
	}
	a.top = &dir{fd: a.layers[0]}
	if o.Form != Plain {
		for _, lower := range o.Lowers {
			a.layers = append(a.layers, int(lower.Fd()))
		}
	} else if err := eachName(a.top.fd, func(string) error { return io.EOF }); errors.Is(err, io.EOF) {
		a.own = newOwnership()
	} else if err != nil {
		return nil, failed("readdir", ".", err)
	}
	return a, a.prepareRoot()
}

// prepareRoot remembers the root's times, and opens it for a rootless owner.
func (a *applier) prepareRoot() error {
	var st unix.Stat_t
	if err := unix.Fstat(a.top.fd, &st); err != nil {
		return failed("fstat", ".", err)
	}
	if !a.o.Rootless || st.Mode&0o700 == 0o700 {
		return a.keepTimes(a.top.fd, "")
	}
	a.keep("", &st)
	if err := unix.Fchmod(a.top.fd, st.Mode&0o7777|0o700); err != nil {
		return failed("fchmod", ".", err)
	}
	return nil
}

func (a *applier) close() {
	a.forget(nil)
	if a.thread != nil {
		a.thread.close()
	}
}

func (a *applier) warn(kind, message string) {
	if a.o.Warn != nil && !a.warned[kind] {
		a.warned[kind] = true
		a.o.Warn(message)
	}
}

// entry applies one header, with its contents from r.
func (a *applier) entry(h *tar.Header, r io.Reader) error {
	a.result.Entries++
	if limit := a.o.Limits.Entries; limit > 0 && a.result.Entries > limit {
		return overLimit("more than %d entries", limit)
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	what, name, err := parseName(h.Name)
	if err != nil {
		return err
	}
	if err := a.checkDepth(name); err != nil {
		return err
	}
	switch what {
	case ignored:
		a.warn("aufs", "the layer has AUFS metadata, which is ignored")
		return nil
	case whiteout, opaque:
		// AUFS made them as hard links.
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeLink || h.Size != 0 {
			return refuse("a whiteout that is not an empty file")
		}
		if what == opaque {
			return a.opaqueDirectory(name)
		}
		return a.whiteout(name)
	}
	if h.Mode&unix.S_IFMT == unix.S_IFSOCK {
		a.warn("socket", "the layer has sockets, which are ignored")
		return nil
	}
	at, err := a.attributes(h)
	if err != nil {
		return err
	}
	if name == "" {
		if h.Typeflag != tar.TypeDir {
			return refuse("the root can only be a directory") // CVE-2021-29136
		}
		return a.directoryAttributes(a.top.fd, ".", "", at, false)
	}
	return a.change(h, r, name, at)
}

// change makes what an entry names.
func (a *applier) change(h *tar.Header, r io.Reader, name string, at *attributes) error {
	if h.Typeflag == tar.TypeLink {
		return a.hardLink(name, h.Linkname)
	}
	up, base := split(name)
	p, err := a.parent(up, true)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
		err = a.file(p, base, h, r, at)
	case tar.TypeDir:
		return a.directory(p, base, at, name)
	case tar.TypeSymlink:
		err = a.symlink(p, base, h.Linkname, at)
	case tar.TypeFifo:
		err = a.node(p, base, h, unix.S_IFIFO, 0, at)
	case tar.TypeChar, tar.TypeBlock:
		err = a.device(p, base, h, at)
	default:
		return refuse("entries of type %q are not supported", h.Typeflag)
	}
	if err == nil && a.own != nil {
		a.own.add(join(p.real, base))
	}
	return err
}

// attributes reads those of a header, which are all checked before anything is made.
func (a *applier) attributes(h *tar.Header) (*attributes, error) {
	at := &attributes{mode: uint32(h.Mode & 0o7777), mtime: timespec(h.ModTime)}
	at.atime = at.mtime // does not depend on the time of unpacking
	if !h.AccessTime.IsZero() {
		at.atime = timespec(h.AccessTime)
	}
	var err error
	if at.owner, err = ownerOf(h); err != nil || h.Typeflag == tar.TypeLink {
		return at, err
	}
	if !a.o.Rootless {
		if at.host, err = a.o.host(at.owner); err != nil {
			return nil, err
		}
	}
	if len(h.PAXRecords) > 0 {
		var dropped string
		if at.xattrs, dropped, err = a.o.xattrsOf(h); err != nil {
			return nil, err
		}
		if dropped != "" {
			a.warn("dropped", dropped)
		}
	}
	return at, nil
}

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// create calls make, which fails with EEXIST if there is something; then once
// more without it.
func (a *applier) create(p *dir, base, call string, make func() error) error {
	err := make()
	if errors.Is(err, unix.EEXIST) {
		if err = a.clear(p, base); err != nil {
			return err
		}
		err = make()
	}
	if err != nil {
		return failed(call, join(p.real, base), err)
	}
	return nil
}

// chown gives a new file its owner, which it mostly has already.
func (a *applier) chown(fd int, st *unix.Stat_t, at *attributes, real string) error {
	if a.o.Rootless || st.Uid == at.host.uid && st.Gid == at.host.gid {
		return nil
	}
	if err := unix.Fchown(fd, int(at.host.uid), int(at.host.gid)); err != nil {
		return failed("chown", real, err)
	}
	return nil
}

// withOwner adds the xattr that keeps the owner that a file should have.
func (a *applier) withOwner(at *attributes) []xattr {
	if !a.o.Rootless || at.owner == (owner{}) {
		return at.xattrs
	}
	return append(at.xattrs[:len(at.xattrs):len(at.xattrs)], xattr{rootlessXattr, at.owner.encode()})
}

// node makes a FIFO, or a device as root.
func (a *applier) node(p *dir, base string, h *tar.Header, kind uint32, dev uint64, at *attributes) error {
	err := a.create(p, base, "mknod", func() error { return unix.Mknodat(p.fd, base, kind|at.mode&0o777, int(dev)) })
	if err != nil {
		return err
	}
	return a.byName(p, base, Entry{Type: h.Typeflag, Device: dev}, at)
}

// device makes one, or an empty file that nobody can read instead: later layers
// may name it.
func (a *applier) device(p *dir, base string, h *tar.Header, at *attributes) error {
	// The kernel's dev_t has 12 bits for the major and 20 for the minor number.
	if h.Devmajor < 0 || h.Devmajor >= 1<<12 || h.Devminor < 0 || h.Devminor >= 1<<20 {
		return refuse("device %d:%d is out of range", h.Devmajor, h.Devminor)
	}
	kind := uint32(unix.S_IFBLK)
	if h.Typeflag == tar.TypeChar {
		kind = unix.S_IFCHR
		if h.Devmajor == 0 && h.Devminor == 0 {
			return refuse("device 0:0 is overlayfs' mark of a whiteout, and no device")
		}
	}
	if !a.o.Rootless {
		err := a.node(p, base, h, kind, unix.Mkdev(uint32(h.Devmajor), uint32(h.Devminor)), at)
		if !errors.Is(err, unix.EPERM) {
			return err
		}
	}
	a.warn("device", fmt.Sprintf("devices cannot be made, and are empty files instead (first %s)", join(p.real, base)))
	at.mode = 0
	empty := &tar.Header{Typeflag: tar.TypeReg}
	return a.file(p, base, empty, strings.NewReader(""), at)
}

func (a *applier) symlink(p *dir, base, to string, at *attributes) error {
	if to == "" || len(to) >= unix.PathMax || strings.IndexByte(to, 0) >= 0 {
		return refuse("a symbolic link to a name of %d bytes", len(to))
	}
	if err := a.create(p, base, "symlink", func() error { return unix.Symlinkat(to, p.fd, base) }); err != nil {
		return err
	}
	return a.byName(p, base, Entry{Type: tar.TypeSymlink, Link: to}, at)
}

// byName sets the attributes of what must not be opened.
func (a *applier) byName(p *dir, base string, e Entry, at *attributes) error {
	e.Path = join(p.real, base)
	st, err := lstatAt(p.fd, base)
	if err != nil {
		return failed("fstatat", e.Path, err)
	}
	if !a.o.Rootless && (st.Uid != at.host.uid || st.Gid != at.host.gid) {
		if err := unix.Fchownat(p.fd, base, int(at.host.uid), int(at.host.gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return failed("chown", e.Path, err)
		}
	}
	if kindOf(&st) == unix.S_IFLNK {
		at.mode = 0o777 // always, on Linux
	} else if st.Mode&0o7777 != at.mode {
		if err := chmodAt(p.fd, base, at.mode); err != nil {
			return failed("fchmodat", e.Path, err)
		}
	}
	if err := a.setXattrs(target{fd: -1, dir: p.fd, base: base, real: e.Path}, a.withOwner(at)); err != nil {
		return err
	}
	return a.sealed(p, base, e, at)
}

// sealed sets the times, which comes last, and records the file.
func (a *applier) sealed(p *dir, base string, e Entry, at *attributes) error {
	times := []unix.Timespec{at.atime, at.mtime}
	if err := unix.UtimesNanoAt(p.fd, base, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return failed("utimensat", e.Path, err)
	}
	if a.o.Record == nil {
		return nil
	}
	st, err := lstatAt(p.fd, base)
	if err != nil {
		return failed("fstatat", e.Path, err)
	}
	e.Inode, e.Changed = st.Ino, st.Ctim.Nano()
	a.record(e, at)
	return nil
}

func (a *applier) record(e Entry, at *attributes) {
	if a.o.Record == nil {
		return
	}
	if at != nil {
		e.Mode, e.UID, e.GID = at.mode, at.owner.uid, at.owner.gid
		e.ModTime = time.Unix(at.mtime.Unix())
	}
	a.o.Record(e)
}
