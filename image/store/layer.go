// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/document"
)

// making is how the names of layers begin that are not complete.
const making = ".new-"

var form = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// layerName is a layer's directory. There is no colon in it, which separates
// directories in overlayfs's options, nor a comma.
func layerName(chainID digest.Digest, form string) string {
	return chainName(chainID) + form
}

// chainName is how the directories of a chain ID begin, in whatever form.
func chainName(chainID digest.Digest) string {
	return chainID.Algorithm().String() + "-" + chainID.Encoded() + "-"
}

func checkLayer(chainID digest.Digest, as string) error {
	if err := document.CheckDescriptor(ocispec.Descriptor{Digest: chainID}); err != nil {
		return fmt.Errorf("chain ID: %w", err)
	}
	if len(as) > 64 || !form.MatchString(as) {
		return fmt.Errorf("form of a layer %.100q: want words of a-z and 0-9 with - between them", as)
	}
	return nil
}

// Layer returns the directory of the unpacked layer with a chain ID, in a form:
// a word for how it was unpacked, such as "overlay". If it is not there, fill
// gets a private directory, mode 0700, which then becomes the layer; dir stays
// Layer's. While one process does that, others wait, and if it fails they try
// themselves. Nobody sees a layer before fill has returned, and nobody may
// change one after that. fill calls syncfs(2) if the layer has to survive a
// power cut.
func (s *Store) Layer(ctx context.Context, chainID digest.Digest, form string, fill func(dir *os.File) error) (path string, err error) {
	if err := checkLayer(chainID, form); err != nil {
		return "", err
	}
	if err := s.use(ctx); err != nil {
		return "", err
	}
	name := layerName(chainID, form)
	path = s.path + "/" + layersDir + "/" + name
	there, err := s.hasLayer(name)
	if err == nil && !there {
		err = s.makeLayer(ctx, name, fill)
	}
	if err != nil {
		return "", fmt.Errorf("cannot make layer %q: %w", path, hint(err))
	}
	return path, nil
}

func (s *Store) makeLayer(ctx context.Context, name string, fill func(dir *os.File) error) error {
	lock, err := s.lockPartial(ctx, name)
	if err != nil {
		return err
	}
	defer s.dropPartial(name, lock)
	if there, err := s.hasLayer(name); there || err != nil {
		return err
	}
	layers := s.dirs[layersDir]
	if err := discard(layers, making+name); err != nil { // a killed maker's
		return err
	}
	if err := unix.Mkdirat(int(layers.Fd()), making+name, private); err != nil {
		return err
	}
	dir, err := openBeneath(layers, making+name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close() // what is in it was written by fill
	if err = fill(dir); err == nil {
		err = unix.Renameat2(int(layers.Fd()), making+name, int(layers.Fd()), name, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		_ = discard(layers, making+name) // the first error is the one to tell; GC tries again
	}
	return err
}

func (s *Store) hasLayer(name string) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(s.dirs[layersDir].Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return false, fmt.Errorf("not a directory: %w", ErrDamaged)
	}
	return err == nil, err
}
