// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

// global are the flags before the verb, of runc and of crun.
type global struct {
	debug         bool
	logPath       string
	logFormat     string
	logLevel      string
	root          string
	systemdCgroup bool
	cgroupManager string
	rootless      string
	version       bool
}

func newGlobal() *global { return &global{logFormat: "text", logLevel: "warning", rootless: "auto"} }

func (g *global) flags() []flag {
	return []flag{
		toggle(&g.debug, "log the command line, and warnings", "debug"),
		text(&g.logPath, "[file:]PATH", "append errors and warnings to this file", "log"),
		text(&g.logFormat, "text|json", "format of the log", "log-format"),
		oneOf(&g.logLevel, []string{"error", "warning", "debug"}, "least severe level to log", "log-level"),
		text(&g.root, "DIR", "directory of the containers' state (default: /run/berth, or $XDG_RUNTIME_DIR/berth)", "root"),
		toggle(&g.systemdCgroup, "let systemd make cgroups", "systemd-cgroup"),
		oneOf(&g.cgroupManager, []string{"cgroupfs", "systemd", "disabled"}, "who makes cgroups", "cgroup-manager"),
		oneOf(&g.rootless, []string{"true", "false", "auto"}, "do without cgroups where we may not make them", "rootless"),
		ignored("PATH", "criu is found in $PATH", "criu"),
		toggle(&g.version, "print the version", "version", "v", "V"),
	}
}

// cgroupDriver is what --cgroup-manager says, else --systemd-cgroup.
func (g *global) cgroupDriver() config.CgroupDriver {
	switch {
	case g.cgroupManager != "":
		return config.CgroupDriver(g.cgroupManager)
	case g.systemdCgroup:
		return config.CgroupSystemd
	}
	return config.CgroupFS
}

// isRootless says whether we lack root in the initial user namespace.
func (g *global) isRootless() bool {
	if g.rootless != "auto" {
		return g.rootless == "true"
	}
	return os.Geteuid() != 0 || !initialUserNamespace()
}

// initialUserNamespace looks for the one map that names all ids, which no
// other namespace can have: user_namespaces(7).
func initialUserNamespace() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	if err != nil { // a kernel without user namespaces has no other
		return true
	}
	f := bytes.Fields(data)
	return len(f) == 3 && string(f[0]) == "0" && string(f[1]) == "0" && string(f[2]) == "4294967295"
}

// stateRoot is the state root, for those who look into it. It need not exist.
func (g *global) stateRoot() (string, error) {
	root, err := g.nameRoot()
	if err != nil || g.root != "" || os.Geteuid() == 0 {
		return root, err
	}
	var st unix.Stat_t
	if unix.Stat(root+"/.", &st) == unix.EACCES { // search permission, as everything below needs it
		return "", foreignRoot("use", &os.PathError{Op: "search", Path: root, Err: unix.EACCES})
	}
	return root, nil
}

// nameRoot is --root, or the default.
func (g *global) nameRoot() (string, error) {
	if g.root == "" {
		if os.Geteuid() != 0 && userRuntimeDir() == "" {
			return "", fmt.Errorf("%w: XDG_RUNTIME_DIR is not set, and there is no /run/user/%d (hint: set it, or give --root)", errNoRoot, os.Geteuid())
		}
		return defaultRoot(), nil
	}
	root, err := filepath.Abs(g.root)
	if err != nil {
		return "", fmt.Errorf("--root: %w", err)
	}
	var a, b unix.Stat_t
	if root == "/" || unix.Stat(root, &a) == nil && unix.Stat("/", &b) == nil && a.Dev == b.Dev && a.Ino == b.Ino {
		return "", errors.New("option --root argument should not be set to /") // delete removes <root>/<id>
	}
	return root, nil
}

// errNoRoot is nameRoot's for a user without a runtime directory.
var errNoRoot = errors.New("no directory for the state of containers")

// systemRoot is where root's containers are.
const systemRoot = "/run/berth"

// defaultRoot is the system's directory for root, else the user's. In a user
// namespace whose root calls himself otherwise we act for a user, as runc does.
func defaultRoot() string {
	if dir := userRuntimeDir(); dir != "" {
		return dir + "/berth"
	}
	return systemRoot
}

func userRuntimeDir() string {
	euid, dir := os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR")
	if euid == 0 {
		if dir == "" || os.Getenv("USER") == "root" || initialUserNamespace() {
			return ""
		}
		return dir
	}
	if dir != "" {
		return dir
	}
	// Without a login session's environment, as after su.
	dir = "/run/user/" + strconv.Itoa(euid)
	var st unix.Stat_t
	if unix.Lstat(dir, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Uid == uint32(euid) {
		return dir
	}
	return ""
}

// makeRoot is stateRoot for those who put a container into it. In a user's
// runtime directory it gets the sticky bit, which the XDG base directory
// specification has for "do not clean this up".
func (g *global) makeRoot() (string, error) {
	root, err := g.stateRoot()
	if err != nil || g.root != "" || userRuntimeDir() == "" {
		return root, err
	}
	if err = os.MkdirAll(root, 0o700); err == nil {
		err = os.Chmod(root, 0o700|os.ModeSticky)
	}
	switch {
	case err == nil:
		return root, nil
	case errors.Is(err, os.ErrPermission):
		return "", foreignRoot("make", err)
	}
	return "", fmt.Errorf("cannot make the state root: %w", err)
}

// foreignRoot is the error of a state root that is another user's: su without -
// keeps that user's XDG_RUNTIME_DIR.
func foreignRoot(what string, err error) error {
	if os.Getenv("XDG_RUNTIME_DIR") == "" {
		return fmt.Errorf("cannot %s the state root: %w", what, err)
	}
	return fmt.Errorf("cannot %s the state root: %w (hint: is XDG_RUNTIME_DIR yours? set it, or give --root)", what, err)
}
