// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"berth/image/layer"
)

// The test binary is also the confined applier.
func TestMain(m *testing.M) {
	if status, ours := layer.Main(); ours {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// extractor is Extract or Confined.
type extractor func(context.Context, *os.File, io.Reader, ocispec.Descriptor, digest.Digest, layer.Options) (layer.Result, error)

// An item is one header with its contents; raw ones are appended as they are.
type item struct {
	h    tar.Header
	data string
	raw  []byte
}

// epoch is the time of all entries that are given none.
var epoch = time.Unix(1000000000, 0)

func entry(kind byte, name string, mode int64) item {
	return item{h: tar.Header{Typeflag: kind, Name: name, Mode: mode, ModTime: epoch, Format: tar.FormatPAX}}
}

func file(name, data string) item {
	i := entry(tar.TypeReg, name, 0o644)
	i.data, i.h.Size = data, int64(len(data))
	return i
}

func folder(name string) item { return entry(tar.TypeDir, name, 0o755) }

func symlink(name, to string) item {
	i := entry(tar.TypeSymlink, name, 0o777)
	i.h.Linkname = to
	return i
}

func hardlink(name, to string) item {
	i := entry(tar.TypeLink, name, 0o644)
	i.h.Linkname = to
	return i
}

func fifo(name string) item { return entry(tar.TypeFifo, name, 0o600) }

func device(kind byte, name string, major, minor int64) item {
	i := entry(kind, name, 0o600)
	i.h.Devmajor, i.h.Devminor = major, minor
	return i
}

func (i item) mode(mode int64) item { i.h.Mode = mode; return i }

func (i item) owner(uid, gid int) item { i.h.Uid, i.h.Gid = uid, gid; return i }

func (i item) at(t time.Time) item { i.h.ModTime = t; return i }

func (i item) xattr(name, value string) item {
	records := map[string]string{"SCHILY.xattr." + name: value}
	for k, v := range i.h.PAXRecords {
		records[k] = v
	}
	i.h.PAXRecords = records
	return i
}

func raw(b []byte) item { return item{raw: b} }

// verbatim encodes what archive/tar's writer refuses.
func (i item) verbatim() []byte {
	records := paxRecord("path", i.h.Name)
	if i.h.Linkname != "" {
		records += paxRecord("linkpath", i.h.Linkname)
	}
	for _, k := range slices.Sorted(maps.Keys(i.h.PAXRecords)) {
		records += paxRecord(k, i.h.PAXRecords[k])
	}
	h := header(i.h.Typeflag, "x", "", i.h.Size, func(h []byte) {
		copy(h[100:], fmt.Sprintf("%07o\x00", i.h.Mode&0o7777777))
		base256(h[329:337], i.h.Devmajor)
		base256(h[337:345], i.h.Devminor)
	})
	return slices.Concat(pax('x', records).raw, h, padded(i.data))
}

// archive writes a tar with its end.
func archive(items ...item) []byte {
	var b bytes.Buffer
	for _, i := range items {
		if i.raw != nil {
			b.Write(i.raw)
			continue
		}
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&i.h); err != nil {
			b.Write(i.verbatim())
			continue
		}
		if _, err := io.WriteString(w, i.data); err != nil {
			panic("BUG: " + err.Error())
		}
		if err := w.Flush(); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	b.Write(make([]byte, 1024))
	return b.Bytes()
}

// header is a ustar header as it stands in the archive, checksum included,
// after edit has changed it: for what no writer writes.
func header(kind byte, name, link string, size int64, edit func(h []byte)) []byte {
	h := make([]byte, 512)
	copy(h[0:100], name)
	copy(h[100:], "0000644\x00")
	copy(h[108:], "0000000\x00")
	copy(h[116:], "0000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[136:], fmt.Sprintf("%011o\x00", epoch.Unix()))
	h[156] = kind
	copy(h[157:257], link)
	copy(h[257:], "ustar\x0000")
	if edit != nil {
		edit(h)
	}
	copy(h[148:156], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// padded fills contents up to whole records.
func padded(data string) []byte {
	return append([]byte(data), make([]byte, (512-len(data)%512)%512)...)
}

// paxRecord is one line of an extended header.
func paxRecord(key, value string) string {
	n := len(key) + len(value) + 3
	for size := n + 1; ; size++ {
		if s := fmt.Sprintf("%d %s=%s\n", size, key, value); len(s) == size {
			return s
		}
	}
}

// pax is an extended header, 'x' for the next entry or 'g' for all.
func pax(kind byte, records string) item {
	return raw(append(header(kind, "PaxHeader", "", int64(len(records)), nil), padded(records)...))
}

// manyFiles is an archive of small files in directories of a hundred.
func manyFiles(n int) []byte {
	var items []item
	for i := range n {
		if i%100 == 0 {
			items = append(items, folder("d"+strconv.Itoa(i/100)))
		}
		items = append(items, file(fmt.Sprintf("d%d/f%d", i/100, i), "some contents\n"))
	}
	return archive(items...)
}

// describe is the descriptor of a blob.
func describe(blob []byte, mediaType string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(blob), Size: int64(len(blob))}
}

// openDir opens a directory until the test's end.
func openDir(tb testing.TB, name string) *os.File {
	tb.Helper()
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = f.Close() })
	return f
}
