// SPDX-License-Identifier: Apache-2.0

package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"berth/image/document"
)

// peer runs another tool, with its temporary files out of the way.
func peer(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "HOME="+t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out)
}

func skopeo(t *testing.T, from, to string) {
	t.Helper()
	peer(t, "skopeo", "--insecure-policy", "copy", "--quiet", from, to)
}

// TestSkopeoReadsOurs, and what it made of it is the same image to us.
func TestSkopeoReadsOurs(t *testing.T) {
	// skopeo compresses what is not when it writes a layout.
	m := imageOf(t, func(int) bool { return true }, "a", "b", "c", "b")
	dir := t.TempDir()
	for _, ours := range []string{"oci:" + dir + "/layout:x", "oci-archive:" + dir + "/oci.tar:x", "docker-archive:" + dir + "/docker.tar:busybox:1"} {
		m.store(t, ours)
		for _, kind := range []string{"oci:", "oci-archive:", "docker-archive:"} {
			theirs := kind + filepath.Join(t.TempDir(), "copy") + ":busybox:2"
			skopeo(t, ours, theirs)
			got := load(t, theirs)
			fromOCI, toOCI := strings.HasPrefix(ours, "oci"), strings.HasPrefix(kind, "oci")
			switch {
			case !reflect.DeepEqual(got.config(t).RootFS, m.config(t).RootFS):
				t.Errorf("%s → %s: other layers", ours, theirs)
			case fromOCI == toOCI && !bytes.Equal(got.config(t).Raw, m.config(t).Raw): // else skopeo rewrites it
				t.Errorf("%s → %s: another config", ours, theirs)
			case fromOCI && toOCI && got.root.Digest != m.root.Digest:
				t.Errorf("%s → %s: another manifest", ours, theirs)
			}
		}
	}
}

// TestThereAndBack: a docker-archive of skopeo's goes through ours and back.
func TestThereAndBack(t *testing.T) {
	m := newImage(t, "a", "b")
	dir := t.TempDir()
	m.store(t, "oci:"+dir+"/layout:x")
	skopeo(t, "oci:"+dir+"/layout:x", "docker-archive:"+dir+"/theirs.tar:busybox:1")
	load(t, dir+"/theirs.tar").store(t, "docker-archive:"+dir+"/ours.tar:busybox:1")
	skopeo(t, "docker-archive:"+dir+"/ours.tar:busybox:1", "oci:"+dir+"/back:x")
	if got := load(t, "oci:"+dir+"/back:x"); !reflect.DeepEqual(got.config(t).RootFS, m.config(t).RootFS) {
		t.Error("other layers came back")
	}
	if got := load(t, "docker-archive:"+dir+"/ours.tar"); !bytes.Equal(got.config(t).Raw, load(t, dir+"/theirs.tar").config(t).Raw) {
		t.Error("another config came back")
	}
}

func TestUmociReadsOurs(t *testing.T) {
	m := newImage(t, "a", "b")
	dir := t.TempDir()
	m.store(t, "oci:"+dir+"/layout:x")
	m.store(t, "oci:"+dir+"/layout:y")
	if got := peer(t, "umoci", "list", "--layout", dir+"/layout"); got != "x\ny\n" {
		t.Errorf("umoci lists %q", got)
	}
	var stat struct {
		History []struct {
			Layer *struct{ Digest string }
		}
	}
	if err := json.Unmarshal([]byte(peer(t, "umoci", "stat", "--image", dir+"/layout:x", "--json")), &stat); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		peer(t, "umoci", "unpack", "--image", dir+"/layout:x", dir+"/bundle")
		if got, err := os.ReadFile(dir + "/bundle/rootfs/file-b"); err != nil || string(got) != strings.Repeat("b", 1000) {
			t.Errorf("unpacked %d bytes, %v", len(got), err)
		}
	}
	// umoci's own tag, and its garbage collection, leave what we made.
	peer(t, "umoci", "tag", "--image", dir+"/layout:x", "z")
	peer(t, "umoci", "gc", "--layout", dir+"/layout")
	if got := load(t, "oci:"+dir+"/layout:z"); !reflect.DeepEqual(got.blobs, m.blobs) {
		t.Error("another image came back")
	}
}

// TestUmociMadeLayout: an empty layout of umoci's takes our images.
func TestUmociMadeLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layout")
	peer(t, "umoci", "init", "--layout", dir)
	m := newImage(t, "a")
	m.store(t, "oci:"+dir+":x")
	if got := load(t, "oci:"+dir); got.root.Digest != m.root.Digest {
		t.Error("another image came back")
	}
	peer(t, "umoci", "new", "--image", dir+":empty")
	if got := load(t, "oci:"+dir+":empty"); document.CheckImage(got.manifest(t), got.config(t)) != nil {
		t.Error("umoci's empty image is none to us")
	}
}

// TestPodmanLoadsOurs into a storage of the test's.
func TestPodmanLoadsOurs(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	m := newImage(t, "a", "b", "a")
	dir := t.TempDir()
	m.store(t, "docker-archive:"+dir+"/docker.tar:busybox:ours")
	m.store(t, "oci-archive:"+dir+"/oci.tar:busybox:ours")
	for _, archive := range []string{"docker.tar", "oci.tar"} {
		storage := []string{"--root", t.TempDir(), "--runroot", t.TempDir(), "--storage-driver", "vfs", "--tmpdir", t.TempDir()}
		peer(t, "podman", append(storage, "load", "--quiet", "--input", filepath.Join(dir, archive))...)
		got := strings.TrimSpace(peer(t, "podman", append(storage, "images", "--no-trunc", "--format", "{{.ID}}")...))
		if want := m.manifest(t).Config.Digest.String(); got != want {
			t.Errorf("%s: podman has %s, want %s", archive, got, want)
		}
	}
}
