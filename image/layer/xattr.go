// SPDX-License-Identifier: Apache-2.0

package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// xattr is one extended attribute.
type xattr struct {
	name  string
	value []byte
}

const (
	paxXattr    = "SCHILY.xattr."
	defaultACL  = "system.posix_acl_default"
	capability  = "security.capability"
	trustedOvl  = "trusted.overlay."
	userOvl     = "user.overlay."
	escape      = "overlay." // trusted.overlay.overlay.x is shown as trusted.overlay.x in a mount, Linux 6.7
	opaqueXattr = "opaque"
)

// overlayPrefix is the namespace that a mount of the form reads; "" for none.
func (f Form) overlayPrefix() string {
	return [...]string{Plain: "", Overlay: trustedOvl, UserOverlay: userOvl}[f]
}

// xattrsOf are the attributes that an entry gets, sorted. dropped says why some
// are left out, for a warning. A layer cannot forge the state of an overlay:
// what this form's mount would read is stored escaped, the rest is dropped.
func (o *Options) xattrsOf(h *tar.Header) (kept []xattr, dropped string, err error) {
	var size int64
	for key, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(key, paxXattr)
		if !ok {
			continue
		}
		size += int64(len(name) + len(value))
		prefix := o.Form.overlayPrefix()
		switch {
		case name == "" || len(name) > unix.NAME_MAX || strings.IndexByte(name, 0) >= 0:
			return nil, "", refuse("xattr name %s is not possible", quote(name))
		case name == "security.selinux", name == "system.nfs4_acl", name == rootlessXattr:
			continue // of the machine where the layer was made, or ours
		case prefix != "" && strings.HasPrefix(name, prefix):
			name = prefix + escape + name[len(prefix):]
		case strings.HasPrefix(name, "trusted."), strings.HasPrefix(name, userOvl):
			dropped = "xattrs of the namespaces trusted.* and user.overlay.* in layers are ignored"
			continue
		}
		kept = append(kept, xattr{name, []byte(value)})
	}
	if limit := o.Limits.XattrBytes; limit > 0 && size > limit {
		return nil, "", overLimit("%d bytes of xattrs; the limit is %d", size, limit)
	}
	slices.SortFunc(kept, func(a, b xattr) int { return strings.Compare(a.name, b.name) })
	return kept, dropped, nil
}

// target is a file whose attributes are set: by descriptor, or by its name in
// a directory if opening it would have effects or is impossible.
type target struct {
	fd   int // -1: by name
	dir  int
	base string
	real string // for messages
}

func (a *applier) setXattrs(t target, all []xattr) error {
	for _, x := range all {
		err := a.setXattr(t, x)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOTSUP):
			a.result.Lost++
			a.warn("unsupported", "the file system does not take xattrs such as "+x.name+" (first on "+t.real+")")
		case errors.Is(err, unix.EPERM) && (a.o.Rootless || x.name != capability):
			a.result.Lost++
			a.warn("forbidden", "xattrs such as "+x.name+" may not be set (first on "+t.real+")")
		default:
			return failed("setxattr "+x.name, t.real, err)
		}
	}
	return nil
}

func (a *applier) setXattr(t target, x xattr) error {
	if t.fd >= 0 {
		return unix.Fsetxattr(t.fd, x.name, x.value, 0)
	}
	return a.within(t.dir, func() error { return unix.Lsetxattr(t.base, x.name, x.value, 0) })
}

// dropXattrs removes from a directory that stays what its new entry does not
// have. The marks of the overlay are ours.
func (a *applier) dropXattrs(fd int, real string, keep []xattr) error {
	names, err := listXattrs(fd)
	if err != nil {
		return failed("listxattr", real, err)
	}
	for _, name := range names {
		kept := slices.ContainsFunc(keep, func(x xattr) bool { return x.name == name })
		if kept || name == "security.selinux" || isOverlayState(name) {
			continue
		}
		if err := unix.Fremovexattr(fd, name); err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EPERM) {
			return failed("removexattr "+name, real, err)
		}
	}
	return nil
}

// copyXattrs gives a file what a lower layer's has.
func (a *applier) copyXattrs(to target, from int) error {
	names, err := listXattrs(from)
	if err != nil {
		return failed("listxattr", to.real, err)
	}
	var all []xattr
	for _, name := range names {
		if isOverlayState(name) || name == "security.selinux" {
			continue
		}
		value, err := getXattr(from, name)
		if err != nil {
			return failed("getxattr "+name, to.real, err)
		}
		all = append(all, xattr{name, value})
	}
	return a.setXattrs(to, all)
}

// isOverlayState tells the overlay's own marks from escaped ones.
func isOverlayState(name string) bool {
	for _, prefix := range []string{trustedOvl, userOvl} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return !strings.HasPrefix(rest, escape)
		}
	}
	return false
}

func listXattrs(fd int) ([]string, error) {
	buf := make([]byte, 1024)
	n, err := unix.Flistxattr(fd, buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, 64<<10) // XATTR_LIST_MAX
		n, err = unix.Flistxattr(fd, buf)
	}
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil || n == 0 {
		return nil, err
	}
	var names []string
	for name := range bytes.SplitSeq(bytes.TrimSuffix(buf[:n], []byte{0}), []byte{0}) {
		names = append(names, string(name))
	}
	return names, nil
}

func getXattr(fd int, name string) ([]byte, error) {
	buf := make([]byte, 256)
	n, err := unix.Fgetxattr(fd, name, buf)
	if errors.Is(err, unix.ERANGE) {
		buf = make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err = unix.Fgetxattr(fd, name, buf)
	}
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
