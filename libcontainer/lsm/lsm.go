// SPDX-License-Identifier: Apache-2.0

// Package lsm says what a container's security labels need from the host: is
// AppArmor or SELinux enabled, is a label well-formed, how does a mount get
// one. It changes nothing; the boot image applies labels. Only files of sysfs
// are looked at, and only if there is a label.
//
//	err := lsm.Check(p.AppArmorProfile, p.SELinuxLabel)
package lsm

import (
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/selinux/go-selinux"
	"golang.org/x/sys/unix"

	"berth/internal/unsupported"
)

// What a label asks for and the host lacks. For both,
// errors.Is(err, errors.ErrUnsupported) holds; the texts begin as runc's.
const (
	ErrNoAppArmor = unsupported.Error("apparmor: config provided but apparmor not supported")
	ErrNoSELinux  = unsupported.Error("selinux label is specified in config, but selinux is disabled or not supported")
)

// Where the kernel shows what it has; tests have others.
var hostPaths = paths{
	appArmor: "/sys/module/apparmor/parameters/enabled",
	seLinux:  "/sys/fs/selinux",
}

type paths struct{ appArmor, seLinux string }

// Check refuses what the host cannot confine: a profile without AppArmor, or a
// process label that is malformed or without SELinux. Going on without would
// be running unconfined what asked to be confined. "" asks for nothing.
func Check(profile, label string) error { return hostPaths.check(profile, label) }

// CheckMount is Check for linux.mountLabel.
func CheckMount(label string) error { return hostPaths.checkLabel("linux.mountLabel", label) }

// AppArmorEnabled says whether the kernel has AppArmor and it is switched on.
func AppArmorEnabled() bool { return hostPaths.appArmorEnabled() }

// SELinuxEnabled says whether a policy can be asked: selinuxfs is mounted.
func SELinuxEnabled() bool { return hostPaths.seLinuxEnabled() }

func (p paths) check(profile, label string) error {
	if profile != "" && !p.appArmorEnabled() {
		return fmt.Errorf("process.apparmorProfile: %w", ErrNoAppArmor)
	}
	if err := CheckProfile(profile); err != nil {
		return fmt.Errorf("process.apparmorProfile: %w", err)
	}
	return p.checkLabel("process.selinuxLabel", label)
}

func (p paths) checkLabel(field, label string) error {
	if label == "" {
		return nil
	}
	if err := CheckLabel(label); err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	if !p.seLinuxEnabled() {
		return fmt.Errorf("%s: %w", field, ErrNoSELinux)
	}
	// The kernel's policy has the last word, now rather than at execve.
	if err := selinux.SecurityCheckContext(label); err != nil {
		return fmt.Errorf("%s: the policy does not know %q: %w", field, label, err)
	}
	return nil
}

func (p paths) appArmorEnabled() bool {
	data, err := os.ReadFile(p.appArmor)
	return err == nil && strings.HasPrefix(string(data), "Y")
}

func (p paths) seLinuxEnabled() bool {
	var fs unix.Statfs_t
	return unix.Statfs(p.seLinux, &fs) == nil && uint32(fs.Type) == unix.SELINUX_MAGIC
}

// CheckProfile refuses a profile's name that would change the command that it
// becomes a part of, "exec NAME" to /proc/thread-self/attr/apparmor/exec.
func CheckProfile(profile string) error {
	if strings.ContainsAny(profile, "\x00\n") {
		return fmt.Errorf("invalid profile name %q", profile)
	}
	return nil
}

// CheckLabel refuses what cannot be an SELinux context: it is
// user:role:type[:range], where the range may itself have colons. Whether the
// policy knows the names is the kernel's to say.
func CheckLabel(label string) error {
	parts := strings.SplitN(label, ":", 4)
	if len(parts) < 3 || strings.ContainsFunc(label, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return fmt.Errorf("invalid SELinux label %q: it must be user:role:type[:range]", label)
	}
	for _, part := range parts {
		if part == "" {
			return fmt.Errorf("invalid SELinux label %q: it has an empty part", label)
		}
	}
	return nil
}
