// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"berth/image/document"
	"berth/image/transport"
)

// sharedImage is what several processes pull: layers that others have, too.
func sharedImage(n uint64) (p *pool, chains []digest.Digest) {
	p = &pool{chunk: 8 << 10}
	_, chains = p.addImage(noise(1, 200<<10), noise(2, 1000), noise(10+n%5, 60<<10))
	return p, chains
}

func helpTag(s *Store, word string) error {
	d, err := s.Image("image").Resolve(context.Background())
	if err != nil {
		return err
	}
	return s.Tag(word, d)
}

func helpPull(s *Store, word string) error {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return err
	}
	p, chains := sharedImage(n)
	if _, err := transport.Copy(context.Background(), p, s.Image("pulled-"+word), transport.CopyOptions{}); err != nil {
		return err
	}
	for _, id := range chains {
		if _, err := s.Layer(context.Background(), id, "copy", fillSlowly(id)); err != nil {
			return err
		}
	}
	return nil
}

func helpGC(s *Store, _ string) error {
	_, err := s.GC(context.Background(), GCOptions{Wait: true})
	return err
}

// helpLayer says that it is making the layer, and waits for the other one.
func helpLayer(s *Store, word string) error {
	_, err := s.Layer(context.Background(), digest.FromString("chain"), "copy", func(dir *os.File) error {
		say()
		f, err := os.OpenFile(word, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteString("made\n"); err != nil {
			return err
		}
		return fillSlowly(digest.FromString("chain"))(dir)
	})
	return err
}

// fillSlowly leaves a layer for others to see between its files; all says that
// it is complete.
func fillSlowly(id digest.Digest) func(*os.File) error {
	return func(dir *os.File) error {
		for i := range 20 {
			if err := os.MkdirAll(filepath.Join(dir.Name(), "d", strconv.Itoa(i)), 0o700); err != nil {
				return err
			}
		}
		return fillWith(id)(dir)
	}
}

// helpHalf puts the first half of a blob, says so, and waits to be killed.
func helpHalf(s *Store, _ string) error {
	raw := noise(1, 100000)
	half := io.MultiReader(strings.NewReader(string(raw[:50000])), readerFunc(func([]byte) (int, error) { say(); select {} }))
	return s.Image("").Put(context.Background(), document.Describe("a/b", raw), func(int64) (io.ReadCloser, error) { return io.NopCloser(half), nil })
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestTwentyProcessesTag(t *testing.T) {
	s := newStore(t)
	var p pool
	p.addImage(noise(1, 10))
	pull(t, s, &p, "image")
	var all []*process
	want := []string{"image"}
	for i := range 20 {
		name := fmt.Sprintf("name-%02d", i)
		want = append(want, name)
		all = append(all, start(t, "tag", s.Path(), name))
	}
	for _, p := range all {
		p.succeeds(t)
	}
	images, err := s.Images()
	var got []string
	for _, i := range images {
		got = append(got, i.Name)
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("names = %q, %v; want %q", got, err, want)
	}
}

func TestProcessesPullTheSameWhileGCRuns(t *testing.T) {
	root := t.TempDir()
	var all []*process
	for i := range 8 {
		all = append(all, start(t, "pull", root, strconv.Itoa(i)), start(t, "gc", root, ""))
	}
	for _, p := range all {
		p.succeeds(t)
	}
	s := openStore(t, root)
	if images, err := s.Images(); err != nil || len(images) != 8 {
		t.Errorf("images = %v, %v; want 8", images, err)
	}
	checkConsistent(t, s)
	if got := gc(t, s, GCOptions{DryRun: true}); got != "" {
		t.Errorf("garbage:\n%s", got)
	}
}

func TestProcessesMakeALayerOnce(t *testing.T) {
	root, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	var all []*process
	for range 6 {
		all = append(all, start(t, "layer", root, log))
	}
	for _, p := range all {
		p.succeeds(t)
	}
	if raw, err := os.ReadFile(log); err != nil || string(raw) != "made\n" {
		t.Errorf("log = %q, %v; want one line", raw, err)
	}
}

func TestSecondProcessWaitsAndFindsTheBlob(t *testing.T) {
	root := t.TempDir()
	first := start(t, "half", root, "")
	first.event(t)
	s := openStore(t, root)
	raw := noise(1, 100000)
	d := document.Describe("a/b", raw)
	opened := make(chan int64, 1)
	done := make(chan error)
	go func() {
		done <- s.Image("").Put(t.Context(), d, func(offset int64) (io.ReadCloser, error) {
			opened <- offset
			return io.NopCloser(strings.NewReader(string(raw[offset:]))), nil
		})
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Image("").Put(ctx, d, func(int64) (io.ReadCloser, error) { return nil, errors.New("opened by two") })
	expectError(t, err, context.Canceled, "") // waiting for the file's lock, or for the other one of this process
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if offset := <-opened; offset != 50000 {
		t.Errorf("went on at %d, want 50000", offset)
	}
}

// helpWork does everything, again and again, each time as a process of its own
// would: GC runs in between.
func helpWork(s *Store, word string) error {
	seed, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 2))
	say()
	for range 1000 {
		one, err := Open(s.Path())
		if err == nil {
			err = errors.Join(workOnce(one, r), one.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func workOnce(s *Store, r *rand.Rand) error {
	ctx := context.Background()
	n := r.Uint64N(5)
	bundle := filepath.Join(filepath.Dir(s.Path()), "bundle-"+strconv.FormatUint(n, 10))
	switch r.IntN(6) {
	case 0, 1, 2:
		p, chains := sharedImage(n)
		if _, err := transport.Copy(ctx, p, s.Image("work-"+strconv.FormatUint(n, 10)), transport.CopyOptions{}); err != nil {
			return err
		}
		if err := s.PinBundle(Bundle{Path: bundle, Manifest: p.root, Mode: "overlay", Form: "copy", ChainIDs: chains}); err != nil {
			return err
		}
		for _, id := range chains {
			if _, err := s.Layer(ctx, id, "copy", fillSlowly(id)); err != nil {
				return err
			}
		}
		return os.MkdirAll(bundle, 0o700)
	case 3:
		if err := s.Untag("work-" + strconv.FormatUint(n, 10)); !errors.Is(err, ErrNotExist) {
			return err
		}
		return nil
	case 4:
		if err := os.RemoveAll(bundle); err != nil {
			return err
		}
		return s.UnpinBundle(bundle)
	}
	_, err := s.GC(ctx, GCOptions{Wait: true})
	return err
}

// checkConsistent looks at all that has a name: it is complete.
func checkConsistent(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, name := range names(t, s, layersDir) {
		if strings.HasPrefix(name, ".") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(s.Path(), layersDir, name, "chain"))
		if got := chainName(digest.Digest(raw)) + "copy"; err != nil || got != name {
			t.Errorf("layer %s is of %q, %v", name, raw, err)
		}
	}
	if _, err := s.Bundles(); err != nil {
		t.Error(err)
	}
}

// Two workers at a time are killed at random points.
func TestKilledProcesses(t *testing.T) {
	kills := 120
	if testing.Short() {
		kills = 10
	}
	root := filepath.Join(t.TempDir(), "store")
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	for killed := 0; killed < kills && !t.Failed(); {
		pair := []*process{start(t, "work", root, fmt.Sprint(r.Uint32())), start(t, "work", root, fmt.Sprint(r.Uint32()))}
		for _, p := range pair {
			p.event(t)
		}
		for _, p := range pair {
			time.Sleep(time.Duration(r.IntN(60000)) * time.Microsecond) // the point is random
			if err := p.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			if _ = p.Wait(); p.stderr.Len() > 0 {
				t.Errorf("after %d kills: %s", killed, &p.stderr)
			}
			killed++
		}
		s := openStore(t, root)
		checkConsistent(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	start(t, "pull", root, "3").succeeds(t)
	s := openStore(t, root)
	checkConsistent(t, s)
	images, err := s.Images()
	if err != nil {
		t.Fatal(err)
	}
	bundles, err := s.Bundles()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range images {
		if err := s.Untag(i.Name); err != nil {
			t.Error(err)
		}
	}
	for _, b := range bundles {
		if err := os.RemoveAll(b.Path); err != nil {
			t.Error(err)
		}
	}
	gc(t, s, GCOptions{})
	for _, dir := range []string{"blobs/sha256", partialDir, layersDir, bundlesDir, volumesDir} {
		expectNames(t, s, dir)
	}
	expectNames(t, s, ".", "blobs", "bundles", "index.json", "layers", "lock", "oci-layout", "partial", "volumes")
}
