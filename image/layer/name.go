// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// meaning of a name in a layer; image-spec layer.md, "Whiteouts".
type meaning uint8

const (
	change   meaning = iota // the entry itself
	whiteout                // hides the name of lower layers
	opaque                  // hides all that lower layers have in a directory
	ignored                 // book-keeping of AUFS
)

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// aufs are names that AUFS left in the layers of old engines.
var aufs = []string{".wh..wh.plnk", ".wh..wh.aufs", ".wh..wh.orph"}

// parseName says what a name in a layer means, and of which path: without
// slashes at its ends, without "." and "..", "" for the root. A path that leads
// above the root stays at it, as after a chroot. What would hide ".", ".." or
// another whiteout is refused (image-spec#1314), and so are whiteouts that are
// used as directories.
func parseName(name string) (meaning, string, error) {
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return 0, "", refuse("a name that is empty or has a NUL")
	}
	clean := path.Clean("/" + name)[1:]
	if len(clean) >= unix.PathMax {
		return 0, "", overLimit("a name of %d bytes", len(clean))
	}
	dir, base := split(clean)
	for part := range strings.SplitSeq(clean, "/") {
		if len(part) > unix.NAME_MAX {
			return 0, "", refuse("a component of %d bytes; at most %d are possible", len(part), unix.NAME_MAX)
		}
		for _, a := range aufs {
			if part == a {
				return ignored, clean, nil
			}
		}
	}
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, whiteoutPrefix) {
			return 0, "", refuse("%s is not a directory's name", quote(part))
		}
	}
	hidden, is := strings.CutPrefix(base, whiteoutPrefix)
	switch {
	case !is:
		return change, clean, nil
	case base == opaqueName:
		return opaque, dir, nil
	case hidden == "", hidden == ".", hidden == "..", strings.HasPrefix(hidden, whiteoutPrefix):
		return 0, "", refuse("not a valid whiteout")
	}
	return whiteout, join(dir, hidden), nil
}

// split takes a clean relative path apart; the parent of a top-level name is "".
func split(clean string) (dir, base string) {
	i := strings.LastIndexByte(clean, '/')
	return clean[:max(i, 0)], clean[i+1:]
}

func join(dir, base string) string {
	if dir == "" {
		return base
	}
	return dir + "/" + base
}

func depth(clean string) int {
	if clean == "" {
		return 0
	}
	return strings.Count(clean, "/") + 1
}
