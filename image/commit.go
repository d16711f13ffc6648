// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/image/diff"
	"berth/image/document"
	"berth/image/overlay"
	"berth/image/reference"
	"berth/image/store"
	"berth/internal/inroot"
)

// CommitOptions say what the new image says of itself.
type CommitOptions struct {
	Compression                document.Compression // of the new layer
	CreatedBy, Author, Comment string
	Edits                      diff.Edits
	// Paranoid reads every file of a copy, instead of trusting its ctime.
	Paranoid bool
	// Volumes includes what is in the image's volumes.
	Volumes bool
}

// Epoch is $SOURCE_DATE_EPOCH, the time that everything new gets, so that it can
// be made again; reproducible-builds.org. It is nil without that.
func Epoch() (*time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	t := time.Unix(n, 0).UTC()
	return &t, nil
}

// now is when an image is made.
func now(epoch *time.Time) time.Time {
	if epoch != nil {
		return *epoch
	}
	return time.Now().UTC()
}

// Commit makes an image of a bundle: its own one with what changed as another
// layer. Nothing that changed makes no layer. It returns the name and digest.
func (t *Tool) Commit(ctx context.Context, dir, as string, o CommitOptions) (string, digest.Digest, error) {
	full, err := name(as)
	if err != nil {
		return "", "", err
	}
	b, err := t.bundle(dir)
	if err != nil {
		return "", "", err
	}
	img, err := t.loadDescriptor(b.Image, b.Manifest, nil)
	if err != nil {
		return "", "", err
	}
	if err := t.sameIDs(b); err != nil {
		return "", "", fmt.Errorf("commit %s: %w", dir, err)
	}
	epoch, err := Epoch()
	if err != nil {
		return "", "", err
	}
	step := diff.Step{Edits: o.Edits, Created: now(epoch), CreatedBy: o.CreatedBy, Author: o.Author, Comment: o.Comment}
	do, err := t.treeOptions(ctx, b, img, o)
	if err != nil {
		return "", "", err
	}
	do.Epoch = epoch
	target := t.store.Image(full)
	root, changes, err := t.changes(ctx, b, img, do)
	if root != nil {
		defer root.Close()
	}
	if err != nil {
		return "", "", fmt.Errorf("commit %s: %w", dir, err)
	}
	if len(changes) > 0 {
		d, diffID, err := t.putLayer(ctx, target, o.Compression, func(w io.Writer) error {
			return diff.Write(w, root, changes, do)
		})
		if err != nil {
			return "", "", fmt.Errorf("commit %s: %w", dir, err)
		}
		step.Layer, step.DiffID = &d, diffID
	}
	d, err := t.putImage(ctx, target, img, step)
	return full, d, err
}

// tree is a bundle's root file system: what is left out of a layer is looked up
// in it. It may be mounted in another mount namespace, so that we do not write to
// it; nor does our mount stay where others would take it for the bundle's.
func (t *Tool) tree(ctx context.Context, b store.Bundle) (*inroot.Root, error) {
	rootfs := filepath.Join(b.Path, rootfsName)
	there, err := isMountPoint(rootfs)
	if err != nil {
		return nil, err
	}
	if there || b.Mode != ModeOverlay {
		return inroot.Open(rootfs)
	}
	lowers, err := t.lowers(ctx, b)
	if err != nil {
		return nil, err
	}
	all := append([]string{filepath.Join(b.Path, upperName)}, lowers...)
	if err := overlay.Mount(overlay.Options{Lowers: all, UserXattr: !t.ids.Initial()}, rootfs); err != nil {
		return nil, err
	}
	root, err := inroot.Open(rootfs)
	if unmountErr := overlay.Unmount(rootfs); unmountErr != nil { // from its name; root has it
		t.o.Warn(unmountErr.Error())
	}
	return root, err
}

// putLayer compresses a layer into the store.
func (t *Tool) putLayer(ctx context.Context, img *store.Image, c document.Compression, write func(io.Writer) error) (ocispec.Descriptor, digest.Digest, error) {
	f, err := t.spool()
	if err != nil {
		return ocispec.Descriptor{}, "", err
	}
	defer f.Close() // it has no name, and was copied
	d, diffID, err := diff.Layer(f, c, write)
	if err != nil {
		return d, diffID, err
	}
	return d, diffID, t.putFile(ctx, img, d, f)
}

// putImage stores the documents of an image that was made of another one, and
// names it.
func (t *Tool) putImage(ctx context.Context, target *store.Image, base *loaded, step diff.Step) (digest.Digest, error) {
	made, err := diff.Commit(diff.Image{Manifest: base.manifest.Raw, Config: base.config.Raw}, step)
	if err != nil {
		return "", err
	}
	doc, err := document.Parse(made.Manifest, document.Describe(base.manifest.Descriptor.MediaType, made.Manifest))
	if err != nil {
		return "", err
	}
	if _, err := document.ParseConfig(made.Config); err != nil {
		return "", err
	}
	if _, err := t.put(ctx, target, doc.Manifest.Config.MediaType, made.Config); err != nil {
		return "", err
	}
	d, err := t.put(ctx, target, doc.Descriptor.MediaType, made.Manifest)
	if err != nil {
		return "", err
	}
	return d.Digest, target.Finish(ctx, d)
}

// changes are what happened in the bundle, and the tree that has it.
func (t *Tool) changes(ctx context.Context, b store.Bundle, img *loaded, o diff.Options) (*os.File, []diff.Change, error) {
	if b.Mode == ModeCopy {
		return t.copyChanges(b, o)
	}
	root, err := os.Open(filepath.Join(b.Path, upperName))
	if err != nil {
		return nil, nil, err
	}
	paths, err := t.layers(ctx, img)
	if err != nil {
		return root, nil, err
	}
	var lowers []*os.File
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return root, nil, err
		}
		defer f.Close() // read only
		lowers = append(lowers, f)
	}
	changes, err := diff.Upper(root, lowers, o)
	return root, changes, err
}

func (t *Tool) copyChanges(b store.Bundle, o diff.Options) (*os.File, []diff.Change, error) {
	root, err := os.Open(filepath.Join(b.Path, rootfsName))
	if err != nil {
		return nil, nil, err
	}
	before, err := os.Open(filepath.Join(b.Path, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return root, nil, errors.New("it was unpacked with --no-manifest, so nobody knows what changed")
	}
	if err != nil {
		return root, nil, err
	}
	defer before.Close()
	changes, err := diff.Tree(root, diff.ReadManifest(before), o)
	return root, changes, err
}

// treeOptions leave out what is mounted in the container, and the image's
// volumes.
func (t *Tool) treeOptions(ctx context.Context, b store.Bundle, img *loaded, o CommitOptions) (diff.Options, error) {
	do := diff.Options{Warn: t.o.Warn, Paranoid: o.Paranoid, UserXattr: !t.ids.Initial()}
	data, err := os.ReadFile(filepath.Join(b.Path, "config.json"))
	if err != nil {
		return do, err
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return do, fmt.Errorf("%s/config.json: %w", b.Path, err)
	}
	switch mapped := spec.Linux != nil && len(spec.Linux.UIDMappings) > 0; {
	case !t.ids.Initial(): // ids are the container's already, or noted by who had one only
		do.Rootless = b.IDs == ""
	case mapped:
		do.UIDs, do.GIDs = spec.Linux.UIDMappings, spec.Linux.GIDMappings
		do.Rootless = unix.Geteuid() != 0
	}
	root, err := t.tree(ctx, b)
	if err != nil {
		return do, err
	}
	defer root.Close()
	var left []string
	volumes := make(map[string]bool)
	for v := range img.config.Config.Volumes {
		volumes[path.Join("/", v)] = true
		left = append(left, v)
	}
	if o.Volumes {
		left = nil
	}
	for _, m := range spec.Mounts {
		if !volumes[m.Destination] { // those were decided on
			left = append(left, m.Destination)
		}
	}
	for _, p := range left {
		if resolved, there, err := root.Resolve(p); err == nil && there {
			do.Exclude = append(do.Exclude, strings.TrimPrefix(resolved, "/"))
		}
	}
	return do, nil
}

// Edit changes the config of an image, which gets another name or keeps its own.
func (t *Tool) Edit(ctx context.Context, from, as string, platform *ocispec.Platform, edits diff.Edits, noHistory bool) (string, digest.Digest, error) {
	_, d, err := t.find(ctx, from)
	if err != nil {
		return "", "", err
	}
	if as == "" {
		// A name that another image has must not be lost by the way.
		ref, bad := reference.Parse(from)
		switch {
		case bad != nil || ref.Digest != "" || strings.HasPrefix(from, "sha256:"):
			return "", "", fmt.Errorf("config %s: a digest is no name (hint: config %[1]s NAME)", from)
		case document.IsIndex(d.MediaType):
			return "", "", fmt.Errorf("config %s: it is an index of several platforms (hint: config %[1]s NAME, for one of them)", from)
		}
	}
	full, err := asName(as, from)
	if err != nil {
		return "", "", err
	}
	img, err := t.loadDescriptor(from, d, platform)
	if err != nil {
		return "", "", err
	}
	epoch, err := Epoch()
	if err != nil {
		return "", "", err
	}
	made, err := t.putImage(ctx, t.store.Image(full), img, diff.Step{
		Edits: edits, Created: now(epoch), CreatedBy: "berth-image config", NoHistory: noHistory,
	})
	return full, made, err
}
