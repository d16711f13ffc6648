// SPDX-License-Identifier: Apache-2.0

package imagesweep

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// container is the id that run gives.
const container = "imagesweep"

// verb is what is killed.
type verb struct {
	name    string
	prepare func() // on an empty store
	args    []string
	// visible says, after a kill, that the command has done its work and would
	// not do it twice.
	visible func() bool
	check   func() // after it succeeded
}

func verbs(s *store) []verb {
	bundle, again := s.path("bundles/web"), s.path("bundles/again")
	pull := func() { s.must("pull", s.image) }
	list := []verb{
		{"pull", func() {}, []string{"pull", s.image}, nil, func() { s.wholeImage(s.image, s.want) }},
		{"import", func() {}, []string{"import", s.tar, "imported"}, nil, func() { s.wholeImage("imported", "") }},
		{
			"gc", func() {
				s.must("pull", s.other)
				pull()
				s.must("unpack", "--mode", "overlay", s.image, bundle)
				s.must("unmount", "--rm", bundle)
				s.must("rm", s.image)
			},
			[]string{"gc"}, nil, func() { s.wholeImage(s.other, "") },
		},
		{
			"run", pull,
			[]string{
				"run", "--name", container, "--env", "BERTH_MARK", "--runtime", s.runtime.Path,
				"--runtime-arg=--root", "--runtime-arg=" + s.runtime.Root, s.image, "/bin/sh", "-c", "/bin/busybox usleep 20000; > /written",
			},
			nil, func() {},
		},
	}
	for _, mode := range []string{"copy", "overlay"} {
		unpack := []string{"unpack", "--mode", mode, s.image, bundle}
		list = append(list, verb{
			"unpack-" + mode, pull, unpack,
			func() bool { return s.wholeBundle(bundle) },
			func() { s.wholeBundle(bundle) },
		}, verb{
			"commit-" + mode, func() {
				pull()
				s.must(unpack...)
				s.change(filepath.Join(bundle, "rootfs"))
			},
			[]string{"commit", bundle, "committed"}, nil,
			func() {
				s.must("unpack", "--mode", "copy", "committed", again)
				if got, want := tree(s.t, again+"/rootfs"), tree(s.t, bundle+"/rootfs"); got != want {
					s.fail("committed:\n%s\nbundle:\n%s", got, want)
				}
			},
		})
	}
	return list
}

// change is what a container would do.
func (s *store) change(rootfs string) {
	s.t.Helper()
	for name, size := range map[string]int{"added": 2 << 20, "data/5/5": 9, "data/6/new": 1 << 10} {
		if err := os.WriteFile(filepath.Join(rootfs, name), []byte(strings.Repeat("ab,", size)), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, name := range []string{"data/7", "data/8/8"} {
		if err := os.RemoveAll(filepath.Join(rootfs, name)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// wholeImage unpacks an image that has to be complete.
func (s *store) wholeImage(image, want string) {
	s.t.Helper()
	dir := s.path("bundles/whole")
	s.must("unpack", "--mode", "overlay", image, dir)
	if got := tree(s.t, dir+"/rootfs"); want != "" && got != want {
		s.fail("%s:\n%s\nwant:\n%s", image, got, want)
	}
}

// wholeBundle says whether there is a bundle, which has to be complete then.
func (s *store) wholeBundle(dir string) bool {
	s.t.Helper()
	if _, err := os.Lstat(dir); err != nil {
		return false
	}
	if got := tree(s.t, dir+"/rootfs"); got != s.want {
		s.fail("%s:\n%s\nwant:\n%s", dir, got, s.want)
	}
	data, err := os.ReadFile(dir + "/config.json")
	var spec specs.Spec
	if err == nil {
		err = json.Unmarshal(data, &spec)
	}
	if err != nil || len(spec.Process.Args) == 0 {
		s.fail("config.json: %v: %s", err, data)
	}
	s.must("commit", dir, "unchanged") // its record and manifest
	return true
}
