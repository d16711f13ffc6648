// SPDX-License-Identifier: Apache-2.0

package inroot

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Resolve expands the links in name as a process with this root would see
// them, and returns an absolute path without links or ".." and whether there
// is something at it. Unlike openat2 it goes on where components are missing,
// also behind dangling links: they are taken for directories yet to be made.
// A file that is used as a directory is ENOTDIR.
//
// The answer may be outdated at once if somebody else writes to the root. Look
// it up in the root again, with Open, and nothing worse than an error happens.
func (r *Root) Resolve(name string) (resolved string, existing bool, err error) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", false, fmt.Errorf("cannot resolve %q in the root: %w", name, unix.EINVAL)
	}
	// Most paths exist and have no links: one call answers.
	if !hasDotDot(name) {
		if fd, err := r.open(name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS); err == nil {
			_ = unix.Close(fd) // only looked at
			return path.Clean("/" + name), true, nil
		}
	}
	resolved, existing, err = r.walk(name)
	if err != nil {
		return "", false, fmt.Errorf("cannot resolve %q in the root: %w", name, err)
	}
	return resolved, existing, nil
}

// walk keeps a prefix that has no links, "" for the root, and the components
// that are left. Each look-up begins at the root: prefixes are short, and a
// chain of directory descriptors would be as many calls.
func (r *Root) walk(name string) (resolved string, existing bool, err error) {
	prefix, rest := "", name
	existing = true
	links, unsure := 0, false
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			// The parent of what is missing may be missing too.
			prefix, unsure = parent(prefix), true
		default:
			var target string
			target, existing, err = r.look(prefix + "/" + part)
			unsure = false
			if target == "" {
				prefix += "/" + part
				break
			}
			if links++; links > maxLinks {
				return "", false, unix.ELOOP
			}
			if target[0] == '/' {
				prefix = ""
			}
			rest = target + "/" + rest
			existing = true // prefix is; the target is looked up next
		}
		if err != nil {
			return "", false, err
		}
	}
	if prefix == "" {
		return "/", true, nil
	}
	if unsure {
		_, existing, err = r.look(prefix)
	}
	return prefix, existing, err
}

func parent(prefix string) string {
	return prefix[:max(strings.LastIndexByte(prefix, '/'), 0)]
}

// look says whether there is something at a path whose parents are no links,
// and where it leads if it is a link itself.
func (r *Root) look(name string) (target string, existing bool, err error) {
	fd, err := r.open(name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ENOENT) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", true, nil
	}
	if err := r.refuseMagic(fd, name); err != nil {
		return "", false, err
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err == nil && n == 0 {
		err = unix.ENOENT // as the kernel says for an empty link
	}
	return string(buf[:max(n, 0)]), true, err
}

// refuseMagic refuses links like /proc/PID/root: their text is a path on the
// host, and following them leaves the root.
func (r *Root) refuseMagic(link int, name string) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(link, &fs); err != nil {
		return err
	}
	if int64(fs.Type) != unix.PROC_SUPER_MAGIC {
		return nil
	}
	fd, err := r.open(name, unix.O_PATH, 0)
	if err == nil {
		return unix.Close(fd)
	}
	if errors.Is(err, unix.ELOOP) {
		return err
	}
	return nil // an ordinary link of procfs, dangling
}

func hasDotDot(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return true
		}
	}
	return false
}
