// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/tests/series"
)

// The images, by name; the second one has zstd layers, and the last ones have a
// layer each, of which one is four times as large as the other.
const (
	gzipImage  = "bench/debian"
	zstdImage  = "bench/zstd"
	smallImage = "bench/small"
	largeImage = "bench/large"
)

// smallLayer is the size of smallImage's layer, half of it in one file.
const smallLayer = 48 << 20

// upper are the layers on top of the base: those that are there of these.
var upper = []string{"usr/lib/python3", "usr/include", "usr/share/perl", "usr/lib/git-core", "usr/share/locale", "usr/share/doc"}

// machine is where everything is done, and what came out.
type machine struct {
	ctx          context.Context
	opts         options
	disk, memory string // directories; the second one is a tmpfs
	samples      series.Set
	registry     *exec.Cmd
	host         string // of the registry
	layers       map[string][]string
	used         int // places so far
}

// run runs a program to its end, which must be good.
func (m *machine) run(args ...string) (string, error) {
	cmd := exec.CommandContext(m.ctx, args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.String(), nil
}

// berth is the command line of berth-image, on a store.
func (m *machine) berth(store string, args ...string) []string {
	return append([]string{m.opts.tool, "--root", store, "--quiet", "--insecure"}, args...)
}

// prepare makes the images in a store of the tmpfs, a layout of each there and on
// disk, and starts the registry, which has the first.
func (m *machine) prepare() error {
	for _, dir := range []string{m.disk, m.memory} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Mount("tmpfs", m.memory, "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
		return fmt.Errorf("cannot mount a tmpfs: %w", err)
	}
	if err := m.newDisk(); err != nil {
		fmt.Fprintln(os.Stderr, "imagebench: without a file system of its own:", err)
	}
	tars, err := m.tars()
	if err != nil {
		return err
	}
	store := m.memory + "/store"
	for name, compression := range map[string]string{gzipImage: "gzip", zstdImage: "zstd"} {
		for i, file := range tars {
			args := []string{"import", "--compress", compression, "--image-cmd", "/bin/sh"}
			if i > 0 {
				args = append(args, "--base", name)
			}
			if _, err := m.run(m.berth(store, append(args, file, name)...)...); err != nil {
				return err
			}
		}
	}
	for name, size := range map[string]int{smallImage: smallLayer, largeImage: 4 * smallLayer} {
		file := m.memory + "/generated.tar"
		if err := errors.Join(generate(file, size), m.must(m.berth(store, "import", file, name)), os.Remove(file)); err != nil {
			return err
		}
	}
	for _, file := range tars {
		_ = os.Remove(file) // the tmpfs goes anyway; another -base stays, which is a copy
	}
	if err := m.must([]string{"cp", "-a", store, m.disk + "/store"}); err != nil {
		return err
	}
	m.layers = map[string][]string{}
	for _, name := range []string{gzipImage, zstdImage} {
		for _, dir := range []string{m.memory, m.disk} {
			if err := m.must(m.berth(store, "export", name, "oci:"+dir+"/layout:"+tag(name))); err != nil {
				return err
			}
		}
		if m.layers[name], err = m.blobs(store, name); err != nil {
			return err
		}
	}
	if err := m.startRegistry(); err != nil {
		return err
	}
	for _, name := range []string{gzipImage, smallImage, largeImage} {
		if err := m.must(m.berth(store, "push", name, m.host+"/"+name)); err != nil {
			return err
		}
	}
	return nil
}

// newDisk mounts a new ext4 in a file: where files were removed within seconds,
// also by others, ext4 takes up to four times as long to make new ones.
func (m *machine) newDisk() error {
	file := m.disk + ".ext4"
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(24<<30), f.Close()); err != nil { // a hole
		return err
	}
	if err := m.must([]string{"mke2fs", "-q", "-t", "ext4", "-F", file}); err != nil {
		return err
	}
	return m.must([]string{"mount", "-o", "loop", file, m.disk})
}

func (m *machine) must(args []string) error {
	_, err := m.run(args...)
	return err
}

// tag is an image's in a layout.
func tag(name string) string { return filepath.Base(name) }

// blobs are the files of an image's layers, below a layout or store.
func (m *machine) blobs(store, name string) ([]string, error) {
	text, err := m.run(m.berth(store, "inspect", name)...)
	if err != nil {
		return nil, err
	}
	var i struct{ Manifest ocispec.Manifest }
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return nil, err
	}
	var files []string
	for _, l := range i.Manifest.Layers {
		files = append(files, "blobs/"+l.Digest.Algorithm().String()+"/"+l.Digest.Encoded())
	}
	return files, nil
}

// tars are the layers, lowest first.
func (m *machine) tars() ([]string, error) {
	base := m.memory + "/base.tar"
	if m.opts.base != "" {
		if _, err := os.Stat(m.opts.base); err == nil {
			if err := m.must([]string{"cp", m.opts.base, base}); err != nil {
				return nil, err
			}
		}
	}
	if _, err := os.Stat(base); err != nil {
		err := m.must([]string{"mmdebstrap", "--mode=root", "--variant=minbase", "--quiet", "bookworm", base})
		if err != nil {
			fmt.Fprintln(os.Stderr, "imagebench: a part of /usr is the base:", err)
			err = m.must([]string{"tar", "-C", "/", "-cf", base, "usr/lib/" + machineName(), "usr/bin"})
		}
		if err == nil && m.opts.base != "" {
			err = m.must([]string{"cp", base, m.opts.base})
		}
		if err != nil {
			return nil, err
		}
	}
	files := []string{base}
	for _, dir := range upper {
		if _, err := os.Stat("/" + dir); err != nil || len(files) == 4 {
			continue
		}
		file := fmt.Sprintf("%s/%d.tar", m.memory, len(files))
		if err := m.must([]string{"tar", "-C", "/", "-cf", file, dir}); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// machineName is Debian's name of the architecture, in /usr/lib.
func machineName() string {
	dirs, _ := filepath.Glob("/usr/lib/*-linux-gnu") // the pattern is well formed
	if len(dirs) == 0 {
		return "."
	}
	return filepath.Base(dirs[0])
}

// files are how many small ones a generated layer has, whatever its size.
const files = 1000

// generate writes a tar: half of it is one file, and half are small ones. A third
// of the bytes is random.
func generate(path string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := tar.NewWriter(f)
	random := rand.NewChaCha8([32]byte{1})
	block := make([]byte, size/2/files)
	write := func(name string, blocks int) error {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(blocks * len(block))}); err != nil {
			return err
		}
		for range blocks {
			_, _ = random.Read(block[:len(block)/3]) // never fails
			if _, err := w.Write(block); err != nil {
				return err
			}
		}
		return nil
	}
	err = write("large", files)
	for i := range files {
		err = errors.Join(err, write(fmt.Sprintf("small/%d/%d", i%50, i), 1))
	}
	return errors.Join(err, w.Close(), f.Close())
}

// startRegistry starts Debian's on a free port, without TLS.
func (m *machine) startRegistry() error {
	config := m.disk + "/registry.yml"
	text := fmt.Sprintf("version: 0.1\nlog: {accesslog: {disabled: true}}\nhttp: {addr: \"127.0.0.1:0\"}\nstorage: {filesystem: {rootdirectory: %s/registry}}\n", m.disk)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(m.disk + "/registry.log")
	if err != nil {
		return err
	}
	defer log.Close()
	m.registry = exec.Command("docker-registry", "serve", config)
	m.registry.Stdout, m.registry.Stderr = log, log
	if err := m.registry.Start(); err != nil {
		return err
	}
	listening := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)`)
	for range 100 {
		text, err := os.ReadFile(log.Name())
		if err != nil {
			return err
		}
		if found := listening.FindSubmatch(text); found != nil {
			m.host = string(found[1])
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("docker-registry does not start")
}

// close ends the registry and unmounts everything.
func (m *machine) close() error {
	if m.registry != nil && m.registry.Process != nil {
		_ = m.registry.Process.Signal(unix.SIGTERM)
		_ = m.registry.Wait() // ended by a signal
	}
	var failed error
	for _, dir := range []string{m.disk + "/shared/rootfs", m.disk, m.memory} {
		err := unix.Unmount(dir, unix.MNT_DETACH)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) { // it was mounted
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
