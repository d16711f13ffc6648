// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/image/document"
	"berth/internal/inroot"
)

// defaultPath is PATH of Docker's containers.
const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// builder is a config in the making.
type builder struct {
	image    *document.Config
	root     *inroot.Root
	o        Options
	spec     *specs.Spec
	caps     []string
	warnings []string
}

// ociVersion is the lowest that has all that we write: older runtimes, such as
// Debian's crun, refuse what they do not know.
const ociVersion = "1.0.2"

// Spec makes the config. root is where the image was unpacked; only its user
// database is read, and it stays the caller's. Beside that, the result depends
// on the arguments alone, except for the file of a seccomp profile. If neither
// the image nor the options name a command, process.args is empty, with a
// warning: the runtime refuses such a bundle.
func Spec(img *document.Config, root *inroot.Root, o Options) (spec *specs.Spec, warnings []string, err error) {
	b := &builder{image: img, root: root, o: o}
	if err := b.build(); err != nil {
		return nil, b.warnings, err
	}
	return b.spec, b.warnings, nil
}

func (b *builder) warn(format string, args ...any) {
	b.warnings = append(b.warnings, fmt.Sprintf(format, args...))
}

func (b *builder) build() error {
	o := &b.o
	if o.Rootfs == "" {
		o.Rootfs = "rootfs"
	}
	if o.Arch == "" {
		o.Arch = runtime.GOARCH
	}
	if err := b.checkOptions(); err != nil {
		return err
	}
	b.spec = &specs.Spec{
		Version:    ociVersion,
		Root:       &specs.Root{Path: o.Rootfs, Readonly: o.ReadOnly},
		Process:    &specs.Process{Terminal: o.TTY, NoNewPrivileges: !o.NewPrivileges && !o.Privileged},
		Hostname:   o.Hostname,
		Domainname: o.Domainname,
		Linux:      &specs.Linux{},
	}
	for _, step := range []func() error{
		b.user, b.capabilities, b.args, b.cwd, b.namespaces, b.mounts, b.resources, b.seccomp,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	p := b.spec.Process
	p.Rlimits = o.Ulimits
	p.ApparmorProfile, p.SelinuxLabel, b.spec.Linux.MountLabel = o.AppArmor, o.SELinux, o.SELinuxMount
	if !o.Privileged {
		b.spec.Linux.MaskedPaths, b.spec.Linux.ReadonlyPaths = slices.Clone(maskedPaths), slices.Clone(readonlyPaths)
	}
	b.annotations()
	return nil
}

func (b *builder) checkOptions() error {
	o := &b.o
	switch {
	case o.Memory < 0, o.CPUs < 0, o.Pids < 0, o.ShmSize < 0:
		return errors.New("a limit is negative")
	case o.Cwd != "" && !path.IsAbs(o.Cwd):
		return fmt.Errorf("working directory %q is not an absolute path", o.Cwd)
	case len(o.Hostname) > maxHostname, strings.Contains(o.Hostname, "\x00"):
		return fmt.Errorf("hostname %q: at most %d bytes are possible", o.Hostname, maxHostname)
	case o.Init != "" && !path.IsAbs(o.Init):
		return fmt.Errorf("init %q is not an absolute path", o.Init)
	case (len(o.UIDMaps) == 0) != (len(o.GIDMaps) == 0):
		return errors.New("maps of uids and of gids go together")
	case o.Rootless && len(o.UIDMaps) == 0:
		return errors.New("rootless: a user namespace needs maps of ids")
	}
	return checkNet(o.Net, o.Rootless)
}

// maxHostname is HOST_NAME_MAX, sethostname(2).
const maxHostname = 64

// user looks the user up and completes the environment with their home.
func (b *builder) user() error {
	name := b.image.Config.User
	if b.o.User != "" {
		name = b.o.User
	}
	uid, gid, groups, home, err := LookupUser(b.root, name)
	if err != nil {
		return err
	}
	if !mapped(b.o.UIDMaps, uid) || !mapped(b.o.GIDMaps, gid) {
		return fmt.Errorf("user %q: %d:%d is not mapped in the user namespace (hint: --user 0, or a larger range in /etc/subuid and /etc/subgid)", name, uid, gid)
	}
	groups = slices.DeleteFunc(groups, func(g uint32) bool {
		// newuidmap(1) aside, a user may map one gid, and not call setgroups.
		lost := !mapped(b.o.GIDMaps, g) || b.o.Rootless && len(b.o.GIDMaps) == 1 && b.o.GIDMaps[0].Size == 1
		if lost {
			b.warn("user %q: group %d is not mapped in the user namespace, and left out", name, g)
		}
		return lost
	})
	b.spec.Process.User = specs.User{UID: uid, GID: gid, AdditionalGids: groups}
	return b.env(home)
}

// env is the image's, with the user's on top; what is missing then gets a
// default. An entry of the image without "=" is dropped: to some engines it
// meant a variable of the host (podman's CVE-2026-57231).
func (b *builder) env(home string) error {
	var env []string
	set := func(entry string, replace bool) {
		name, _, _ := strings.Cut(entry, "=")
		i := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		switch {
		case i < 0:
			env = append(env, entry)
		case replace:
			env[i] = entry
		}
	}
	for _, e := range b.image.Config.Env {
		if !isVariable(e) {
			b.warn("the image's Env has %q, which is not NAME=VALUE, and left out", e)
			continue
		}
		set(e, true)
	}
	for _, e := range b.o.Env {
		if !isVariable(e) {
			return fmt.Errorf("env %q: want NAME=VALUE", e)
		}
		set(e, true)
	}
	set(defaultPath, false)
	if b.o.TTY {
		set("TERM=xterm", false)
	}
	if b.o.Hostname != "" {
		set("HOSTNAME="+b.o.Hostname, false)
	}
	if home != "" {
		set("HOME="+home, false)
	}
	b.spec.Process.Env = env
	return nil
}

func isVariable(e string) bool {
	name, _, ok := strings.Cut(e, "=")
	return ok && name != "" && !strings.Contains(e, "\x00")
}

// args is entrypoint and command: conversion.md, and docker-run(1) for what
// replaces what.
func (b *builder) args() error {
	entrypoint, cmd := b.image.Config.Entrypoint, b.image.Config.Cmd
	if b.o.Entrypoint != nil {
		entrypoint, cmd = b.o.Entrypoint, nil
	}
	if b.o.Cmd != nil {
		cmd = b.o.Cmd
	}
	if len(entrypoint) == 1 && entrypoint[0] == "" {
		entrypoint = nil // as Docker: an ENTRYPOINT [""] takes the base image's back
	}
	args := slices.Concat(entrypoint, cmd)
	if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, "\x00") }) {
		return errors.New("an argument of the command has a NUL byte")
	}
	if len(args) == 0 || args[0] == "" {
		b.warn("the image names no command to run (hint: say one after the image, or with unpack --cmd)")
		b.spec.Process.Args = []string{}
		return nil
	}
	if b.o.Init != "" {
		args = append([]string{initPath, "--"}, args...)
	}
	b.spec.Process.Args = args
	return nil
}

// cwd is the image's verbatim, made absolute as Docker does.
func (b *builder) cwd() error {
	cwd := b.image.Config.WorkingDir
	if b.o.Cwd != "" {
		cwd = b.o.Cwd
	}
	if strings.Contains(cwd, "\x00") {
		return fmt.Errorf("working directory %q has a NUL byte", cwd)
	}
	if !path.IsAbs(cwd) {
		if cwd != "" {
			b.warn("the image's working directory %q is not absolute, and taken from the root", cwd)
		}
		cwd = path.Join("/", cwd)
	}
	b.spec.Process.Cwd = cwd
	return nil
}

func (b *builder) capabilities() error {
	var err error
	if b.caps, err = effectiveCaps(b.o.CapAdd, b.o.CapDrop, b.o.Privileged); err != nil {
		return err
	}
	c := &specs.LinuxCapabilities{Bounding: b.caps}
	if b.spec.Process.User.UID == 0 {
		// Another user has none after execve(2), so none before it either. And
		// none is inheritable (CVE-2022-24769).
		c.Effective, c.Permitted = b.caps, b.caps
	}
	b.spec.Process.Capabilities = c
	return nil
}

func (b *builder) seccomp() error {
	name := b.o.Seccomp
	if name == "" && b.o.Privileged {
		name = "unconfined"
	}
	s, err := profileOf(name, machine{arch: b.o.Arch, caps: b.caps})
	b.spec.Linux.Seccomp = s
	return err
}
