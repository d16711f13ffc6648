// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

// applied parses options as mount does.
func applied(options ...string) config.Mount {
	var m config.Mount
	for _, option := range options {
		for _, word := range splitOption(option) {
			applyOption(&m, word)
		}
	}
	return m
}

func TestMountOptionsAreNoData(t *testing.T) {
	list := MountOptions()
	if !slices.IsSorted(list) {
		t.Error("not sorted")
	}
	if len(slices.Compact(slices.Clone(list))) != len(list) {
		t.Error("has duplicates")
	}
	for _, word := range list {
		m := applied(word)
		if len(m.Data) > 0 {
			t.Errorf("%s: taken as data", word)
		}
		if m.Set&m.Clear != 0 {
			t.Errorf("%s: sets and clears %#x", word, m.Set&m.Clear)
		}
		does := m.Set|m.Clear|m.RecSet|m.RecClear != 0 || len(m.Propagation) > 0 || m.Bind || m.Remount || m.CopyUp || m.IDMap != nil
		if does == (word == "defaults") {
			t.Errorf("%s: does something: %v", word, does)
		}
	}
}

func TestMountOptionsLaterWins(t *testing.T) {
	for _, c := range []struct {
		options    string
		set, clear uint64
	}{
		{options: "ro,rw", clear: unix.MS_RDONLY},
		{options: "rw,ro", set: unix.MS_RDONLY},
		{options: "ro,rw,ro", set: unix.MS_RDONLY},
		{options: "nosuid,suid", clear: unix.MS_NOSUID},
		{options: "dev,nodev", set: unix.MS_NODEV},
		{options: "noexec,exec", clear: unix.MS_NOEXEC},
		{options: "sync,async", clear: unix.MS_SYNCHRONOUS},
		{options: "silent,loud", clear: unix.MS_SILENT},
		{options: "noatime,atime", clear: unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME},
		{options: "noatime,relatime", set: unix.MS_RELATIME, clear: unix.MS_NOATIME | unix.MS_STRICTATIME},
		{options: "relatime,strictatime", set: unix.MS_STRICTATIME, clear: unix.MS_NOATIME | unix.MS_RELATIME},
		{options: "strictatime,noatime", set: unix.MS_NOATIME, clear: unix.MS_RELATIME | unix.MS_STRICTATIME},
	} {
		m := applied(c.options)
		if m.Set != c.set || m.Clear != c.clear {
			t.Errorf("%s: sets %#x, clears %#x, want %#x and %#x", c.options, m.Set, m.Clear, c.set, c.clear)
		}
	}
	for _, c := range []struct {
		options       string
		set, mustHave uint64
	}{
		{"rro,rrw", 0, unix.MOUNT_ATTR_RDONLY},
		{"rrw,rro", unix.MOUNT_ATTR_RDONLY, 0},
		{"rnosuid,rsuid", 0, unix.MOUNT_ATTR_NOSUID},
		{"rnodev,rdev,rnoexec", unix.MOUNT_ATTR_NOEXEC, unix.MOUNT_ATTR_NODEV},
		{"rnoatime,rrelatime", 0, unix.MOUNT_ATTR__ATIME},
		{"rstrictatime,rnoatime", unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME},
		{"rnoatime,rstrictatime", unix.MOUNT_ATTR_STRICTATIME, unix.MOUNT_ATTR__ATIME},
		{"rro,rnoatime", unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR__ATIME},
	} {
		m := applied(c.options)
		if m.RecSet != c.set || m.RecClear&c.mustHave != c.mustHave {
			t.Errorf("%s: sets %#x, clears %#x, want %#x and at least %#x", c.options, m.RecSet, m.RecClear, c.set, c.mustHave)
		}
	}
}

// TestMountOptionsPairs: no two words leave a flag that is both set and
// cleared, and the second word has its way.
func TestMountOptionsPairs(t *testing.T) {
	for _, a := range mountWords {
		for _, b := range mountWords {
			m := applied(a.word, b.word)
			if m.Set&m.Clear != 0 {
				t.Errorf("%s,%s: sets and clears %#x", a.word, b.word, m.Set&m.Clear)
			}
			if m.Set&b.set != b.set || m.Clear&b.clear != b.clear || m.RecSet&b.recSet != b.recSet || m.RecClear&b.recClear != b.recClear {
				t.Errorf("%s,%s: the second is lost", a.word, b.word)
			}
			if m.Set&b.clear != 0 {
				t.Errorf("%s,%s: sets what the second clears", a.word, b.word)
			}
		}
	}
}

func TestSplitOption(t *testing.T) {
	for _, c := range []struct{ option, want string }{
		{"ro", "ro"},
		{"size=64k,mode=700", "size=64k|mode=700"},
		{"ro,,nosuid", "ro||nosuid"},
		{`lowerdir=a\,b`, `lowerdir=a\,b`},
		{`context="a,b"`, `context="a,b"`},
		{"", ""},
	} {
		if got := strings.Join(splitOption(c.option), "|"); got != c.want {
			t.Errorf("%q: got %q, want %q", c.option, got, c.want)
		}
	}
	m := applied("nosuid,size=64k,,mode=700", "ro")
	if !slices.Equal(m.Data, []string{"size=64k", "mode=700"}) || m.Set != unix.MS_NOSUID|unix.MS_RDONLY {
		t.Errorf("got data %q, flags %#x", m.Data, m.Set)
	}
}

func TestMountOptionsPropagation(t *testing.T) {
	m := applied("rslave,shared")
	if !slices.Equal(m.Propagation, []uint64{unix.MS_SLAVE | unix.MS_REC, unix.MS_SHARED}) {
		t.Errorf("got %#x", m.Propagation)
	}
	if m.Set|m.Clear != 0 {
		t.Errorf("sets %#x, clears %#x", m.Set, m.Clear)
	}
}
