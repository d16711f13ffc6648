// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

const (
	opaqueMark = whiteout + whiteout + ".opq"
	paxXattr   = "SCHILY.xattr."
)

// Write writes changes as a layer: a tar whose bytes depend on nothing but them
// and the contents of root, the tree that they were found in. The changes are in
// the order that Upper and Tree give. Names of one file that follow its first
// are hard links. Sparse files are written out whole: readers of layers need not
// know the headers for them, image-spec layer.md.
//
// A file that became shorter, or another one, since it was listed is ErrChanged;
// what was added to one is left for the next layer.
func Write(w io.Writer, root *os.File, changes []Change, o Options) error {
	t := &writer{tar: tar.NewWriter(w), root: root, epoch: o.Epoch, first: map[FileID]string{}, buf: make([]byte, 64<<10)}
	for i := range changes {
		if err := t.change(&changes[i]); err != nil {
			return fmt.Errorf("cannot write %s to a layer: %w", show(changes[i].Path), err)
		}
	}
	if err := t.tar.Close(); err != nil {
		return fmt.Errorf("cannot write a layer: %w", err)
	}
	return nil
}

type writer struct {
	tar   *tar.Writer
	root  *os.File
	epoch *time.Time
	first map[FileID]string // the name that has the contents
	buf   []byte
}

func (t *writer) change(c *Change) error {
	h := c.header(t.epoch)
	switch why := c.unfit(); {
	case c.Kind == Remove || c.Kind == Opaque:
		return t.tar.WriteHeader(h)
	case why != "":
		return errors.New("layers have no " + why)
	}
	if c.Links > 1 {
		if name, ok := t.first[c.Inode]; ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, name, 0
			return t.tar.WriteHeader(h)
		}
		t.first[c.Inode] = h.Name
	}
	if !c.isRegular() {
		return t.tar.WriteHeader(h)
	}
	return t.file(c, h)
}

// file writes a regular file with its contents as long as they were when it was
// opened.
func (t *writer) file(c *Change, h *tar.Header) error {
	f, now, err := openContents(t.root, c.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if now.Inode != c.Inode {
		return ErrChanged
	}
	h.Size = now.Size
	if err := t.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{t.tar}, io.LimitReader(f, now.Size), t.buf)
	if err == nil && n < now.Size {
		err = fmt.Errorf("%d of %d bytes: %w", n, now.Size, ErrChanged)
	}
	return err
}

var typeflags = map[uint32]byte{
	unix.S_IFREG: tar.TypeReg,
	unix.S_IFDIR: tar.TypeDir,
	unix.S_IFLNK: tar.TypeSymlink,
	unix.S_IFCHR: tar.TypeChar,
	unix.S_IFBLK: tar.TypeBlock,
	unix.S_IFIFO: tar.TypeFifo,
}

// header is what the layer has of a change. The format stays open: it is USTAR,
// or PAX where that is too narrow.
func (c *Change) header(epoch *time.Time) *tar.Header {
	switch c.Kind {
	case Remove:
		return &tar.Header{Typeflag: tar.TypeReg, Name: join(parent(c.Path), whiteout+path.Base(c.Path)), ModTime: time.Unix(0, 0)}
	case Opaque:
		return &tar.Header{Typeflag: tar.TypeReg, Name: join(c.Path, opaqueMark), ModTime: time.Unix(0, 0)}
	}
	h := &tar.Header{
		Typeflag: typeflags[c.Mode&unix.S_IFMT],
		Name:     c.Path,
		Linkname: c.Target,
		Size:     c.Size,
		Mode:     int64(c.Mode &^ unix.S_IFMT),
		Uid:      int(c.UID),
		Gid:      int(c.GID),
		ModTime:  time.Unix(int64(c.MTime.Sec), 0), // the writer would round
		Devmajor: int64(unix.Major(c.Rdev)),
		Devminor: int64(unix.Minor(c.Rdev)),
	}
	if epoch != nil && h.ModTime.After(*epoch) {
		h.ModTime = time.Unix(epoch.Unix(), 0)
	}
	if c.IsDir() {
		h.Name += "/"
		if c.Path == "" {
			h.Name = "./"
		}
	}
	for name, value := range c.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[paxXattr+name] = value
	}
	return h
}
