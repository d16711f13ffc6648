// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func TestUnmountedBundleHasAHint(t *testing.T) {
	notFound := errors.New(`exec: "sh": executable file not found in $PATH`)
	for _, c := range []struct {
		dirs string
		want bool
	}{
		{"rootfs upper work", true},
		{"rootfs", false},
		{"upper work", false},
		{"", false},
	} {
		dir := t.TempDir()
		for name := range strings.FieldsSeq(c.dirs) {
			if err := os.Mkdir(dir+"/"+name, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		err := (&bundleFlags{bundle: dir}).unmounted(notFound)
		want := notFound.Error()
		if c.want {
			want += "; hint: the bundle's root file system is not mounted: berth-image mount " + dir
		}
		if message(err) != want || !errors.Is(err, notFound) {
			t.Errorf("%q: %s, want %s", c.dirs, message(err), want)
		}
	}
}
