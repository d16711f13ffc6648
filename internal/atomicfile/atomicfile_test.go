// SPDX-License-Identifier: Apache-2.0

package atomicfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteReplacesContentsAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, want := range []string{"first, the longer one", "second", ""} {
		if err := Write(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("contents = %q, want %q", got, want)
		}
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := fi.Mode().Perm(); got != 0o600 {
		t.Errorf("mode = %o, want 600", got)
	}
	wantNames(t, filepath.Dir(path), "state.json")
}

func TestWriteReplacesLinkAndKeepsItsTarget(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := os.WriteFile(target, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := Write(link, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(target); string(got) != "old" {
		t.Errorf("target = %q, want %q", got, "old")
	}
}

func TestWriteErrorLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(dir, "d"), []byte("x"), 0o600); !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EEXIST) {
		t.Errorf("writing over a directory = %v, want %v", err, unix.EISDIR)
	}
	wantNames(t, dir, "d")
	if err := Write(filepath.Join(dir, "none", "f"), nil, 0o600); !errors.Is(err, unix.ENOENT) {
		t.Errorf("writing into a missing directory = %v, want %v", err, unix.ENOENT)
	}
	for _, name := range []string{"", ".", ".."} {
		if err := Write(dir+"/"+name, nil, 0o600); !errors.Is(err, unix.EINVAL) {
			t.Errorf("name %q = %v, want %v", name, err, unix.EINVAL)
		}
	}
}

func TestWriteAtTakesNamesOnly(t *testing.T) {
	dir, err := os.OpenFile(t.TempDir(), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := WriteAt(dir, strings.Repeat("n", 255), []byte("x"), 0o600); err != nil {
		t.Errorf("longest name: %v", err)
	}
	if err := WriteAt(dir, "../x", nil, 0o600); !errors.Is(err, unix.EINVAL) {
		t.Errorf("path = %v, want %v", err, unix.EINVAL)
	}
}

func TestConcurrentWritersNeverMix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			data := bytes.Repeat([]byte{byte('a' + i)}, 10000)
			for range 20 {
				if err := Write(path, data, 0o600); err != nil {
					t.Error(err)
				}
				got, err := os.ReadFile(path)
				if err != nil || len(got) != 10000 || !bytes.Equal(got, bytes.Repeat(got[:1], 10000)) {
					t.Errorf("read %d bytes, %v: mixed or partial", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	wantNames(t, filepath.Dir(path), "f")
}

func wantNames(t *testing.T, dir, want string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != want {
		t.Errorf("directory holds %q, want %q", got, want)
	}
}
