// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
	"berth/image/transport"
)

func TestPutAndRead(t *testing.T) {
	s := newStore(t)
	for _, size := range []int{0, 1, 300 << 10} {
		raw := noise(1, size)
		d := document.Describe("a/b", raw)
		if _, err := s.Blob(d); !errors.Is(err, ErrNotExist) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error = %v, want ErrNotExist", err)
		}
		if err := putBytes(s, d, raw); err != nil {
			t.Fatal(err)
		}
		got, err := s.Document(d)
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%d bytes, %v; want the %d that were put", len(got), err, size)
		}
		st, err := os.Stat(filepath.Join(s.Path(), blobName(d.Digest)))
		if err != nil || st.Mode() != 0o600 {
			t.Errorf("mode = %v, %v; want 0600", st.Mode(), err)
		}
	}
	expectNames(t, s, partialDir)
}

func TestPutRefusesOtherContents(t *testing.T) {
	good := noise(1, 5000)
	d := document.Describe("a/b", good)
	for name, raw := range map[string][]byte{
		"wrong":    noise(2, 5000),
		"too long": append(slices.Clone(good), 0),
		"short":    good[:4999],
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			expectError(t, putBytes(s, d, raw), transport.ErrContents, d.Digest.String())
			expectNames(t, s, partialDir)
			expectNames(t, s, "blobs")
		})
	}
}

// broken fails after some bytes, each time it is opened.
func broken(raw []byte, after int, err error) func(int64) (io.ReadCloser, error) {
	return func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(raw[offset:after]), errReader{err})), nil
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

func TestPutGoesOnWhereAnotherStopped(t *testing.T) {
	root := t.TempDir()
	raw, gone := noise(1, 100000), errors.New("connection lost")
	d := document.Describe("a/b", raw)
	first := openStore(t, root)
	expectError(t, first.Image("").Put(t.Context(), d, broken(raw, 60000, gone)), gone, "at byte 60000 of 100000")
	expectNames(t, first, "blobs")
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := openStore(t, root)
	offset := int64(-1)
	err := second.Image("").Put(t.Context(), d, func(o int64) (io.ReadCloser, error) {
		offset = o
		return io.NopCloser(bytes.NewReader(raw[o:])), nil
	})
	if err != nil || offset != 60000 {
		t.Errorf("opened at %d, %v; want 60000", offset, err)
	}
	if got, err := second.Document(d); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
	expectNames(t, second, partialDir)
}

func TestPutStartsAgainAfterBadRemains(t *testing.T) {
	for name, remains := range map[string][]byte{"wrong": make([]byte, 500), "too long": make([]byte, 5000), "complete but wrong": make([]byte, 1000)} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			raw := noise(1, 1000)
			d := document.Describe("a/b", raw)
			write(t, filepath.Join(s.Path(), partialDir, "sha256-"+d.Digest.Encoded()), remains)
			if err := putBytes(s, d, raw); err != nil {
				t.Fatal(err)
			}
			if got, err := s.Document(d); err != nil || !bytes.Equal(got, raw) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
		})
	}
}

func write(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is in the place of a blob, and is not one.
func TestStrangeThingsInBlobs(t *testing.T) {
	raw := noise(1, 100)
	d := document.Describe("a/b", raw)
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, outside, raw)
	for name, make := range map[string]func(path string) error{
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
		"link":      func(p string) error { return os.Symlink(outside, p) },
		"fifo":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		"device":    func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5))) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			path := filepath.Join(s.Path(), blobName(d.Digest))
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := make(path); errors.Is(err, unix.EPERM) {
				t.Skip("only root may make a device")
			} else if err != nil {
				t.Fatal(err)
			}
			_, err := s.Blob(d)
			expectError(t, err, ErrDamaged, "not a regular file")
			_, err = s.Document(d)
			expectError(t, err, ErrDamaged, "not a regular file")
			_, err = s.Image("").Has(t.Context(), d)
			expectError(t, err, ErrDamaged, "not a regular file")
			expectError(t, putBytes(s, d, raw), ErrDamaged, "not a regular file")
			expectError(t, s.Verify(t.Context(), nil), ErrDamaged, "not a regular file")
		})
	}
}

func TestLinkedDirectoryOfBlobs(t *testing.T) {
	s := newStore(t)
	raw := noise(1, 100)
	d := document.Describe("a/b", raw)
	outside := t.TempDir()
	write(t, filepath.Join(outside, d.Digest.Encoded()), raw)
	if err := os.Symlink(outside, filepath.Join(s.Path(), "blobs/sha256")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Blob(d)
	expectError(t, err, ErrDamaged, "too many levels of symbolic links")
	other := noise(2, 100)
	expectError(t, putBytes(s, document.Describe("a/b", other), other), unix.ENOTDIR, "blobs/sha256")
}

func TestDamagedBlobs(t *testing.T) {
	var p pool
	layer, other := noise(1, 1000), noise(2, 1000)
	root, _ := p.addImage(layer, other)
	s := newStore(t)
	pull(t, s, &p, "image")
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	damaged, short := document.Describe("a/b", layer), document.Describe("a/b", other)
	changed := slices.Clone(layer)
	changed[500] ^= 1
	write(t, filepath.Join(s.Path(), blobName(damaged.Digest)), changed)
	write(t, filepath.Join(s.Path(), blobName(short.Digest)), other[:999])

	bad := map[string]error{}
	total := 0
	err := s.Verify(t.Context(), func(c Checked) {
		if total++; c.Err != nil {
			bad[c.Digest.String()] = c.Err
		}
	})
	expectError(t, err, ErrDamaged, "the contents have the digest")
	if len(bad) != 2 || bad[damaged.Digest.String()] == nil || bad[short.Digest.String()] == nil || total != 4 {
		t.Errorf("bad = %v of %d, want %s and %s of 4", bad, total, damaged.Digest, short.Digest)
	}
	_, err = s.Document(damaged)
	expectError(t, err, ErrDamaged, "the contents have the digest")
	_, err = s.Blob(short)
	expectError(t, err, ErrDamaged, "999 bytes, and the descriptor says 1000")
	_, err = transport.Copy(t.Context(), s.Image("image"), newStore(t).Image("copy"), transport.CopyOptions{Parallel: 1})
	expectError(t, err, transport.ErrContents, damaged.Digest.String())

	if err := s.RemoveBlob(damaged.Digest); err != nil {
		t.Fatal(err)
	}
	expectError(t, s.Verify(t.Context(), nil), ErrDamaged, short.Digest.String())
	pull(t, s, &p, "image") // the short one is replaced, the other one fetched
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if err := s.RemoveBlob(damaged.Digest); err != nil {
		t.Fatal(err)
	}
	expectError(t, s.Verify(t.Context(), nil), ErrNotExist, damaged.Digest.String())
	if _, err := s.Document(root); err != nil {
		t.Error(err)
	}
}

func TestBadDescriptors(t *testing.T) {
	s := newStore(t)
	for _, d := range []ocispec.Descriptor{{}, {Digest: "sha256:../../x"}, {Digest: "sha256:" + "0"}, {Digest: document.Describe("", nil).Digest, Size: -1}} {
		_, blob := s.Blob(d)
		_, doc := s.Document(d)
		_, has := s.Image("").Has(t.Context(), d)
		put := putBytes(s, d, nil)
		for _, err := range []error{blob, doc, has, put} {
			if err == nil || errors.Is(err, ErrNotExist) {
				t.Errorf("%v: error = %v, want one about the descriptor", d, err)
			}
		}
	}
	long := document.Describe("a/b", nil)
	long.Size = document.MaxSize + 1
	_, err := s.Document(long)
	expectError(t, err, nil, "a document has at most 4194304")
}

func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount a small file system")
	}
	root := t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	s := openStore(t, root)
	var small, big pool
	small.addImage(noise(1, 1000))
	pull(t, s, &small, "small")
	big.addImage(noise(2, 1000), noise(3, 512<<10))
	_, err := transport.Copy(t.Context(), &big, s.Image("big"), transport.CopyOptions{Parallel: 1})
	expectError(t, err, unix.ENOSPC, "no space left on device (hint: gc removes what is not needed")
	expectNames(t, s, partialDir)
	images, err := s.Images()
	if err != nil || len(images) != 1 || images[0].Name != "small" {
		t.Errorf("images = %v, %v; want small only", images, err)
	}
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}

	// A record does not fit, either: the old index stays.
	fill, err := os.Create(filepath.Join(root, volumesDir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(fill, io.LimitReader(zeros{}, 1<<20))
	_ = fill.Close()
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling: %v", err)
	}
	expectError(t, s.Tag("another", small.root), unix.ENOSPC, "hint: gc")
	expectNames(t, s, partialDir)
	_, err = s.Layer(t.Context(), small.root.Digest, "copy", func(dir *os.File) error {
		return os.WriteFile(filepath.Join(dir.Name(), "x"), make([]byte, 4096), 0o600)
	})
	expectError(t, err, unix.ENOSPC, "hint: gc")
	expectNames(t, s, layersDir)
	if images, err = s.Images(); err != nil || len(images) != 1 {
		t.Errorf("images = %v, %v; want small only", images, err)
	}
	// And gc works on a full disk.
	if report, err := s.GC(t.Context(), GCOptions{}); err != nil || len(report) == 0 {
		t.Errorf("gc = %v, %v; want it to remove the layers of big", report, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFilesBelongToTheOwnerOfTheStore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	root := t.TempDir()
	if err := os.Chown(root, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, root)
	var p pool
	_, chains := p.addImage(noise(1, 1000))
	pull(t, s, &p, "image")
	if _, err := s.Layer(t.Context(), chains[0], "copy", func(*os.File) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if err := s.PinBundle(Bundle{Path: "/b", Manifest: p.root, Mode: "copy"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Volume("v"); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Dir(path) == filepath.Join(root, layersDir) {
			return filepath.SkipDir // as its image says
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		mode := uint32(0o600)
		if e.IsDir() {
			mode = 0o700
		}
		if filepath.Base(path) == "v" {
			mode = 0o755
		}
		if path != root && (st.Uid != 1234 || st.Gid != 2345 || st.Mode&0o7777 != mode) {
			t.Errorf("%s: %d:%d, mode %o; want 1234:2345, %o", path, st.Uid, st.Gid, st.Mode&0o7777, mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPutIsCancelledWhileItWaits(t *testing.T) {
	root := t.TempDir()
	a, b := openStore(t, root), openStore(t, root)
	raw := noise(1, 1000)
	d := document.Describe("a/b", raw)
	stop := errors.New("stop")
	err := a.Image("").Put(t.Context(), d, func(offset int64) (io.ReadCloser, error) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stop)
		err := b.Image("").Put(ctx, d, broken(raw, 0, errors.New("opened by two")))
		expectError(t, err, stop, "waiting for the lock")
		return io.NopCloser(bytes.NewReader(raw[offset:])), nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Who waits for a file that then loses its name must not go on with it: another
// one may have the name by then.
func TestLockIsOfTheFileThatHasTheName(t *testing.T) {
	s := newStore(t)
	first, err := s.lockPartial(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	var second *os.File
	go func() {
		f, err := s.lockPartial(t.Context(), "x")
		second = f
		done <- err
	}()
	for descriptors(t, first.Name()) < 2 {
		runtime.Gosched() // until the other one has opened it
	}
	s.dropPartial("x", first)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if here, err := isAt(s.dirs[partialDir], "x", second); !here || err != nil {
		t.Errorf("the locked file has the name: %v, %v; want true", here, err)
	}
}

// descriptors counts ours of a file.
func descriptors(t *testing.T, path string) (n int) {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == path {
			n++
		}
	}
	return n
}
