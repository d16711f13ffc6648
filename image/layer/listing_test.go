// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// node is what a tree has under one name.
type node struct {
	path, link string
	st         unix.Stat_t
	xattrs     []string
}

// walk lists a tree, sorted by path; "." is the top.
func walk(tb testing.TB, top string) []node {
	tb.Helper()
	var all []node
	err := filepath.WalkDir(top, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n := node{}
		if n.path, err = filepath.Rel(top, name); err != nil {
			return err
		}
		if err := unix.Lstat(name, &n.st); err != nil {
			return fmt.Errorf("lstat %s: %w", name, err)
		}
		if n.st.Mode&unix.S_IFMT == unix.S_IFLNK {
			if n.link, err = os.Readlink(name); err != nil {
				return err
			}
		}
		n.xattrs = xattrs(tb, name)
		all = append(all, n)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	slices.SortFunc(all, func(a, b node) int { return strings.Compare(a.path, b.path) })
	return all
}

func xattrs(tb testing.TB, name string) []string {
	tb.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(name, buf)
	if err != nil {
		return nil // not supported
	}
	var all []string
	for key := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		if key == "" || key == "security.selinux" {
			continue
		}
		value := make([]byte, 64<<10)
		m, err := unix.Lgetxattr(name, key, value)
		if err != nil {
			tb.Fatalf("getxattr %s of %s: %v", key, name, err)
		}
		all = append(all, fmt.Sprintf("%s=%q", key, value[:m]))
	}
	slices.Sort(all)
	return all
}

// brief is a tree in one line: d/ f:SIZE l->TARGET p| c%MAJOR:MINOR b#MAJOR:MINOR,
// and h=f for a further name of f.
func brief(tb testing.TB, top string) string {
	tb.Helper()
	first := map[uint64]string{}
	var words []string
	for _, n := range walk(tb, top) {
		if n.path == "." {
			continue
		}
		name := strings.Trim(fmt.Sprintf("%q", n.path), `"`)
		kind := n.st.Mode & unix.S_IFMT
		numbers := fmt.Sprintf("%d:%d", unix.Major(n.st.Rdev), unix.Minor(n.st.Rdev))
		other, seen := first[n.st.Ino]
		if kind != unix.S_IFDIR {
			first[n.st.Ino] = name
		}
		switch {
		case kind == unix.S_IFDIR:
			name += "/"
		case seen:
			first[n.st.Ino] = other
			name += "=" + other
		case kind == unix.S_IFLNK:
			name += "->" + strings.Trim(fmt.Sprintf("%q", n.link), `"`)
		case kind == unix.S_IFIFO:
			name += "|"
		case kind == unix.S_IFCHR:
			name += "%" + numbers
		case kind == unix.S_IFBLK:
			name += "#" + numbers
		default:
			name += fmt.Sprintf(":%d", n.st.Size)
		}
		if n.st.Mode&0o7000 != 0 {
			name += fmt.Sprintf("!%o", n.st.Mode&0o7777)
		}
		words = append(words, name)
	}
	return strings.Join(words, " ")
}

// full is a tree as golden files have it, one name a line. Inode numbers become
// the first path of a group.
func full(tb testing.TB, top string) string {
	tb.Helper()
	kinds := map[uint32]string{unix.S_IFDIR: "d", unix.S_IFREG: "-", unix.S_IFLNK: "l", unix.S_IFIFO: "p", unix.S_IFCHR: "c", unix.S_IFBLK: "b"}
	first := map[uint64]string{}
	var out strings.Builder
	for _, n := range walk(tb, top) {
		kind := kinds[n.st.Mode&unix.S_IFMT]
		fmt.Fprintf(&out, "%s %04o %d:%d", kind, n.st.Mode&0o7777, n.st.Uid, n.st.Gid)
		switch kind {
		case "-":
			fmt.Fprintf(&out, " %d", n.st.Size)
		case "c", "b":
			fmt.Fprintf(&out, " %d,%d", unix.Major(n.st.Rdev), unix.Minor(n.st.Rdev))
		}
		if kind == "c" && n.st.Rdev == 0 {
			n.st.Mtim = unix.Timespec{} // a whiteout's does not matter
		}
		fmt.Fprintf(&out, " %d.%09d %q", n.st.Mtim.Sec, n.st.Mtim.Nsec, n.path)
		if kind == "l" {
			fmt.Fprintf(&out, " -> %q", n.link)
		}
		if kind != "d" && n.st.Nlink > 1 {
			if same, ok := first[n.st.Ino]; ok {
				fmt.Fprintf(&out, " = %q", same)
			} else {
				first[n.st.Ino] = n.path
			}
		}
		for _, x := range n.xattrs {
			out.WriteString(" " + x)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// witness is a tree beside the one that is written to. An attack that reaches
// it changes what state says.
type witness struct {
	top string // absolute
}

func newWitness(tb testing.TB, parent string) witness {
	tb.Helper()
	top := filepath.Join(parent, "witness")
	for _, d := range []string{top, top + "/dir", top + "/empty"} {
		if err := os.Mkdir(d, 0o750); err != nil {
			tb.Fatal(err)
		}
	}
	for _, f := range []string{"secret", "x", "dir/x", "dir/secret"} {
		if err := os.WriteFile(filepath.Join(top, f), []byte("contents of "+f), 0o640); err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.Symlink("secret", top+"/link"); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mkfifo(top+"/fifo", 0o600); err != nil {
		tb.Fatal(err)
	}
	return witness{top}
}

// state has all that can be changed of the witness, and the names beside it.
func (w witness) state(tb testing.TB) string {
	tb.Helper()
	var out strings.Builder
	beside, err := os.ReadDir(filepath.Dir(w.top))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range beside {
		fmt.Fprintln(&out, "beside", e.Name())
	}
	for _, n := range walk(tb, w.top) {
		s := n.st
		fmt.Fprintln(&out, n.path, s.Ino, s.Mode, s.Nlink, s.Uid, s.Gid, s.Size, s.Mtim, s.Ctim, n.link, n.xattrs)
		if s.Mode&unix.S_IFMT == unix.S_IFREG {
			b, err := os.ReadFile(filepath.Join(w.top, n.path))
			if err != nil {
				tb.Fatal(err)
			}
			fmt.Fprintf(&out, "%x\n", sha256.Sum256(b))
		}
	}
	return out.String()
}

func itoa(n uint32) string { return fmt.Sprint(n) }
