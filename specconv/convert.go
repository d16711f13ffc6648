// SPDX-License-Identifier: Apache-2.0

package specconv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
)

// Options are what the caller knows beside the config.
type Options struct {
	ID string
	// Bundle is absolute.
	Bundle       string
	NoPivot      bool
	CgroupDriver config.CgroupDriver
	// Rootless: we are not root in the initial user namespace.
	Rootless bool
}

// converter collects the warnings of one conversion.
type converter struct {
	o        Options
	spec     *specs.Spec
	out      *config.Container
	warnings []string
}

func (c *converter) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

// Convert checks a config and returns the intent behind it, and warnings for
// what it ignores. It is pure.
func Convert(spec *specs.Spec, o Options) (*config.Container, []string, error) {
	own := *spec // the caller's stays as it is
	c := &converter{o: o, spec: &own, out: &config.Container{
		OCIVersion: spec.Version, Bundle: o.Bundle, NoPivot: o.NoPivot, Rootless: o.Rootless,
		Hostname: spec.Hostname, Domainname: spec.Domainname, Annotations: spec.Annotations,
	}}
	if spec.Linux == nil {
		c.spec.Linux = &specs.Linux{}
	}
	// Namespaces first: much of the rest depends on them.
	for _, section := range []func() error{
		c.version, c.root, c.namespaces, c.names, c.mounts, c.devices, c.netDevices, c.paths,
		c.sysctls, c.rdt, c.hooks, c.cgroup, c.process,
	} {
		if err := section(); err != nil {
			return nil, c.warnings, err
		}
	}
	return c.out, c.warnings, nil
}

// version accepts every 1.x: engines ship configs ahead of runtimes.
func (c *converter) version() error {
	v := c.spec.Version
	if v == "" {
		return errors.New("ociVersion: must be set")
	}
	major, rest, ok := strings.Cut(v, ".")
	minor, _, ok2 := strings.Cut(rest, ".")
	if _, err := strconv.ParseUint(minor, 10, 16); !ok || !ok2 || err != nil {
		return fmt.Errorf("ociVersion: %q is not a version like 1.3.0", v)
	}
	if major != "1" {
		return fmt.Errorf("ociVersion: %q is not supported, only 1.x is", v)
	}
	return nil
}

func (c *converter) root() error {
	r := c.spec.Root
	if r == nil || r.Path == "" {
		return errors.New("root.path: must be set")
	}
	c.out.Rootfs = filepath.Clean(r.Path)
	if !filepath.IsAbs(r.Path) {
		c.out.Rootfs = filepath.Join(c.o.Bundle, r.Path)
	}
	if c.out.Rootfs == "/" {
		return errors.New("root.path: must not be the host's root")
	}
	c.out.ReadonlyRoot = r.Readonly
	p := c.spec.Linux.RootfsPropagation
	if p == "" {
		return nil
	}
	flag, ok := propagation(p)
	if !ok {
		return fmt.Errorf("linux.rootfsPropagation: unknown value %q", p)
	}
	if c.o.NoPivot && flag&(unix.MS_PRIVATE) != 0 {
		return errors.New("linux.rootfsPropagation: private cannot be used with --no-pivot")
	}
	c.out.RootPropagation = flag
	return nil
}

// CheckRootfs makes sure that a root filesystem is a directory and not a
// symbolic link, which whoever owns the bundle's parent could move.
func CheckRootfs(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case err != nil:
		return fmt.Errorf("root.path: %w", err)
	case fi.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("root.path: %s is a symbolic link", path)
	case !fi.IsDir():
		return fmt.Errorf("root.path: %s is not a directory", path)
	}
	return nil
}

// names checks hostname and domainname, which belong to a UTS namespace.
func (c *converter) names() error {
	for _, n := range []struct{ field, value string }{
		{"hostname", c.spec.Hostname}, {"domainname", c.spec.Domainname},
	} {
		if n.value == "" {
			continue
		}
		if !c.out.Namespaces.Has(config.UTSNS) {
			return fmt.Errorf("%s: cannot be set without a uts namespace; add one to linux.namespaces", n.field)
		}
		if len(n.value) > 64 { // __NEW_UTS_LEN
			return fmt.Errorf("%s: longer than 64 bytes", n.field)
		}
	}
	return nil
}

// paths converts maskedPaths and readonlyPaths.
func (c *converter) paths() error {
	l := c.spec.Linux
	c.out.MountLabel = l.MountLabel
	if len(l.MaskedPaths)+len(l.ReadonlyPaths) > 0 && !c.out.Namespaces.Has(config.MountNS) {
		return errors.New("linux.maskedPaths, linux.readonlyPaths: need a mount namespace; add one to linux.namespaces")
	}
	var err error
	if c.out.MaskedPaths, err = cleanPaths("linux.maskedPaths", l.MaskedPaths); err != nil {
		return err
	}
	c.out.ReadonlyPaths, err = cleanPaths("linux.readonlyPaths", l.ReadonlyPaths)
	return err
}

// cleanPaths returns absolute clean paths without duplicates.
func cleanPaths(field string, list []string) ([]string, error) {
	var out []string
	seen := make(map[string]bool, len(list))
	for i, p := range list {
		if !filepath.IsAbs(p) {
			return nil, fmt.Errorf("%s[%d]: %q is not an absolute path", field, i, p)
		}
		if p = filepath.Clean(p); p == "/" {
			return nil, fmt.Errorf("%s[%d]: must not be the root", field, i)
		}
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out, nil
}
