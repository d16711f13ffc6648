// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"berth/image/layer"
)

// What a hostile archive may cost its applier.
const (
	mostMemory = 256 << 20
	mostTime   = 10 * time.Second
)

// cheap fails if something took longer, or a child of ours had more memory. The
// kernel counts what we have while a child is started as the child's.
func cheap(t *testing.T, name string, began time.Time) {
	t.Helper()
	if took := time.Since(began); took > mostTime {
		t.Errorf("%s: took %v, want at most %v", name, took, mostTime)
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &usage); err != nil {
		t.Fatal(err)
	}
	if memory := usage.Maxrss << 10; memory > mostMemory {
		t.Fatalf("%s: %d MiB of memory, want at most %d", name, memory>>20, mostMemory>>20)
	}
}

// windowed is a tar of one empty file and size zeros after it, in a zstd frame
// that needs a window of 2^log bytes; RFC 8878, 3.1.1.
func windowed(log uint, size int) (blob []byte, diffID digest.Digest) {
	const most = 128 << 10 // bytes of a block
	const raw, repeated, last = 0 << 1, 1 << 1, 1
	tarball := archive(file("f", ""))
	blob = append(binary.LittleEndian.AppendUint32(nil, 0xFD2FB528), 0, byte(log-10)<<3)
	block := func(kind, n int) {
		header := uint32(n)<<3 | uint32(kind)
		blob = append(blob, byte(header), byte(header>>8), byte(header>>16))
	}
	block(raw, len(tarball))
	blob = append(blob, tarball...)
	sum := sha256.New()
	sum.Write(tarball)
	zeros := make([]byte, most)
	for left := size; left > 0; left -= most {
		kind := repeated
		if left <= most {
			kind |= last
		}
		block(kind, most)
		blob = append(blob, 0)
		sum.Write(zeros)
	}
	return blob, digest.NewDigest(digest.SHA256, sum)
}

func TestWindowsOfZstdAreBounded(t *testing.T) {
	for _, test := range []struct {
		name   string
		log    uint
		limits layer.Limits
		want   error
	}{
		{"the largest window that encoders make, filled", 27, layer.Limits{}, nil},
		{"the same as a bomb", 27, layer.DefaultLimits(), layer.ErrLimit},
		{"a larger one", 28, layer.Limits{}, layer.ErrArchive},
		{"the largest of the format", 41, layer.Limits{}, layer.ErrArchive},
	} {
		blob, diffID := windowed(test.log, 300<<20)
		dir, err := os.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		d := describe(blob, ocispec.MediaTypeImageLayerZstd)
		_, err = layer.Confined(t.Context(), dir, bytes.NewReader(blob), d, diffID, layer.Options{Limits: test.limits, Rootless: os.Geteuid() != 0})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		cheap(t, test.name, began)
		_ = dir.Close() // read only
	}
}
