// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// marks is the prefix of the xattrs in which overlayfs keeps its own notes; ""
// is for a tree that is no layer of a mount. An xattr of that name that the
// container sets is stored with one more "overlay.", since Linux 6.7;
// Documentation/filesystems/overlayfs.rst, "Nested overlayfs mounts".
type marks string

const (
	noMarks      marks = ""
	trustedMarks marks = "trusted.overlay."
	userMarks    marks = "user.overlay."
	escape             = "overlay."
)

// The marks that mean something here.
const (
	markOpaque   = "opaque"   // y: nothing from below; x: whiteouts by xattr are inside
	markWhiteout = "whiteout" // an empty file that is a whiteout, since Linux 6.7
	markRedirect = "redirect" // the lower directory has another name
	markMetacopy = "metacopy" // the contents are in the lower file
)

const (
	xattrCapability = "security.capability"
	xattrRootless   = "user.rootlesscontainers"
)

// hostXattrs belong to the host's policy, not to the image.
var hostXattrs = map[string]bool{"security.selinux": true, "system.nfs4_acl": true}

// readXattrs splits a file's extended attributes into what the container sees
// and what overlayfs noted. The descriptor may be an O_PATH one, for which there
// are calls since Linux 6.13; before that, only by way of /proc.
func readXattrs(fd int, k marks) (seen, own map[string]string, err error) {
	list, err := xattr(func(buf []byte) (int, error) { return unix.Listxattr(procPath(fd), buf) })
	if len(list) == 0 || errors.Is(err, unix.ENOTSUP) {
		return nil, nil, os.NewSyscallError("listxattr", ignore(err, unix.ENOTSUP))
	}
	seen, own = map[string]string{}, map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		target, name2 := place(name, k, seen, own)
		if target == nil {
			continue
		}
		value, err := xattr(func(buf []byte) (int, error) { return unix.Getxattr(procPath(fd), name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, nil, fmt.Errorf("getxattr %s: %w", name, err)
		}
		target[name2] = string(value)
	}
	return seen, own, nil
}

// place says under which name and where an xattr goes; nil is for nowhere.
func place(name string, k marks, seen, own map[string]string) (map[string]string, string) {
	if rest, ok := strings.CutPrefix(name, string(k)); ok && k != noMarks {
		if inner, escaped := strings.CutPrefix(rest, escape); escaped {
			return seen, string(k) + inner
		}
		return own, rest
	}
	if hostXattrs[name] || strings.HasPrefix(name, string(trustedMarks)) || strings.HasPrefix(name, string(userMarks)) {
		return nil, ""
	}
	return seen, name
}

// xattr calls for the size, and then for the value, until both fit together.
func xattr(call func(buf []byte) (int, error)) ([]byte, error) {
	for range maxRetries {
		n, err := retry(func() (int, error) { return call(nil) })
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = retry(func() (int, error) { return call(buf) })
		if err == nil {
			return buf[:n], nil
		}
		if err != unix.ERANGE {
			return nil, err
		}
	}
	return nil, ErrChanged
}

func ignore(err error, which unix.Errno) error {
	if errors.Is(err, which) {
		return nil
	}
	return err
}

// change is what a layer says of a file: with the container's ids, and without
// what only the host's file system needs.
func (s *scope) change(p string, k Kind, f *file) (Change, error) {
	c := Change{Path: p, Kind: k, Meta: f.Meta}
	var haveUID, haveGID bool
	for name, value := range f.xattrs {
		switch {
		case name == xattrRootless && s.Rootless:
			uid, gid, err := rootlessOwner(value)
			if err != nil {
				return c, fmt.Errorf("cannot read %s of %s: %w", xattrRootless, show(p), err)
			}
			if haveUID = uid != math.MaxUint32; haveUID {
				c.UID = uid
			}
			if haveGID = gid != math.MaxUint32; haveGID {
				c.GID = gid
			}
			continue
		case name == xattrCapability:
			v, ok := capability(value, s.UIDs)
			if !ok {
				s.warn(p, "file capabilities of another user namespace are left out")
				continue
			}
			value = v
		case strings.Contains(name, "="):
			s.warn(p, fmt.Sprintf("xattr %q is left out: PAX headers cannot have it", name))
			continue
		}
		if c.Xattrs == nil {
			c.Xattrs = map[string]string{}
		}
		c.Xattrs[name] = value
	}
	if !haveUID {
		id, ok := inside(s.UIDs, c.UID)
		if !ok {
			return c, fmt.Errorf("cannot give %s to a user of the container: %d is in no uid map", show(p), c.UID)
		}
		c.UID = id
	}
	if !haveGID {
		id, ok := inside(s.GIDs, c.GID)
		if !ok {
			return c, fmt.Errorf("cannot give %s to a group of the container: %d is in no gid map", show(p), c.GID)
		}
		c.GID = id
	}
	return c, nil
}

// inside translates an id of the host to the container's.
func inside(ids []specs.LinuxIDMapping, host uint32) (uint32, bool) {
	for _, m := range ids {
		if host >= m.HostID && host-m.HostID < m.Size {
			return m.ContainerID + (host - m.HostID), true
		}
	}
	return host, len(ids) == 0
}

// The forms of security.capability, linux/capability.h.
const (
	capRevisionMask = 0xff000000
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000 // revision 2 with the namespace's root after it
	capSize2        = 20
	capSize3        = 24
)

// capability is security.capability as a layer has it: without a host's id in
// it. It is not for the container if its root is not the one that it names.
func capability(value string, uids []specs.LinuxIDMapping) (string, bool) {
	b := []byte(value)
	if len(b) != capSize3 || binary.LittleEndian.Uint32(b)&capRevisionMask != capRevision3 {
		return value, true
	}
	root, ok := inside(uids, binary.LittleEndian.Uint32(b[capSize2:]))
	if !ok || root != 0 {
		return "", false
	}
	binary.LittleEndian.PutUint32(b, binary.LittleEndian.Uint32(b)&^capRevisionMask|capRevision2)
	return string(b[:capSize2]), true
}

// rootlessOwner reads the protocol buffer in user.rootlesscontainers: fields 1
// and 2 are uid and gid, and the greatest number says that there is none.
// https://rootlesscontaine.rs/proto/rootlesscontainers.proto
func rootlessOwner(value string) (uid, gid uint32, err error) {
	for b := []byte(value); len(b) > 0; {
		field, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, 0, errors.New("not a protocol buffer")
		}
		id, m := binary.Uvarint(b[n:])
		if m <= 0 || id > math.MaxUint32 {
			return 0, 0, errors.New("not a protocol buffer")
		}
		switch field {
		case 1 << 3:
			uid = uint32(id)
		case 2 << 3:
			gid = uint32(id)
		default:
			return 0, 0, fmt.Errorf("unknown field %d", field>>3)
		}
		b = b[n+m:]
	}
	return uid, gid, nil
}
