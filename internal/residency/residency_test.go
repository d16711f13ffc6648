// SPDX-License-Identifier: Apache-2.0

package residency

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for line, want := range map[string]bool{
		"00400000-00800000 r-xp 00000000 08:02 173521                    /bin/x":  true,
		"00800000-00900000 r--p 00400000 08:02 173521                    /bin/x":  true,
		"00900000-00910000 rw-p 00500000 08:02 173521                    /bin/x":  false,
		"00400000-00800000 r-xp 00000000 08:02 173521                    /bin/xy": false,
		"7ffd0000-7ffe0000 r-xp 00000000 00:00 0                         [vdso]":  false,
		"00910000-00920000 rw-p 00000000 00:00 0 ":                                false,
		"00800000-00400000 r-xp 00000000 08:02 173521                    /bin/x":  false,
		"": false,
	} {
		m, ok := parse(line, "/bin/x")
		if ok != want || ok && (m.start < 0x400000 || m.end > 0x900000) {
			t.Errorf("%q: %x %t, want %t", line, m, ok, want)
		}
	}
}

// resident is what the kernel says is in memory of our executable, in kB.
func resident(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestShrink(t *testing.T) {
	all := own()
	if len(all) == 0 {
		t.Skip("this program is not a static executable")
	}
	for _, m := range all {
		if err := m.advise(unix.MADV_POPULATE_READ); err != nil {
			t.Skipf("Linux 5.14 is needed: %v", err)
		}
	}
	before := resident(t)
	Shrink()
	if after := resident(t); after > before*3/4 {
		t.Errorf("%d kB before, %d kB after", before, after)
	}
}
