// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Busybox is where Debian's and Ubuntu's busybox-static puts it.
const Busybox = "/bin/busybox"

// Bundle makes a bundle in dir: a root file system with a static busybox and
// the extra host files (path in the container -> host path), without config.
func Bundle(dir string, files map[string]string) error {
	for _, d := range []string{"bin", "etc", "tmp", "proc", "sys", "dev", "root", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			return err
		}
	}
	all := map[string]string{"/bin/busybox": Busybox}
	for in, host := range files {
		all[in] = host
	}
	for in, host := range all {
		if err := copyFile(host, filepath.Join(dir, "rootfs", in)); err != nil {
			return err
		}
	}
	for _, name := range []string{"sh", "true", "false", "sleep", "cat", "ls", "echo"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "rootfs/bin", name)); err != nil {
			return err
		}
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n"
	return os.WriteFile(filepath.Join(dir, "rootfs/etc/passwd"), []byte(passwd), 0o644)
}

// WriteConfig writes spec as the bundle's config.json.
func WriteConfig(dir string, spec *specs.Spec) error {
	data, err := json.MarshalIndent(spec, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), data, 0o644)
}

// ReadConfig reads a config.json.
func ReadConfig(path string) (*specs.Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	spec := &specs.Spec{}
	return spec, json.Unmarshal(data, spec)
}

// Build compiles the module's package pkg, without cgo and so static, to out.
func Build(pkg, out string) error {
	module, err := ModuleDir()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, pkg)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s: %w\n%s", pkg, err, msg)
	}
	return nil
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(dst, src); err != nil {
		_ = dst.Close() // the first error counts
		return err
	}
	return dst.Close()
}
