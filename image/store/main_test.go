// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
	"berth/image/transport"
)

// helpers are what this binary does in place of the tests when it is called with
// their name, a store, and a word. A test file adds its own beside the test.
var helpers = map[string]func(s *Store, word string) error{
	"tag": helpTag, "pull": helpPull, "gc": helpGC, "layer": helpLayer, "work": helpWork, "half": helpHalf,
}

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && helpers[os.Args[1]] != nil {
		s, err := Open(os.Args[2])
		if err == nil {
			err = errors.Join(helpers[os.Args[1]](s, os.Args[3]), s.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a helper that was started; its standard output is events.
type process struct {
	*exec.Cmd
	events io.Reader
	stderr bytes.Buffer
}

func start(t *testing.T, helper, root, word string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], helper, root, word)}
	p.Stderr = &p.stderr
	events, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.events = events
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	return p
}

// event waits until the helper says something.
func (p *process) event(t *testing.T) {
	t.Helper()
	if _, err := p.events.Read(make([]byte, 1)); err != nil {
		t.Fatalf("%s: %v: %s", p.Args[1], err, &p.stderr)
	}
}

func (p *process) succeeds(t *testing.T) {
	t.Helper()
	if err := p.Wait(); err != nil {
		t.Errorf("%s %s: %v: %s", p.Args[1], p.Args[3], err, &p.stderr)
	}
}

func say() { _, _ = os.Stdout.Write([]byte{'.'}) }

// newStore opens a store in a directory of the test.
func newStore(t *testing.T) *Store {
	t.Helper()
	return openStore(t, t.TempDir())
}

func openStore(t *testing.T, root string) *Store {
	t.Helper()
	s, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() }) // some tests close it themselves
	return s
}

// pool is a source in memory.
type pool struct {
	root  ocispec.Descriptor
	blobs map[digest.Digest][]byte
	chunk int            // bytes a Read gives at most; 0 for all
	read  func(at int64) // called by each Read
}

func (p *pool) add(mediaType string, raw []byte) ocispec.Descriptor {
	if p.blobs == nil {
		p.blobs = map[digest.Digest][]byte{}
	}
	d := document.Describe(mediaType, raw)
	p.blobs[d.Digest] = raw
	return d
}

func (p *pool) addJSON(mediaType string, v any) ocispec.Descriptor {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return p.add(mediaType, raw)
}

// addImage makes an image of layers with these contents, and makes it the root.
func (p *pool) addImage(layers ...[]byte) (d ocispec.Descriptor, chains []digest.Digest) {
	config := ocispec.Image{Platform: document.HostPlatform(), RootFS: ocispec.RootFS{Type: "layers"}}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, p.add(ocispec.MediaTypeImageLayer, l))
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(l))
	}
	m.Config = p.addJSON(ocispec.MediaTypeImageConfig, config)
	p.root = p.addJSON(m.MediaType, m)
	return p.root, document.ChainIDs(config.RootFS.DiffIDs)
}

func (p *pool) Resolve(context.Context) (ocispec.Descriptor, error) { return p.root, nil }

func (p *pool) Fetch(_ context.Context, d ocispec.Descriptor, offset int64) (io.ReadCloser, error) {
	raw, ok := p.blobs[d.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: no such blob", d.Digest)
	}
	return &poolReader{p, bytes.NewReader(raw[offset:]), offset}, nil
}

type poolReader struct {
	p  *pool
	r  io.Reader
	at int64
}

func (r *poolReader) Read(buf []byte) (int, error) {
	if r.p.read != nil {
		r.p.read(r.at)
	}
	if r.p.chunk > 0 && len(buf) > r.p.chunk {
		buf = buf[:r.p.chunk]
	}
	n, err := r.r.Read(buf)
	r.at += int64(n)
	return n, err
}

func (r *poolReader) Close() error { return nil }

// noise is contents that are the same for the same seed.
func noise(seed uint64, size int) []byte {
	raw := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return raw
}

func pull(t *testing.T, s *Store, p *pool, name string) {
	t.Helper()
	if _, err := transport.Copy(t.Context(), p, s.Image(name), transport.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
}

func putBytes(s *Store, d ocispec.Descriptor, raw []byte) error {
	return s.Image("").Put(context.Background(), d, func(offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(raw[offset:])), nil
	})
}

// names lists a directory of the store, sorted.
func names(t *testing.T, s *Store, dir string) []string {
	t.Helper()
	all, err := list(s.root, dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func expectNames(t *testing.T, s *Store, dir string, want ...string) {
	t.Helper()
	if got := names(t, s, dir); !slices.Equal(got, want) {
		t.Errorf("%s has %q, want %q", dir, got, want)
	}
}

func expectError(t *testing.T, err error, kind error, text string) {
	t.Helper()
	if err == nil || kind != nil && !errors.Is(err, kind) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error = %v, want %v with %q", err, kind, text)
	}
}
