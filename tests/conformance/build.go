// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

const (
	tools   = "github.com/opencontainers/runtime-tools"
	version = "v0.9.0"
)

// manifest is the go.mod that the module was published without. The spec is
// the version its code was written against; newer ones changed field types.
const manifest = `module github.com/opencontainers/runtime-tools

go 1.21

require (
	github.com/blang/semver v3.5.1+incompatible
	github.com/hashicorp/go-multierror v1.1.1
	github.com/mndrix/tap-go v0.0.0-20171203230836-629fa407e90b
	github.com/mrunalp/fileutils v0.5.1
	github.com/opencontainers/runtime-spec v1.0.2
	github.com/opencontainers/selinux v1.6.0
	github.com/satori/go.uuid v1.2.0
	github.com/sirupsen/logrus v1.10.2
	github.com/stretchr/testify v1.12.1
	github.com/syndtr/gocapability v0.0.0-20200815063812-42c35b437635
	github.com/urfave/cli v1.22.17
	github.com/xeipuuv/gojsonschema v1.2.0
	golang.org/x/sys v0.49.0
)
`

// suite is the built programs.
type suite struct {
	dir      string // with runtimetest and the root file system archive
	programs []string
}

// build makes the programs, unless the cache has them.
func build() (*suite, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	s := &suite{dir: filepath.Join(cache, "berth-conformance", version+"-"+runtime.GOARCH)}
	if err := s.find(); err == nil {
		return s, nil
	}
	fmt.Fprintln(os.Stderr, "building", tools, version, "in", s.dir)
	if err := os.MkdirAll(filepath.Dir(s.dir), 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(filepath.Dir(s.dir), "build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := compile(work); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return nil, err
	}
	if err := os.Rename(filepath.Join(work, "out"), s.dir); err != nil {
		return nil, err
	}
	return s, s.find()
}

// find lists the programs in the cache; the marker is written last.
func (s *suite) find() error {
	if _, err := os.Stat(filepath.Join(s.dir, "complete")); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, "programs"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		s.programs = append(s.programs, e.Name())
	}
	slices.Sort(s.programs)
	return nil
}

func compile(work string) error {
	from, err := download(work)
	if err != nil {
		return err
	}
	src, out := filepath.Join(work, "src"), filepath.Join(work, "out")
	if err := os.CopyFS(src, os.DirFS(from)); err != nil {
		return err
	}
	// The module cache is read-only, and so is the copy of it.
	if msg, err := exec.Command("chmod", "-R", "u+w", src).CombinedOutput(); err != nil {
		return fmt.Errorf("chmod: %w: %s", err, msg)
	}
	if err := os.WriteFile(filepath.Join(src, "go.mod"), []byte(manifest), 0o644); err != nil {
		return err
	}
	programs := filepath.Join(out, "programs")
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return err
	}
	if err := goTool(src, "build", "-o", programs+"/", "./validation/..."); err != nil {
		return err
	}
	if err := goTool(src, "build", "-o", filepath.Join(out, "runtimetest"), "./cmd/runtimetest"); err != nil {
		return err
	}
	archive := "rootfs-" + runtime.GOARCH + ".tar.gz"
	data, err := os.ReadFile(filepath.Join(src, archive))
	if err != nil {
		return fmt.Errorf("the validation programs have no root file system for %s: %w", runtime.GOARCH, err)
	}
	if err := os.WriteFile(filepath.Join(out, archive), data, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "complete"), nil, 0o644)
}

// download fetches the module through the Go tool and returns its directory.
func download(work string) (string, error) {
	scratch := filepath.Join(work, "scratch")
	if err := os.Mkdir(scratch, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(scratch, "go.mod"), []byte("module scratch\n"), 0o644); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "mod", "download", "-json", tools+"@"+version)
	cmd.Dir = scratch
	cmd.Env = toolEnv()
	out, err := cmd.Output()
	var got struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &got); err != nil || jsonErr != nil || got.Dir == "" {
		return "", fmt.Errorf("cannot download %s@%s: %v %s", tools, version, err, got.Error)
	}
	return got.Dir, nil
}

func goTool(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = toolEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// toolEnv lets the Go tool complete go.mod and go.sum of the copied source.
func toolEnv() []string {
	return append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "CGO_ENABLED=0")
}
