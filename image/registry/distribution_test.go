// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/document"
)

// distribution starts Debian's docker-registry on a loopback port.
func distribution(t testing.TB) (host string) {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not installed")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host = free.Addr().String()
	dir := t.TempDir()
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", dir, host)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_ = free.Close()
	cmd := exec.Command(program, "serve", file)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(said.String())
		}
	})
	for range 500 {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			_ = resp.Body.Close()
			return host
		}
		time.Sleep(20 * time.Millisecond) // it has no other way to say that it listens
	}
	t.Fatal("docker-registry does not listen")
	return ""
}

// TestDistribution pushes an image to the registry that most others descend
// from, pulls it back, and lets skopeo look at it.
func TestDistribution(t *testing.T) {
	host := distribution(t)
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`)
	layer := bytes.Repeat([]byte("layer"), 1<<18)
	parts := map[string][]byte{}
	add := func(mediaType string, raw []byte) ocispec.Descriptor {
		d := document.Describe(mediaType, raw)
		parts[d.Digest.String()] = raw
		return d
	}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: add(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{add(ocispec.MediaTypeImageLayer, layer)}}
	m.SchemaVersion = 2
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	root := add(m.MediaType, raw)
	repo := openName(t, host+"/team/app:1", quick(t))
	for _, d := range []ocispec.Descriptor{m.Config, m.Layers[0], root} {
		if has, err := repo.Has(t.Context(), d); has || err != nil {
			t.Fatalf("Has %s = %v, %v, want false", d.MediaType, has, err)
		}
		open := func(offset int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(parts[d.Digest.String()][offset:])), nil
		}
		if err := repo.Put(t.Context(), d, open); err != nil {
			t.Fatal(err)
		}
		if has, err := repo.Has(t.Context(), d); !has || err != nil {
			t.Fatalf("Has %s = %v, %v, want true", d.MediaType, has, err)
		}
	}
	if err := repo.Finish(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	got, err := repo.Resolve(t.Context())
	if err != nil || got.Digest != root.Digest || got.MediaType != root.MediaType || got.Size != root.Size {
		t.Errorf("resolved %+v, %v, want %+v", got, err, root)
	}
	for _, d := range []ocispec.Descriptor{m.Config, m.Layers[0], root} {
		for _, offset := range []int64{0, 7, d.Size} {
			if got, err := fetch(repo, d, offset); got != string(parts[d.Digest.String()][offset:]) || err != nil {
				t.Errorf("%s from %d: %d bytes, %v", d.MediaType, offset, len(got), err)
			}
		}
	}
	o := quick(t)
	o.MountFrom = []string{"team/app"}
	never := func(int64) (io.ReadCloser, error) { return nil, fmt.Errorf("was not mounted") }
	if err := openName(t, host+"/team/other:1", o).Put(t.Context(), m.Layers[0], never); err != nil {
		t.Error(err)
	}
	if tags, err := Tags(t.Context(), repo.Name(), quick(t)); err != nil || len(tags) != 1 || tags[0] != "1" {
		t.Errorf("tags = %q, %v, want 1", tags, err)
	}
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("skopeo is not installed")
	}
	out, err := exec.Command(skopeo, "inspect", "--tls-verify=false", "docker://"+repo.Name().String()).Output()
	var inspected struct{ Digest, Os string }
	if err != nil || json.Unmarshal(out, &inspected) != nil || inspected.Digest != root.Digest.String() || inspected.Os != "linux" {
		t.Errorf("skopeo inspect: %v, %s, want the digest %s", err, out, root.Digest)
	}
}

func BenchmarkPull(b *testing.B) {
	repo := openName(b, distribution(b)+"/a", quick(b))
	raw := string(bytes.Repeat([]byte("layer"), 20<<20))
	d := describe(ocispec.MediaTypeImageLayer, raw)
	if err := repo.Put(b.Context(), d, opener(raw)); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(d.Size)
	for b.Loop() {
		body, err := repo.Fetch(b.Context(), d, 0)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, body); n != d.Size || err != nil {
			b.Fatal(n, err)
		}
		_ = body.Close()
	}
}
