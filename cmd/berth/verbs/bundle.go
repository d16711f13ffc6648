// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer"
	"berth/libcontainer/config"
	"berth/specconv"
)

// bundleFlags are the flags of all verbs that make a container of a bundle.
type bundleFlags struct {
	bundle        string
	config        string
	consoleSocket string
	pidfdSocket   string
	pidFile       string
	noPivot       bool
	noNewKeyring  bool
	preserveFDs   int
}

func (b *bundleFlags) flags() []flag {
	return []flag{
		text(&b.bundle, "DIR", "the bundle (default: the working directory)", "bundle", "b"),
		text(&b.config, "FILE", "the config, if not config.json; relative to the bundle", "config", "f"),
		text(&b.consoleSocket, "PATH", "AF_UNIX socket that gets the terminal's master", "console-socket"),
		text(&b.pidfdSocket, "PATH", "AF_UNIX socket that gets a pidfd of the process", "pidfd-socket"),
		text(&b.pidFile, "PATH", "file that the process's pid is written to", "pid-file"),
		toggle(&b.noPivot, "move and chroot instead of pivot_root, for a root on an initramfs", "no-pivot"),
		toggle(&b.noNewKeyring, "keep the session keyring of the caller", "no-new-keyring"),
		count(&b.preserveFDs, "pass on N descriptors more, after stdio and $LISTEN_FDS", "preserve-fds"),
	}
}

// options reads the bundle; Root is left to the verb. Paths are made absolute,
// against the caller's directory.
func (b *bundleFlags) options(e *env, id string) (libcontainer.CreateOptions, error) {
	var o libcontainer.CreateOptions
	if id == "" {
		return o, libcontainer.ErrEmptyID
	}
	// First, while the numbers that we may check are not taken by our own files.
	passed, err := inheritedFDs(b.preserveFDs)
	if err != nil {
		return o, err
	}
	cfg, err := b.load(e, id)
	if err != nil {
		return o, err
	}
	pidFile, err := absolute(b.pidFile)
	if err != nil {
		return o, err
	}
	if cfg.Process != nil {
		cfg.Process.Env = passed.env(cfg.Process.Env)
	}
	return libcontainer.CreateOptions{
		ID: id, Config: cfg,
		Stdio:         e.stdio,
		ConsoleSocket: b.consoleSocket, PidfdSocket: b.pidfdSocket, PidFile: pidFile,
		PreserveFDs: b.preserveFDs, ListenFDs: passed.listen,
		NotifySocket: os.Getenv("NOTIFY_SOCKET"), NoNewKeyring: b.noNewKeyring,
		Warn: e.log.warn,
	}, nil
}

func (b *bundleFlags) load(e *env, id string) (*config.Container, error) {
	bundle, err := filepath.Abs(b.bundle)
	if err != nil {
		return nil, fmt.Errorf("--bundle: %w", err)
	}
	spec, err := loadSpec(bundle, b.config)
	if b.bundle == "" && !filepath.IsAbs(b.config) && errors.Is(err, specconv.ErrNoConfig) {
		err = fmt.Errorf("%w (hint: give the bundle with --bundle DIR)", err)
	}
	if err != nil {
		return nil, err
	}
	cfg, warnings, err := specconv.Convert(spec, specconv.Options{
		ID: id, Bundle: bundle, NoPivot: b.noPivot,
		CgroupDriver: e.global.cgroupDriver(), Rootless: e.global.isRootless(),
	})
	for _, w := range warnings {
		e.log.warn(w)
	}
	if err != nil {
		return nil, err
	}
	return cfg, specconv.CheckRootfs(cfg.Rootfs)
}

// loadSpec reads the bundle's config.json, or another file of it.
func loadSpec(bundle, name string) (spec *specs.Spec, err error) {
	switch {
	case name == "":
		spec, err = specconv.Load(bundle)
	case filepath.IsAbs(name):
		spec, err = specconv.LoadFile(name)
	default:
		spec, err = specconv.LoadFile(filepath.Join(bundle, name))
	}
	if err != nil {
		if _, missing := os.Stat(bundle); missing != nil {
			return nil, fmt.Errorf("bundle: %w", missing) // the cause of the other error
		}
	}
	return spec, err
}

// absolute leaves "" alone.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// checkTerminal refuses what cannot work; the texts before the hints are runc's.
func checkTerminal(p *config.Process, detach bool, socket string) error {
	terminal := p != nil && p.Terminal
	if terminal && detach && socket == "" {
		return errors.New("cannot allocate tty if runc will detach without setting console socket (hint: set process.terminal to false, or give --console-socket)")
	}
	if socket != "" && (!terminal || !detach) {
		return errors.New("cannot use console socket if runc will not detach or allocate tty (hint: it is for process.terminal, with create or --detach)")
	}
	return nil
}
