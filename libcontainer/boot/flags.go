// SPDX-License-Identifier: Apache-2.0

package boot

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// flagName is one bit (or, in an enumeration, one value) and its name.
type flagName struct {
	value uint64
	name  string
}

// join prints a set of flags: A|B, with what has no name in hexadecimal.
func join(table []flagName, v uint64) string {
	var parts []string
	for _, f := range table {
		if f.value != 0 && v&f.value == f.value {
			parts = append(parts, f.name)
			v &^= f.value
		}
	}
	if v != 0 || len(parts) == 0 {
		parts = append(parts, fmt.Sprintf("%#x", v))
	}
	return strings.Join(parts, "|")
}

func lookup(table []flagName, v uint64) string {
	for _, f := range table {
		if f.value == v {
			return f.name
		}
	}
	return ""
}

var openFlags = []flagName{
	{unix.O_PATH, "O_PATH"}, {unix.O_WRONLY, "O_WRONLY"}, {unix.O_RDWR, "O_RDWR"},
	{unix.O_DIRECTORY, "O_DIRECTORY"}, {unix.O_NOFOLLOW, "O_NOFOLLOW"}, {unix.O_NONBLOCK, "O_NONBLOCK"},
	{unix.O_NOCTTY, "O_NOCTTY"}, {unix.O_CREAT, "O_CREAT"}, {unix.O_EXCL, "O_EXCL"}, {unix.O_CLOEXEC, "O_CLOEXEC"},
}

var resolveFlags = []flagName{
	{unix.RESOLVE_IN_ROOT, "RESOLVE_IN_ROOT"}, {unix.RESOLVE_BENEATH, "RESOLVE_BENEATH"},
	{unix.RESOLVE_NO_MAGICLINKS, "RESOLVE_NO_MAGICLINKS"}, {unix.RESOLVE_NO_SYMLINKS, "RESOLVE_NO_SYMLINKS"},
	{unix.RESOLVE_NO_XDEV, "RESOLVE_NO_XDEV"},
}

var mountAttrs = []flagName{
	{unix.MOUNT_ATTR__ATIME, "ATIME"}, {unix.MOUNT_ATTR_RDONLY, "RDONLY"}, {unix.MOUNT_ATTR_NOSUID, "NOSUID"},
	{unix.MOUNT_ATTR_NODEV, "NODEV"}, {unix.MOUNT_ATTR_NOEXEC, "NOEXEC"}, {unix.MOUNT_ATTR_NOATIME, "NOATIME"},
	{unix.MOUNT_ATTR_STRICTATIME, "STRICTATIME"}, {unix.MOUNT_ATTR_NODIRATIME, "NODIRATIME"},
	{unix.MOUNT_ATTR_IDMAP, "IDMAP"}, {unix.MOUNT_ATTR_NOSYMFOLLOW, "NOSYMFOLLOW"},
}

var mountFlags = []flagName{
	{unix.MS_RDONLY, "MS_RDONLY"}, {unix.MS_NOSUID, "MS_NOSUID"}, {unix.MS_NODEV, "MS_NODEV"},
	{unix.MS_NOEXEC, "MS_NOEXEC"}, {unix.MS_REMOUNT, "MS_REMOUNT"}, {unix.MS_BIND, "MS_BIND"},
	{unix.MS_MOVE, "MS_MOVE"}, {unix.MS_REC, "MS_REC"}, {unix.MS_PRIVATE, "MS_PRIVATE"},
	{unix.MS_SLAVE, "MS_SLAVE"}, {unix.MS_SHARED, "MS_SHARED"}, {unix.MS_UNBINDABLE, "MS_UNBINDABLE"},
	{unix.MS_NOATIME, "MS_NOATIME"}, {unix.MS_RELATIME, "MS_RELATIME"}, {unix.MS_STRICTATIME, "MS_STRICTATIME"},
}

var cloneFlags = []flagName{
	{unix.CLONE_NEWUSER, "CLONE_NEWUSER"}, {unix.CLONE_NEWNS, "CLONE_NEWNS"}, {unix.CLONE_NEWPID, "CLONE_NEWPID"},
	{unix.CLONE_NEWNET, "CLONE_NEWNET"}, {unix.CLONE_NEWIPC, "CLONE_NEWIPC"}, {unix.CLONE_NEWUTS, "CLONE_NEWUTS"},
	{unix.CLONE_NEWCGROUP, "CLONE_NEWCGROUP"}, {unix.CLONE_NEWTIME, "CLONE_NEWTIME"},
	{unix.CLONE_PARENT, "CLONE_PARENT"}, {unix.CLONE_PIDFD, "CLONE_PIDFD"}, {uint64(unix.SIGCHLD), "SIGCHLD"},
}

var atFlags = []flagName{
	{unix.AT_EMPTY_PATH, "AT_EMPTY_PATH"}, {unix.AT_RECURSIVE, "AT_RECURSIVE"},
	{unix.AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"},
	{unix.OPEN_TREE_CLOEXEC, "OPEN_TREE_CLOEXEC"}, {unix.OPEN_TREE_CLONE, "OPEN_TREE_CLONE"},
}

var fsconfigCommands = []flagName{
	{0, "FSCONFIG_SET_FLAG"}, {1, "FSCONFIG_SET_STRING"}, {6, "FSCONFIG_CMD_CREATE"}, {7, "FSCONFIG_CMD_RECONFIGURE"},
}

var prctlOptions = []flagName{
	{unix.PR_SET_DUMPABLE, "PR_SET_DUMPABLE"}, {unix.PR_SET_KEEPCAPS, "PR_SET_KEEPCAPS"},
	{unix.PR_CAPBSET_DROP, "PR_CAPBSET_DROP"}, {unix.PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS"},
	{unix.PR_CAP_AMBIENT, "PR_CAP_AMBIENT"}, {unix.PR_SET_NAME, "PR_SET_NAME"},
}

// symbolic prints the arguments that are flags or enumerations, or "".
func symbolic(c Call, arg int, v int64) string {
	u := uint64(uint32(v))
	switch {
	case c == Openat && arg == 2:
		return join(openFlags, u)
	case c == OpenTree && arg == 2, c == MountSetattr && arg == 2, c == Statx && arg == 2, c == Fchownat && arg == 4:
		if v == 0 {
			return "0"
		}
		return join(atFlags, u)
	case c == Clone && arg == 0, c == Unshare && arg == 0, c == Setns && arg == 1:
		return join(cloneFlags, u)
	case c == Mount && arg == 3:
		return join(mountFlags, u)
	case c == Fsmount && arg == 2:
		if v == 0 {
			return "0"
		}
		return join(mountAttrs, u)
	case c == Fsconfig && arg == 1:
		return lookup(fsconfigCommands, u)
	case c == Prctl && arg == 0:
		return lookup(prctlOptions, u)
	case c == MoveMount && arg == 4 && u == unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH:
		return "F_EMPTY_PATH|T_EMPTY_PATH"
	case c == Umount2 && arg == 1 && u == unix.MNT_DETACH:
		return "MNT_DETACH"
	}
	return ""
}
