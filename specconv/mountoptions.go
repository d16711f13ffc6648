// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"slices"

	"golang.org/x/sys/unix"
)

// mountWord is what a word of mounts[].options does.
type mountWord struct {
	word       string
	set, clear uint64 // MS_*
	recSet     uint64 // MOUNT_ATTR_*, for the whole tree
	recClear   uint64
	propagate  uint64
}

// atime are the flags that exclude each other, as bits of mount(2).
const atime = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME

// mountWords is the table of runtime-spec config.md#linux-mount-options, the
// one place for parsing and for `features`.
var mountWords = []mountWord{
	{word: "async", clear: unix.MS_SYNCHRONOUS}, {word: "sync", set: unix.MS_SYNCHRONOUS},
	{word: "dirsync", set: unix.MS_DIRSYNC},
	{word: "atime", clear: unix.MS_NOATIME}, {word: "noatime", set: unix.MS_NOATIME, clear: atime &^ unix.MS_NOATIME},
	{word: "relatime", set: unix.MS_RELATIME, clear: atime &^ unix.MS_RELATIME}, {word: "norelatime", clear: unix.MS_RELATIME},
	{word: "strictatime", set: unix.MS_STRICTATIME, clear: atime &^ unix.MS_STRICTATIME}, {word: "nostrictatime", clear: unix.MS_STRICTATIME},
	{word: "diratime", clear: unix.MS_NODIRATIME}, {word: "nodiratime", set: unix.MS_NODIRATIME},
	{word: "dev", clear: unix.MS_NODEV}, {word: "nodev", set: unix.MS_NODEV},
	{word: "exec", clear: unix.MS_NOEXEC}, {word: "noexec", set: unix.MS_NOEXEC},
	{word: "suid", clear: unix.MS_NOSUID}, {word: "nosuid", set: unix.MS_NOSUID},
	{word: "rw", clear: unix.MS_RDONLY}, {word: "ro", set: unix.MS_RDONLY},
	{word: "symfollow", clear: unix.MS_NOSYMFOLLOW}, {word: "nosymfollow", set: unix.MS_NOSYMFOLLOW},
	{word: "mand", set: unix.MS_MANDLOCK}, {word: "nomand", clear: unix.MS_MANDLOCK},
	{word: "iversion", set: unix.MS_I_VERSION}, {word: "noiversion", clear: unix.MS_I_VERSION},
	{word: "lazytime", set: unix.MS_LAZYTIME}, {word: "nolazytime", clear: unix.MS_LAZYTIME},
	{word: "silent", set: unix.MS_SILENT}, {word: "loud", clear: unix.MS_SILENT},

	{word: "private", propagate: unix.MS_PRIVATE}, {word: "rprivate", propagate: unix.MS_PRIVATE | unix.MS_REC},
	{word: "shared", propagate: unix.MS_SHARED}, {word: "rshared", propagate: unix.MS_SHARED | unix.MS_REC},
	{word: "slave", propagate: unix.MS_SLAVE}, {word: "rslave", propagate: unix.MS_SLAVE | unix.MS_REC},
	{word: "unbindable", propagate: unix.MS_UNBINDABLE}, {word: "runbindable", propagate: unix.MS_UNBINDABLE | unix.MS_REC},

	{word: "rro", recSet: unix.MOUNT_ATTR_RDONLY}, {word: "rrw", recClear: unix.MOUNT_ATTR_RDONLY},
	{word: "rnosuid", recSet: unix.MOUNT_ATTR_NOSUID}, {word: "rsuid", recClear: unix.MOUNT_ATTR_NOSUID},
	{word: "rnodev", recSet: unix.MOUNT_ATTR_NODEV}, {word: "rdev", recClear: unix.MOUNT_ATTR_NODEV},
	{word: "rnoexec", recSet: unix.MOUNT_ATTR_NOEXEC}, {word: "rexec", recClear: unix.MOUNT_ATTR_NOEXEC},
	{word: "rnodiratime", recSet: unix.MOUNT_ATTR_NODIRATIME}, {word: "rdiratime", recClear: unix.MOUNT_ATTR_NODIRATIME},
	// The access times are one field of mount_setattr(2): to set one, the
	// field is cleared; relatime is its zero.
	{word: "rrelatime", recClear: unix.MOUNT_ATTR__ATIME}, {word: "rnorelatime", recSet: unix.MOUNT_ATTR_STRICTATIME, recClear: unix.MOUNT_ATTR__ATIME},
	{word: "rnoatime", recSet: unix.MOUNT_ATTR_NOATIME, recClear: unix.MOUNT_ATTR__ATIME}, {word: "ratime", recClear: unix.MOUNT_ATTR__ATIME},
	{word: "rstrictatime", recSet: unix.MOUNT_ATTR_STRICTATIME, recClear: unix.MOUNT_ATTR__ATIME}, {word: "rnostrictatime", recClear: unix.MOUNT_ATTR__ATIME},
	{word: "rnosymfollow", recSet: unix.MOUNT_ATTR_NOSYMFOLLOW}, {word: "rsymfollow", recClear: unix.MOUNT_ATTR_NOSYMFOLLOW},
}

// otherWords are the options that are no flags.
var otherWords = []string{"bind", "rbind", "defaults", "remount", "idmap", "ridmap", "tmpcopyup"}

// findWord looks an option up; runs over a short table, so that nothing is
// built when the program starts.
func findWord(word string) (mountWord, bool) {
	i := slices.IndexFunc(mountWords, func(w mountWord) bool { return w.word == word })
	if i < 0 {
		return mountWord{}, false
	}
	return mountWords[i], true
}

// propagation translates a word of propagation.
func propagation(word string) (uint64, bool) {
	w, ok := findWord(word)
	return w.propagate, ok && w.propagate != 0
}

// MountOptions returns every option that mounts[].options may have, sorted.
func MountOptions() []string {
	list := slices.Clone(otherWords)
	for _, w := range mountWords {
		list = append(list, w.word)
	}
	slices.Sort(list)
	return list
}
