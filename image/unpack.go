// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/bundle"
	"berth/image/diff"
	"berth/image/document"
	"berth/image/layer"
	"berth/image/overlay"
	"berth/image/progress"
	"berth/image/store"
	"berth/internal/atomicfile"
	"berth/internal/inroot"
)

// The ways to make a root file system.
const (
	ModeAuto    = ""        // overlay where it works, else copy
	ModeOverlay = "overlay" // shared layers under a directory for what is written
	ModeCopy    = "copy"    // files of its own
)

// What a bundle has beside config.json.
const (
	rootfsName   = "rootfs"
	upperName    = "upper"
	workName     = "work"
	emptyName    = "empty"           // the only lower directory of an image without layers
	manifestName = "rootfs.manifest" // of a copy as it was unpacked, for Commit
)

// form is how shared layers are unpacked, in the store's words: in a user
// namespace their owners are of that one, and overlayfs's marks where it reads
// them there.
func (t *Tool) form() string {
	if t.ids.Initial() {
		return "overlay"
	}
	return "user-" + t.ids.Name()
}

// UnpackOptions say what a bundle is made of.
type UnpackOptions struct {
	Mode     string
	Platform *ocispec.Platform
	// Config is for config.json; its Rootfs is set here.
	Config bundle.Options
	// Volatile leaves out syncs: for a bundle that is soon thrown away.
	Volatile bool
	// NoManifest leaves out what Commit of a copy compares with.
	NoManifest bool
	// Paranoid notes the sums of all files of a copy, for a paranoid Commit.
	Paranoid bool
	// Volumes are named ones that the config's mounts need.
	Volumes []string
	own     bool              // only this process uses the bundle
	files   map[string][]byte // of ours, in the bundle
}

// Unpack makes a bundle at dir, which must not exist or be empty.
func (t *Tool) Unpack(ctx context.Context, name, dir string, o UnpackOptions) error {
	w, err := t.unpack(ctx, name, dir, o)
	if err != nil {
		return err
	}
	w.close()
	return nil
}

// unpack is Unpack; the bundle stays locked until its workplace is closed.
func (t *Tool) unpack(ctx context.Context, name, dir string, o UnpackOptions) (*workplace, error) {
	img, err := t.load(ctx, name, o.Platform)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	w, err := newWorkplace(dir)
	if err != nil {
		return nil, err
	}
	mode := o.Mode
	switch {
	case mode == ModeAuto && t.mayOverlay(o) != nil:
		mode = ModeCopy
	case mode == ModeAuto:
		mode = ModeOverlay
	}
	err = t.fill(ctx, w, name, mode, img, o)
	if err != nil && mode == ModeOverlay && o.Mode == ModeAuto && errors.Is(err, overlay.ErrUnusable) {
		t.o.Warn("overlay does not work here, so the bundle gets files of its own (--mode overlay says why)")
		w.close()
		err = t.fill(ctx, w, name, ModeCopy, img, o)
	}
	if err == nil {
		err = w.publish()
	}
	if err != nil {
		w.close()
		err = fmt.Errorf("unpack %s to %s: %w", name, dir, err)
		if vacant(dir) == nil { // else another process was faster, and the record is its
			err = errors.Join(err, t.store.UnpinBundle(dir))
		}
		return nil, err
	}
	return w, nil
}

// mayOverlay says why an overlay is not for this user, or not here.
func (t *Tool) mayOverlay(o UnpackOptions) error {
	switch {
	case t.o.Transient && !o.own:
		return errors.New("its mount would end with this command (hint: in berth-image unshare, or --mode copy)")
	case t.ids.Initial() && (len(o.Config.UIDMaps) > 0 || o.Config.Rootless):
		return errors.New("an overlay's files need owners of their own (hint: berth-image unshare, with ids from /etc/subuid; or --mode copy)")
	}
	return nil
}

// fill makes everything of a bundle in its workplace.
func (t *Tool) fill(ctx context.Context, w *workplace, name, mode string, img *loaded, o UnpackOptions) error {
	b := store.Bundle{Path: w.final, Image: name, Manifest: img.manifest.Descriptor, Mode: mode, Volumes: o.Volumes, IDs: t.ids.Name(), Created: time.Now().UTC()}
	if mode == ModeOverlay {
		b.Form, b.ChainIDs = t.form(), document.ChainIDs(img.config.RootFS.DiffIDs)
	}
	err := t.store.PinBundle(b) // before there is anything of it
	if err == nil {
		err = w.make()
	}
	if err != nil {
		return err
	}
	switch mode {
	case ModeOverlay:
		err = t.fillOverlay(ctx, w, img, o)
	case ModeCopy:
		err = t.fillCopy(ctx, w, img, o)
	default:
		err = fmt.Errorf("mode %q: there are overlay and copy", mode)
	}
	for name, data := range o.files {
		err = errors.Join(err, atomicfile.Write(w.path(name), data, 0o600))
	}
	if err != nil {
		return err
	}
	return t.writeConfig(w.path(rootfsName), w.path("config.json"), img.config, o.Config)
}

func (t *Tool) writeConfig(rootfs, path string, config *document.Config, o bundle.Options) error {
	root, err := inroot.Open(rootfs)
	if err != nil {
		return err
	}
	defer root.Close()
	o.Rootfs = rootfsName
	spec, warnings, err := bundle.Spec(config, root, o)
	for _, w := range warnings {
		t.o.Warn(w)
	}
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o644)
}

// fillCopy applies all layers to one directory.
func (t *Tool) fillCopy(ctx context.Context, w *workplace, img *loaded, o UnpackOptions) error {
	dir, err := w.mkdir(rootfsName, 0o755)
	if err != nil {
		return err
	}
	defer dir.Close()
	lo := t.layerOptions(layer.Plain, o)
	for i, d := range img.manifest.Manifest.Layers {
		if err := t.apply(ctx, dir, d, img.config.RootFS.DiffIDs[i], lo); err != nil {
			return err
		}
	}
	if o.NoManifest {
		return nil
	}
	top, err := os.Open(w.temp)
	if err != nil {
		return err
	}
	defer top.Close()
	do := t.diffOptions(o.Config)
	do.Paranoid = o.Paranoid
	return diff.SaveManifest(top, manifestName, diff.Walk(dir, do))
}

func (t *Tool) layerOptions(form layer.Form, o UnpackOptions) layer.Options {
	lo := layer.Options{Form: form, Limits: t.o.Limits, Warn: t.o.Warn}
	switch {
	case !t.ids.Initial():
		lo.UIDs, lo.GIDs = ownIDs(t.ids.UIDs), ownIDs(t.ids.GIDs)
	case o.Config.Rootless:
		lo.Rootless = true
	default:
		lo.UIDs, lo.GIDs = layerMaps(o.Config.UIDMaps), layerMaps(o.Config.GIDMaps)
	}
	return lo
}

// apply unpacks one blob of the store.
func (t *Tool) apply(ctx context.Context, dir *os.File, d ocispec.Descriptor, diffID digest.Digest, o layer.Options) error {
	step := progress.Step{ID: d.Digest.String(), What: "unpack", State: progress.Active, Total: d.Size}
	t.o.Progress(step)
	blob, err := t.store.Blob(d)
	if err == nil {
		defer blob.Close()
		_, err = layer.Confined(ctx, dir, blob, d, diffID, o)
		if errors.Is(err, layer.ErrDigest) || errors.Is(err, layer.ErrArchive) {
			err = fmt.Errorf("%w (hint: if berth-image verify finds it damaged, verify --repair and pull it again)", err)
		}
	}
	step.State, step.Done = progress.Finished, d.Size
	if err != nil {
		step.State = progress.Failed
	}
	t.o.Progress(step)
	return err
}

// fillOverlay mounts shared layers, which it unpacks if they are not there.
func (t *Tool) fillOverlay(ctx context.Context, w *workplace, img *loaded, o UnpackOptions) error {
	if err := t.mayOverlay(o); err != nil {
		return err
	}
	for _, dir := range []string{t.store.Path(), w.temp} {
		if err := overlay.Check(dir); err != nil {
			return err
		}
	}
	upper, err := w.mkdirs(rootfsName, workName, upperName)
	if err != nil {
		return err
	}
	defer upper.Close()
	rootfs := w.path(rootfsName)
	oo := overlay.Options{Lowers: []string{rootfs}, Upper: w.path(upperName), Work: w.path(workName), UserXattr: !t.ids.Initial()}
	if oo.UserXattr { // before layers are unpacked that nothing can mount: Linux 5.11
		if err := errors.Join(overlay.Mount(oo, rootfs), overlay.Unmount(rootfs)); err != nil {
			return err
		}
	}
	oo.Volatile = o.Volatile
	if oo.Lowers, err = t.layers(ctx, img); err != nil {
		return err
	}
	if len(oo.Lowers) == 0 { // an image of no layers
		empty, err := w.mkdirs(emptyName)
		if err != nil {
			return err
		}
		_ = empty.Close() // only made
		oo.Lowers = []string{w.path(emptyName)}
	}
	// The root directory is as the image has it.
	if err := copyAttributes(oo.Lowers[0], upper); err != nil {
		return err
	}
	return overlay.Mount(oo, rootfs)
}

// layers are the directories of an image's unpacked layers, topmost first.
func (t *Tool) layers(ctx context.Context, img *loaded) ([]string, error) {
	var paths []string // topmost first
	for i, chain := range document.ChainIDs(img.config.RootFS.DiffIDs) {
		d, diffID := img.manifest.Manifest.Layers[i], img.config.RootFS.DiffIDs[i]
		path, err := t.store.Layer(ctx, chain, t.form(), func(dir *os.File) error {
			lo := t.layerOptions(layer.Overlay, UnpackOptions{})
			if !t.ids.Initial() {
				lo.Form = layer.UserOverlay
			}
			for _, p := range paths {
				f, err := os.OpenFile(p, unix.O_PATH|unix.O_DIRECTORY, 0)
				if err != nil {
					return err
				}
				defer f.Close() // after Layer's fill
				lo.Lowers = append(lo.Lowers, f)
			}
			return t.apply(ctx, dir, d, diffID, lo)
		})
		if err != nil {
			return nil, err
		}
		paths = append([]string{path}, paths...)
	}
	return paths, nil
}

// Mount mounts the root file system of an overlay bundle again, after the
// machine was started or Unmount.
func (t *Tool) Mount(ctx context.Context, dir string) error {
	b, err := t.bundle(dir)
	if err != nil {
		return err
	}
	if b.Mode != ModeOverlay {
		return fmt.Errorf("%s has files of its own (mode %s): there is nothing to mount", dir, b.Mode)
	}
	if err := errors.Join(t.mayOverlay(UnpackOptions{}), t.sameIDs(b)); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	rootfs := filepath.Join(b.Path, rootfsName)
	if mounted, err := isMountPoint(rootfs); err != nil || mounted {
		return err
	}
	lowers, err := t.lowers(ctx, b)
	if err != nil {
		return err
	}
	return overlay.Mount(overlay.Options{
		Lowers: lowers, Upper: filepath.Join(b.Path, upperName), Work: filepath.Join(b.Path, workName), UserXattr: !t.ids.Initial(),
	}, rootfs)
}

// lowers are the lower directories of a bundle.
func (t *Tool) lowers(ctx context.Context, b store.Bundle) ([]string, error) {
	img, err := t.loadDescriptor(b.Image, b.Manifest, nil)
	if err != nil {
		return nil, err
	}
	lowers, err := t.layers(ctx, img)
	if len(lowers) == 0 {
		lowers = []string{filepath.Join(b.Path, emptyName)}
	}
	return lowers, err
}

// sameIDs refuses a bundle whose files have other owners for us than for whom
// made it.
func (t *Tool) sameIDs(b store.Bundle) error {
	if b.IDs == t.ids.Name() || b.IDs == "" && b.Mode == ModeCopy {
		return nil
	}
	return errors.New("it was made with other ids than ours: by another user, with or without /etc/subuid, or before that was changed")
}

// Unmount takes the root file system of a bundle away; what was written stays.
// With remove the whole bundle goes.
func (t *Tool) Unmount(dir string, remove bool) error {
	b, err := t.bundle(dir)
	if err != nil {
		return err
	}
	if !remove {
		return overlay.Unmount(filepath.Join(b.Path, rootfsName))
	}
	lock, err := lockDirectory(b.Path)
	switch {
	case err == nil:
		defer lock.Close() // read only
		err = removeBundle(b.Path)
	case errors.Is(err, os.ErrNotExist):
		err = nil // removed by hand
	case errors.Is(err, unix.EWOULDBLOCK):
		err = fmt.Errorf("%s: %w: another process works on it", dir, store.ErrInUse)
	}
	if err != nil {
		return err
	}
	return t.store.UnpinBundle(b.Path)
}

// bundle is the store's record of a bundle.
func (t *Tool) bundle(dir string) (store.Bundle, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return store.Bundle{}, err
	}
	b, err := t.store.Bundle(path)
	if errors.Is(err, store.ErrNotExist) {
		return b, fmt.Errorf("%s is no bundle of this store (hint: --root; berth-image unpack makes one)", path)
	}
	return b, err
}
