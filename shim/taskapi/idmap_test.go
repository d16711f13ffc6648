// SPDX-License-Identifier: Apache-2.0

package taskapi

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"berth/libcontainer"
)

// Who removes the bundle of a shim that was killed must not remove shared layers.
func TestLayersThatAKilledShimLeaves(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	bundle, layer := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(layer, "shared"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { forgetLayers(bundle) })
	at := filepath.Join(bundle, layerPrefix+"0")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	maps, err := parseMap("0:100000:65536")
	if err != nil {
		t.Fatal(err)
	}
	ns, err := libcontainer.OpenUserNamespace(maps, maps)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := mapAt(layer, at, ns, unix.MOUNT_ATTR_RDONLY); errors.Is(err, unix.EINVAL) {
		t.Skip("the file system of temporary files cannot be id-mapped")
	} else if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(at, "shared")); !errors.Is(err, unix.EROFS) {
		t.Errorf("a layer can be written to: %v", err)
	}
	forgetLayers(bundle)
	if _, err := os.Lstat(at); !os.IsNotExist(err) {
		t.Errorf("left: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(layer, "shared")); err != nil {
		t.Error(err)
	}
}
