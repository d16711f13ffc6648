// SPDX-License-Identifier: Apache-2.0

//go:build cgo

package seccomp

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func cached(t testing.TB, c Cache, s *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, _, err := c.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// entries are the files of a cache.
func entries(t *testing.T, c Cache) []string {
	t.Helper()
	list, err := filepath.Glob(c.Dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestSecondCompileIsAHit(t *testing.T) {
	c := Cache{Dir: t.TempDir() + "/seccomp"}
	s := docker(t)
	s.Syscalls[0].Names = append(s.Syscalls[0].Names, "no_such_call")
	first, warnings, err := c.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	f, kept, err := c.load(keyOf(s, kernelRelease()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, first) || !slices.Equal(kept, warnings) || len(kept) != 1 {
		t.Errorf("loaded %d bytes, flags %#x, warnings %q, which is not what was compiled", len(f.BPF), f.Flags, kept)
	}
	for path, want := range map[string]os.FileMode{c.Dir: os.ModeDir | 0o700, entries(t, c)[0]: 0o600} {
		if info, err := os.Lstat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
}

func TestRefusedProfileIsNotKept(t *testing.T) {
	c := Cache{Dir: t.TempDir()}
	if _, _, err := c.Compile(&specs.LinuxSeccomp{}); err == nil {
		t.Error("compiled a profile without default action")
	}
	if got := entries(t, c); got != nil {
		t.Errorf("entries = %v, want none", got)
	}
}

// TestDoubtfulEntriesAreCompiledAgain damages an entry, and wants the right
// filter all the same, and a sound entry after it.
func TestDoubtfulEntriesAreCompiledAgain(t *testing.T) {
	s := docker(t)
	want := compile(t, s)
	k := keyOf(s, kernelRelease())
	write := func(path string, data []byte) error { return os.WriteFile(path, data, 0o600) }
	for name, damage := range map[string]func(path string, data []byte) error{
		"empty":      func(path string, _ []byte) error { return write(path, nil) },
		"cut off":    func(path string, data []byte) error { return write(path, data[:len(data)-1]) },
		"longer":     func(path string, data []byte) error { return write(path, append(data, 0)) },
		"huge":       func(path string, _ []byte) error { return os.Truncate(path, 1<<40) },
		"one bit":    func(path string, data []byte) error { data[200] ^= 1; return write(path, data) },
		"other key":  func(path string, data []byte) error { data[10] ^= 1; return write(path, data) },
		"readable":   func(path string, _ []byte) error { return os.Chmod(path, 0o644) },
		"other mode": func(path string, _ []byte) error { return os.Chmod(path, 0o400) },
		"link": func(path string, _ []byte) error {
			return replace(path, func() error { return os.Symlink(path+".x", path) })
		},
		"fifo": func(path string, _ []byte) error {
			return replace(path, func() error { return unix.Mkfifo(path, 0o600) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := Cache{Dir: t.TempDir() + "/seccomp"}
			cached(t, c, s)
			path := filepath.Join(c.Dir, k.file())
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path, slices.Clone(data)); err != nil {
				t.Fatal(err)
			}
			if f, _, err := c.load(k); err == nil {
				t.Errorf("loaded a filter of %d bytes", len(f.BPF))
			}
			if got := cached(t, c, s); !reflect.DeepEqual(got, want) {
				t.Error("compiled something else")
			}
			if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, data) {
				t.Errorf("the entry was not replaced: %v", err)
			}
		})
	}
}

func replace(path string, create func() error) error {
	if err := os.Rename(path, path+".x"); err != nil {
		return err
	}
	return create()
}

func TestDoubtfulDirectoriesAreNotUsed(t *testing.T) {
	s := docker(t)
	want := compile(t, s)
	for name, prepare := range map[string]func(dir string) error{
		"writable by others": func(dir string) error { return firstError(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) },
		"link": func(dir string) error {
			return firstError(os.Mkdir(dir+".x", 0o700), os.Symlink(dir+".x", dir))
		},
		"file":           func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"without parent": func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			c := Cache{Dir: t.TempDir() + "/seccomp"}
			if err := prepare(c.Dir); err != nil {
				t.Fatal(err)
			}
			if name == "without parent" {
				c.Dir += "/deeper"
			}
			for range 2 {
				if got := cached(t, c, s); !reflect.DeepEqual(got, want) {
					t.Error("compiled something else")
				}
			}
			if got := entries(t, c); got != nil {
				t.Errorf("entries = %v, want none", got)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestForeignOwnerIsNotTrusted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a file away")
	}
	s := docker(t)
	c := Cache{Dir: t.TempDir()}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cached(t, c, s)
	if err := os.Chown(entries(t, c)[0], 1234, 1234); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.load(keyOf(s, kernelRelease())); err != errForeign {
		t.Errorf("error = %v, want %v", err, errForeign)
	}
}

func TestOldestEntriesGo(t *testing.T) {
	c := Cache{Dir: t.TempDir() + "/seccomp"}
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/run/agent"}
	cached(t, c, s)
	foreign := c.Dir + "/README"
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour)
	for _, path := range entries(t, c) {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxEntries {
		s.ListenerMetadata = fmt.Sprint(i)
		cached(t, c, s)
	}
	if got := len(entries(t, c)); got != maxEntries+1 {
		t.Errorf("%d files are left, want %d and a foreign one", got, maxEntries)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	s.ListenerMetadata = ""
	if _, _, err := c.load(keyOf(s, kernelRelease())); err == nil {
		t.Error("the oldest entry is still there")
	}
}

func TestManyAtOnce(t *testing.T) {
	c := Cache{Dir: t.TempDir() + "/seccomp"}
	s := docker(t)
	want := compile(t, s)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				if f, _, err := c.Compile(s); err != nil || !reflect.DeepEqual(f, want) {
					t.Errorf("compiled something else, %v", err)
				}
			}
		})
	}
	all.Wait()
	if got := entries(t, c); len(got) != 1 {
		t.Errorf("entries = %v, want one", got)
	}
}

// TestKeyCoversTheWholeProfile: a field that the key leaves out would give one
// container the filter of another. It changes each field of a full profile in
// turn, also those that a later version of the specification adds.
func TestKeyCoversTheWholeProfile(t *testing.T) {
	full := func() *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultErrnoRet: errno(1), Architectures: []specs.Arch{"a"}, Flags: []specs.LinuxSeccompFlag{"f"},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"n"}, ErrnoRet: errno(1), Args: []specs.LinuxSeccompArg{{}}}}}
	}
	seen := map[key]string{keyOf(full(), nil): "nothing changed"}
	note := func(what string, s *specs.LinuxSeccomp, kernel string) {
		k := keyOf(s, []byte(kernel))
		if other, ok := seen[k]; ok {
			t.Errorf("%s has the key of: %s", what, other)
		}
		seen[k] = what
	}
	note("other kernel", full(), "6.1.0")
	for i := range 100 {
		s, n := full(), i
		what, ok := change(reflect.ValueOf(s).Elem(), "", &n)
		if !ok {
			break
		}
		note(what, s, "")
	}
	s := full()
	s.Flags = nil
	note("no flags", s, "")
	s = full()
	s.Flags = []specs.LinuxSeccompFlag{}
	note("empty flags", s, "")
	if len(seen) < 15 {
		t.Errorf("only %d variants: %v", len(seen), seen)
	}
}

// change changes the n-th simple value below v and names it.
func change(v reflect.Value, path string, n *int) (string, bool) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if what, ok := change(v.Field(i), path+"."+v.Type().Field(i).Name, n); ok {
				return what, true
			}
		}
		return "", false
	case reflect.Slice:
		return change(v.Index(0), path+"[0]", n)
	case reflect.Pointer:
		return change(v.Elem(), path, n)
	}
	*n--
	if *n >= 0 {
		return "", false
	}
	if v.Kind() == reflect.String {
		v.SetString("changed")
	} else {
		v.SetUint(77)
	}
	return path, true
}

func BenchmarkHit(b *testing.B) {
	c := Cache{Dir: b.TempDir() + "/seccomp"}
	s := docker(b)
	cached(b, c, s)
	k := keyOf(s, kernelRelease())
	for b.Loop() {
		cached(b, c, s)
	}
	if _, _, err := c.load(k); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkMiss(b *testing.B) {
	s := docker(b)
	for b.Loop() {
		if _, _, err := Compile(s); err != nil {
			b.Fatal(err)
		}
	}
}
