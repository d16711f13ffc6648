// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/image/bundle"
	"berth/image/overlay"
	"berth/image/store"
)

// RunOptions say how a container of an image is run.
type RunOptions struct {
	Unpack UnpackOptions
	// ID is the container's; "" makes one.
	ID string
	// Pull is "missing", "always" or "never"; "" is missing.
	Pull string
	// Runtime is the OCI runtime and RuntimeArgs its global flags.
	Runtime     string
	RuntimeArgs []string
	// Connect gives the container a network, and takes it away; nil leaves it as
	// Unpack.Config.Net says. path is what to join.
	Connect func(ctx context.Context, id string) (path string, disconnect func(), err error)
	Stdio   [3]*os.File
}

// runDir holds the bundles of Run, in the store's directory: an overlay needs
// its upper directory on a real file system.
const runDir = "run"

// Run makes a bundle of an image, runs it in the foreground, removes it, and
// returns the exit status of the container. It closes the tool.
func (t *Tool) Run(ctx context.Context, name string, o RunOptions) (int, error) {
	if err := t.present(ctx, name, o); err != nil {
		return 1, err
	}
	if o.ID == "" {
		o.ID = "r" + strings.ToLower(rand.Text()[:12])
	}
	runs := filepath.Join(t.store.Path(), runDir)
	if err := os.MkdirAll(runs, 0o700); err != nil {
		return 1, err
	}
	dir := filepath.Join(runs, o.ID)
	if err := t.Volumes(&o.Unpack); err != nil {
		return 1, err
	}
	if o.Connect != nil {
		path, disconnect, err := o.Connect(ctx, o.ID)
		if err != nil {
			return 1, err
		}
		defer disconnect()
		o.Unpack.Config.Net = path
	}
	o.Unpack.Volatile, o.Unpack.NoManifest = true, true
	if err := t.Unpack(ctx, name, dir, o.Unpack); err != nil {
		return 1, err
	}
	alive, err := os.Open(dir)
	if err != nil {
		return 1, err
	}
	defer alive.Close()
	// As long as we have this, GC leaves the bundle alone.
	if err := unix.Flock(int(alive.Fd()), unix.LOCK_SH); err != nil {
		return 1, fmt.Errorf("flock %s: %w", dir, err)
	}
	if err := t.Close(); err != nil { // others may collect garbage meanwhile
		return 1, err
	}
	status, err := o.execute(dir)
	again, openErr := Open(t.o)
	if openErr != nil {
		return status, errors.Join(err, openErr)
	}
	return status, errors.Join(err, again.removeRun(dir), again.Close())
}

// present pulls the image if it has to be.
func (t *Tool) present(ctx context.Context, name string, o RunOptions) error {
	switch o.Pull {
	case "", "missing", "never":
		_, _, err := t.find(ctx, name)
		if err == nil || o.Pull == "never" || !errors.Is(err, store.ErrNotExist) {
			return err
		}
	case "always":
	default:
		return fmt.Errorf("pull %q: there are missing, always and never", o.Pull)
	}
	_, _, err := t.Pull(ctx, name, PullOptions{Platform: o.Unpack.Platform})
	return err
}

// Volumes turns mounts of named volumes into binds of their directories.
func (t *Tool) Volumes(o *UnpackOptions) error {
	for i := range o.Config.Mounts {
		m := &o.Config.Mounts[i]
		if m.Type != bundle.TypeVolume {
			continue
		}
		if m.Source == "" {
			return fmt.Errorf("mount %s: a volume needs a name here (hint: -v NAME:%[1]s, or --tmpfs %[1]s)", m.Destination)
		}
		path, err := t.store.Volume(m.Source)
		if err != nil {
			return err
		}
		o.Volumes = append(o.Volumes, m.Source)
		m.Type, m.Source = bundle.TypeBind, path
	}
	return nil
}

// execute runs the runtime in the foreground.
func (o RunOptions) execute(dir string) (int, error) {
	args := append(append([]string{}, o.RuntimeArgs...), "run", "--bundle", dir, o.ID)
	cmd := exec.Command(o.Runtime, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Stdio[0], o.Stdio[1], o.Stdio[2]
	signals := make(chan os.Signal, 16)
	// A terminal sends its signals to the runtime as well as to us.
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("runtime: %w", err)
	}
	go func() {
		for s := range signals {
			if s == unix.SIGTERM || s == unix.SIGHUP {
				_ = cmd.Process.Signal(s) // it has ended by now, perhaps
			}
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws := exit.ExitCode(); ws >= 0 {
			return ws, nil
		}
		return 1, fmt.Errorf("runtime: %w", err)
	}
	return 0, err
}

// removeRun removes a bundle that nobody runs.
func (t *Tool) removeRun(dir string) error {
	err := overlay.Unmount(filepath.Join(dir, rootfsName))
	if err == nil {
		err = removeTree(dir)
	}
	if err == nil {
		err = t.store.UnpinBundle(dir)
	}
	return err
}

// sweepRuns removes what killed Runs have left.
func (t *Tool) sweepRuns() {
	dirs, err := filepath.Glob(escapeGlob(filepath.Join(t.store.Path(), runDir)) + "/*")
	if err != nil {
		return
	}
	for _, dir := range dirs {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			if err := t.removeRun(dir); err != nil {
				t.o.Warn(err.Error())
			}
		}
		_ = f.Close() // read only
	}
}

// GC removes what nothing uses.
func (t *Tool) GC(ctx context.Context, o store.GCOptions) (store.Report, error) {
	if !o.DryRun {
		t.sweepRuns()
	}
	return t.store.GC(ctx, o)
}
