// SPDX-License-Identifier: Apache-2.0

// Package store keeps images, their unpacked layers, named volumes, and the
// records of the bundles that use them, each content once for all images of a
// user. There is no daemon: any number of processes use a store at a time, and
// each may be killed at any point. On disk it is an OCI image layout, which
// other tools can read, with directories of its own beside that:
//
//	oci-layout, index.json, blobs/sha256/HEX   image-spec image-layout.md
//	partial/    blobs that are being written, and what killed writers left
//	layers/     ALGORITHM-HEX-FORM: unpacked layers by chain ID
//	bundles/    a record for each bundle, which keeps what the bundle needs
//	volumes/    named volumes
//	lock        shared by those who use the store, exclusive for GC
//
// What has its name is complete: it was made under another one, in partial/ or
// as layers/.new-*, and renamed. There are these flock(2) locks, which the kernel
// gives back when their owner dies; they are taken in this order:
//
//	lock               a Store has it shared from its first use until Close
//	partial/X          the writer of a blob, or the maker of a layer
//	the root directory who changes index.json or a record, for that moment
//
// Use it so:
//
//	s, err := store.Open(root)
//	defer s.Close()
//	desc, err := transport.Copy(ctx, registry, s.Image("docker.io/library/busybox:latest"), transport.CopyOptions{})
//	path, err := s.Layer(ctx, chainID, "overlay", func(dir *os.File) error { … })
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/userns"
	"berth/internal/inroot"
)

// The kinds of errors that callers decide on. ErrNotExist is fs.ErrNotExist,
// too.
var (
	ErrNotExist  error = notExist{}
	ErrAmbiguous       = errors.New("more than one image begins like this")
	ErrDamaged         = errors.New("damaged in the store (hint: verify it, remove it and pull it again)")
	ErrBusy            = errors.New("another process is using the store (hint: try again when it is done)")
	ErrInUse           = errors.New("in use by a bundle")
)

type notExist struct{}

func (notExist) Error() string        { return "not in the store" }
func (notExist) Is(target error) bool { return target == fs.ErrNotExist }

// The directories of a store.
const (
	partialDir = "partial"
	layersDir  = "layers"
	bundlesDir = "bundles"
	volumesDir = "volumes"
)

// Store is an open store. Its methods may be called from several goroutines.
type Store struct {
	path string
	root *os.File
	dirs map[string]*os.File // partial, layers, bundles, volumes
	// owner is whom new files are given to, when root works on a user's store.
	owner *unix.Stat_t

	mu    sync.Mutex // around lease
	lease *os.File   // lock, held shared; nil before the first use
}

// DefaultRoot is where the store of this user is: /var/lib/berth-image for root,
// or berth-image in $XDG_DATA_HOME, which is ~/.local/share if not set; XDG Base
// Directory Specification. Call it before entering a user namespace, where
// everybody is root.
func DefaultRoot() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/berth-image", nil
	}
	// "All paths must be absolute", or are to be ignored.
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "berth-image"), nil
	}
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local/share/berth-image"), nil
	}
	return "", errors.New("cannot tell where the store is: HOME is not set (hint: --root)")
}

// Open opens the store at root, and makes it there if the directory is empty or
// absent. An image layout that another tool made becomes a store. Close it.
func Open(root string) (*Store, error) {
	s, err := open(root)
	if err != nil {
		return nil, fmt.Errorf("cannot open store %q: %w", root, hint(err))
	}
	return s, nil
}

func open(root string) (*Store, error) {
	path, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	dir, err := openRoot(path)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path, root: dir, dirs: map[string]*os.File{}}
	if err := s.prepare(); err != nil {
		_ = s.Close() // nothing was written that this would lose
		return nil, err
	}
	return s, nil
}

// openRoot opens a directory of the host, or makes it, for its owner alone.
func openRoot(path string) (*os.File, error) {
	top, err := inroot.Open("/")
	if err != nil {
		return nil, err
	}
	defer top.Close()
	handle, err := top.MkdirAll(path, 0o700)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	return openBeneath(handle, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// prepare makes what is missing. The marker comes last but one, so that the next
// Open goes on where this one was killed.
func (s *Store) prepare() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(s.root.Fd()), &st); err != nil {
		return err
	}
	ids, err := userns.Current()
	if err != nil {
		return err
	}
	if int(st.Uid) != os.Geteuid() && os.Geteuid() == 0 && ids.Initial() {
		s.owner = &st
	}
	if err := s.checkMarker(); err != nil {
		return err
	}
	for _, name := range []string{partialDir, layersDir, bundlesDir, volumesDir, "blobs"} {
		dir, err := s.mkdir(s.root, name, private)
		if err != nil {
			return err
		}
		s.dirs[name] = dir
	}
	return s.locked(context.Background(), s.complete)
}

// layoutHeader is the file oci-layout; image-spec image-layout.md.
var layoutHeader = []byte(`{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`)

// checkMarker refuses a directory that holds something else.
func (s *Store) checkMarker() error {
	raw, err := readBeneath(s.root, ocispec.ImageLayoutFile, 4<<10)
	if err == nil {
		var l ocispec.ImageLayout
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("%s: %w", ocispec.ImageLayoutFile, err)
		}
		if l.Version != ocispec.ImageLayoutVersion {
			return fmt.Errorf("%s: version %.20q is not supported", ocispec.ImageLayoutFile, l.Version)
		}
		return nil
	}
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	names, err := list(s.root, ".")
	if err != nil {
		return err
	}
	ours := []string{partialDir, layersDir, bundlesDir, volumesDir, "blobs", "lock", ocispec.ImageIndexFile, ocispec.ImageLayoutFile, "lost+found"}
	for _, name := range names {
		if !slices.Contains(ours, name) {
			return fmt.Errorf("not a store: it has %.100q and no %s", name, ocispec.ImageLayoutFile)
		}
	}
	return nil
}

// complete makes the files that a layout must have. The root is locked.
func (s *Store) complete() error {
	for name, data := range map[string][]byte{
		ocispec.ImageLayoutFile: layoutHeader,
		ocispec.ImageIndexFile:  []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[]}`),
	} {
		var st unix.Stat_t
		err := unix.Fstatat(int(s.root.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if errors.Is(err, unix.ENOENT) {
			err = s.replace(s.root, name, data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Close gives back the descriptors and the lease: from then on, GC may remove
// what this Store put and did not name. Close it before waiting for something
// long, such as a container.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, dir := range s.dirs {
		_ = dir.Close() // only looked at
	}
	if s.lease != nil {
		_ = s.lease.Close() // an empty file
		s.lease = nil
	}
	return s.root.Close()
}

// Path is the store's directory.
func (s *Store) Path() string { return s.path }

// use takes the lease, if this Store does not have it: GC waits until Close.
// That is as simple as it can be, and nothing is ever stale; the price is that
// GC and a long pull cannot run at once.
func (s *Store) use(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease != nil {
		return nil
	}
	f, err := s.openLock()
	if err != nil {
		return err
	}
	if err := flock(ctx, f, unix.LOCK_SH); err != nil {
		_ = f.Close() // an empty file
		return fmt.Errorf("cannot use store %q: %w", s.path, err)
	}
	s.lease = f
	return nil
}

func (s *Store) openLock() (*os.File, error) {
	f, err := openBeneath(s.root, "lock", unix.O_RDWR|unix.O_CREAT|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open %q: %w", s.path+"/lock", err)
	}
	return f, s.own(f)
}

// locked calls change while nobody else changes index.json or a record.
func (s *Store) locked(ctx context.Context, change func() error) error {
	f, err := openBeneath(s.root, ".", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close() // and with it the lock
	if err := flock(ctx, f, unix.LOCK_EX); err != nil {
		return err
	}
	return change()
}

// hint adds what can be done about an error, where there is something.
func hint(err error) error {
	switch {
	case err == nil || strings.Contains(err.Error(), "(hint:"):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w (hint: gc removes what is not needed; or use another --root)", err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w (hint: --root names a store that you may write to)", err)
	}
	return err
}
