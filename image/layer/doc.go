// SPDX-License-Identifier: Apache-2.0

// Package layer applies the layers of images to directories. A layer is a tar
// of changes that nobody trusts: each name in it is resolved by openat2(2)
// below a descriptor of the directory, files are made with O_EXCL after what was
// in their place is unlinked, and no path of the host is ever built from a name
// in an archive. Confined does the same in a process of its own that sees the
// directory only.
//
// It does not make the directory visible to others: a caller applies to a
// private one, mode 0700 above it, renames it once Extract has verified digest,
// size and diffID, and removes it after an error.
//
//	func main() {
//		if status, ours := layer.Main(); ours { // a child of Confined
//			os.Exit(status)
//		}
//		…
//		dir, err := os.Open(private)
//		result, err := layer.Confined(ctx, dir, blob, descriptor, diffID, layer.Options{Limits: layer.DefaultLimits()})
//	}
package layer

import (
	"os"
	"time"
)

// Limits bound what one layer may make; 0 is no limit.
type Limits struct {
	Bytes      int64 // of all files' contents, holes included; and of the uncompressed archive
	Entries    int64 // headers in the archive
	Depth      int   // components of a path, links resolved
	XattrBytes int64 // names and values of one entry's extended attributes
	Ratio      int64 // uncompressed to compressed bytes, once 64 MiB were read
}

// DefaultLimits let every layer pass that was ever useful, and stop a bomb
// before it fills a machine's memory. gzip cannot exceed a ratio of 1032.
func DefaultLimits() Limits {
	return Limits{Bytes: 128 << 30, Entries: 4 << 20, Depth: 256, XattrBytes: 256 << 10, Ratio: 1100}
}

// Form is what whiteouts become.
type Form uint8

// The forms of an applied layer.
const (
	Plain       Form = iota // whiteouts are executed on the tree below, which the directory already has
	Overlay                 // whiteouts are char 0:0 and trusted.overlay.opaque, for a mount by real root
	UserOverlay             // the same with user.overlay.opaque, for a mount with the option userxattr, Linux 5.11
)

// IDMap is a range of ids: Container is what layers say, Host what files get.
type IDMap struct{ Container, Host, Size uint32 }

// Options say how a layer is applied. The zero value is a plain one, without
// limits, as root.
type Options struct {
	Form Form
	// Lowers are all the applied layers below in the same overlay form, topmost
	// first, and complete. Links in parents are resolved in the merged view;
	// parents that the layer leaves out get their attributes, and hard links
	// their targets, from there; a whiteout of what none of them has is not
	// written, and so none at all without Lowers. They stay the caller's.
	Lowers []*os.File
	Limits Limits
	// UIDs and GIDs map each id of the layer; nil leaves them as they are. An
	// id that no range covers is an error.
	UIDs, GIDs []IDMap
	// Rootless changes no owners and makes no devices: a device becomes an
	// empty file of mode 0. The owner that was wanted goes to the xattr
	// user.rootlesscontainers when it is not 0:0.
	Rootless bool
	// KeepDirlinks lets a directory's entry over a link to a directory change
	// that directory, instead of replacing the link.
	KeepDirlinks bool
	// Warn is told what was lost, once for each kind; may be nil.
	Warn func(string)
	// Record is told each name that was made or removed, for the manifest that
	// commit compares with; may be nil. The last entry of a path counts.
	Record func(Entry)
}

// Entry is a name that was made, changed or removed.
type Entry struct {
	Path     string // below the directory, links resolved; "" is the directory itself
	Type     byte   // a type flag of archive/tar; 0: the name was removed, with all below it
	Mode     uint32 // permission bits with setuid, setgid and sticky, as wanted
	UID, GID uint32 // as in the layer, before any map
	Size     int64  // in bytes; of regular files
	ModTime  time.Time
	Link     string // of symbolic and hard links; a hard link's is a Path
	Device   uint64 // of devices, as rdev
	Inode    uint64 // of the file as made; 0 for hard links
	Changed  int64  // ctime of the file as made, in ns since the epoch; meaningless for directories
}

// Result is what a layer came to.
type Result struct {
	Entries int64 // headers in the archive
	Bytes   int64 // contents of regular files
	Size    int64 // of the uncompressed archive, set by Extract
	Lost    int64 // xattrs that the file system or a missing privilege refused
}
