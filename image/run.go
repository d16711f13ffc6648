// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/image/bundle"
	"berth/image/network"
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
	// Network is for a network by CNI plugins, with Unpack.Config.Net as its name;
	// see chooseNetwork for what else that may be.
	Network network.Options
	Stdio   [3]*os.File
}

// runDir holds the bundles of Run, in the store's directory: an overlay needs
// its upper directory on a real file system.
const runDir = "run"

// runRecord is a file in the bundle of a Run: what ends the container after Run
// was killed.
const runRecord = "run.json"

// supervision is what is in that file.
type supervision struct {
	ID          string   `json:"id"`
	Runtime     string   `json:"runtime"`
	RuntimeArgs []string `json:"runtimeArgs,omitempty"`
	// RuntimeDir is $XDG_RUNTIME_DIR of the Run: below that, a user's runtime finds
	// the container. Who ends it may have another one, as in a cron job.
	RuntimeDir string `json:"runtimeDir,omitempty"`
}

// Run makes a bundle of an image, runs it in the foreground, removes it, and
// returns the exit status of the container. It closes the tool. If it is killed,
// the container gets SIGTERM, and GC or the next Run with the ID ends and removes
// it.
func (t *Tool) Run(ctx context.Context, name string, o RunOptions) (status int, err error) {
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
	o.RuntimeArgs = append(t.stateRoot(runs), o.RuntimeArgs...)
	dir := filepath.Join(runs, o.ID)
	if filepath.Dir(dir) != runs || strings.HasPrefix(o.ID, ".") {
		return 1, fmt.Errorf("name %q: want no slash in it and no dot before it", o.ID)
	}
	if err := clearRun(dir); err != nil {
		return 1, err
	}
	if err := t.Volumes(&o.Unpack); err != nil {
		return 1, err
	}
	disconnect, err := t.connect(ctx, &o)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, disconnect()) }()
	record, err := json.Marshal(o.supervision())
	if err != nil {
		return 1, err
	}
	o.Unpack.own, o.Unpack.Volatile, o.Unpack.NoManifest = true, true, true
	o.Unpack.files = map[string][]byte{runRecord: record}
	w, err := t.unpack(ctx, name, dir, o.Unpack)
	if err != nil {
		return 1, err
	}
	defer w.close()                   // as long as the bundle is locked, GC leaves it alone
	if err := t.Close(); err != nil { // others may collect garbage meanwhile
		return 1, err
	}
	program := lookProgram(dir)
	status, err = o.execute(ctx, dir)
	if status == 1 && program != 0 {
		status = program // the runtime has said so in words
	}
	if err != nil {
		err = errors.Join(err, o.supervision().end())
	}
	again, openErr := Open(t.o)
	if openErr != nil {
		return status, errors.Join(err, openErr)
	}
	removed := removeBundle(dir)
	if removed == nil {
		removed = again.store.UnpinBundle(dir)
	}
	return status, errors.Join(err, removed, again.Close())
}

// stateRoot is where the runtime keeps the state of a user's containers when
// nothing says where their files for a session are: in a user namespace, to whom
// $USER is root, as su(1) may leave it, runtimes take them for the system's. Other
// words of the user for the runtime come after it.
func (t *Tool) stateRoot(runs string) []string {
	asRoot := os.Geteuid() == 0 && os.Getenv("USER") == "root"
	if os.Geteuid() == 0 && t.ids.Initial() || os.Getenv("XDG_RUNTIME_DIR") != "" && !asRoot {
		return nil
	}
	return []string{"--root", filepath.Join(runs, ".state")}
}

func (o *RunOptions) supervision() supervision {
	return supervision{o.ID, o.Runtime, o.RuntimeArgs, os.Getenv("XDG_RUNTIME_DIR")}
}

// end removes the container, also a running one; that there is none is fine.
func (s supervision) end() error {
	args := append(append([]string{}, s.RuntimeArgs...), "delete", "--force", s.ID)
	cmd := exec.Command(s.Runtime, args...)
	if s.RuntimeDir != "" {
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+s.RuntimeDir)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("cannot end container %s: %s delete: %w: %.200q", s.ID, s.Runtime, err, out)
	}
	return nil
}

// clearRun removes what a killed Run with the same ID has left.
func clearRun(dir string) error {
	lock, err := lockDirectory(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return fmt.Errorf("name %q: another container has it", filepath.Base(dir))
	case err != nil:
		return err
	}
	defer lock.Close() // read only
	return endRun(dir)
}

// endRun ends the container of a killed Run and removes its bundle, which the
// caller has locked.
func endRun(dir string) error {
	if err := endContainer(dir); err != nil {
		return err
	}
	return removeBundle(dir)
}

// endContainer ends the container of a killed Run, if it ever had one.
func endContainer(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, runRecord))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var s supervision
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, runRecord), err)
	}
	return s.end()
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
func (o RunOptions) execute(ctx context.Context, dir string) (int, error) {
	args := append(append([]string{}, o.RuntimeArgs...), "run", "--bundle", dir, o.ID)
	cmd := exec.Command(o.Runtime, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Stdio[0], o.Stdio[1], o.Stdio[2]
	signals := make(chan os.Signal, 16)
	// A terminal sends its signals to the runtime as well as to us.
	signal.Notify(signals, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil { // from now on we pass them on
		return 1, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGTERM}
	// That signal comes when the thread that started the runtime ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
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
