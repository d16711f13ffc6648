// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"archive/tar"
	"fmt"
	"strings"
)

// attackHeaders: where two readers of tar may disagree, and damage.
func attackHeaders(w string) []attack {
	inner := string(header('0', "smuggled", "", 0, nil)) + strings.Repeat("\x00", 512)
	long := func(kind byte, name string) item {
		return raw(append(header(kind, "././@LongLink", "", int64(len(name)), nil), padded(name)...))
	}
	all := []attack{
		// CVE-2025-62518: the size of the extended header counts.
		one("pax size over ustar size", pax('x', paxRecord("size", "1024")), raw(header('0', "f", "", 0, nil)), raw([]byte(inner))),
		one("pax size zero", pax('x', paxRecord("size", "0")), raw(header('0', "f", "", 1024, nil)), raw([]byte(inner))),
		one("pax size negative", pax('x', paxRecord("size", "-1")), raw(header('0', "f", "", 0, nil))),
		one("pax size too large", pax('x', paxRecord("size", "99999999999999999999")), raw(header('0', "f", "", 0, nil))),
		one("size negative in base 256", raw(header('0', "f", "", 0, func(h []byte) { base256(h[124:136], -512) }))),
		one("size not a number", raw(header('0', "f", "", 0, func(h []byte) { copy(h[124:], "abcdefghijk\x00") }))),
		one("size beyond the archive", raw(header('0', "f", "", 1<<20, nil))),
		one("pax path", pax('x', paxRecord("path", "../../p")), raw(header('0', "f", "", 0, nil))),
		one("pax path to the witness", pax('x', paxRecord("path", w+"/secret")), raw(header('0', "f", "", 0, nil))),
		one("pax path with NUL", pax('x', paxRecord("path", "a\x00b")), raw(header('0', "f", "", 0, nil))),
		one("pax linkpath", pax('x', paxRecord("linkpath", w)), raw(header('2', "l", "x", 0, nil)), file("l/secret", "evil")),
		one("pax record without a newline", pax('x', "10 path=abc"), file("f", "")),
		one("pax record with a wrong length", pax('x', "99 path=abc\n"), file("f", "")),
		one("pax record with a length of zero", pax('x', "0 path=abc\n"), file("f", "")),
		one("pax record with a negative length", pax('x', "-5 path=abc\n"), file("f", "")),
		one("pax header twice", pax('x', paxRecord("path", "one")), pax('x', paxRecord("path", "two")), file("f", "")),
		one("pax header without an entry", pax('x', paxRecord("path", "one"))),
		one("pax header of 2 MiB", pax('x', paxRecord("comment", strings.Repeat("x", 2<<20))), file("f", "")),
		one("pax header claims 1 TiB", raw(header('x', "PaxHeader", "", 1<<40, nil))),
		one("pax global header", pax('g', paxRecord("path", "evil")+paxRecord("uid", "7")), file("f", "")),
		one("pax global header named as a whiteout", raw(header('g', ".wh...", "", 0, nil)), file("f", "")),
		one("pax time that is none", pax('x', paxRecord("mtime", "never")), file("f", "")),
		one("GNU long name", long('L', "../"+strings.Repeat("g", 120)+"\x00"), raw(header('0', "f", "", 0, nil))),
		one("GNU long name with NUL", long('L', "a\x00/../../x"), raw(header('0', "f", "", 0, nil))),
		one("GNU long name of 2 MiB", long('L', strings.Repeat("x", 2<<20)), raw(header('0', "f", "", 0, nil))),
		one("GNU long link", long('K', w+"/secret\x00"), raw(header('1', "h", "", 0, nil))),
		one("GNU long name and pax path", long('L', "gnu\x00"), pax('x', paxRecord("path", "pax")), raw(header('0', "f", "", 0, nil))),
		one("ustar prefix", raw(header('0', "x", "", 0, func(h []byte) { copy(h[345:], "../..") }))),
		one("ustar name without NUL", raw(header('0', strings.Repeat("n", 100), "", 0, nil))),
		one("hard link with a size", raw(header('1', "h", "f", 512, nil)), raw(padded("data"))),
		one("directory with a size", raw(header('5', "d", "", 512, nil)), file("f", "")),
		one("old directory: file with a slash", raw(header(0, "d/", "", 0, nil)), file("d/f", "")),
		one("file with a slash", raw(header('0', "f/", "", 0, nil))),
		one("checksum wrong", raw(append(header('0', "f", "", 0, nil)[:511], 'x'))),
		one("noise", raw([]byte(strings.Repeat("noise!!!", 128)))),
		one("one block of zeros, then a file", raw(make([]byte, 512)), file("f", "evil")),
		one("a file after the end", file("f", "x"), raw(make([]byte, 1024)), file("hidden", "evil")),
		one("an empty archive"),
		one("socket by its mode", entry(tar.TypeReg, "s", 0o140755), file("f", "")),
		one("mode of all bits", raw(header('0', "f", "", 0, func(h []byte) { copy(h[100:], "0007777\x00") }))),
		one("mode with a file's type", raw(header('0', "f", "", 0, func(h []byte) { copy(h[100:], "0100644\x00") }))),
		one("mode negative", raw(header('0', "f", "", 0, func(h []byte) { base256(h[100:108], -1) }))),
		one("contiguous file", raw(header('7', "f", "", 3, nil)), raw(padded("abc"))),
		{name: "truncated in a header", layers: [][]byte{archive(file("f", "x"))[:700]}},
		{name: "truncated in a header's first bytes", layers: [][]byte{archive(file("f", "x"))[:1100]}},
		{name: "truncated in a file", layers: [][]byte{archive(file("f", strings.Repeat("x", 5000)))[:2000]}},
		{name: "truncated before the end", layers: [][]byte{archive(file("f", "x"))[:1024]}},
		{name: "nothing at all", layers: [][]byte{{}}},
	}
	for _, kind := range "sVMDNAIXZ8~\x80" {
		all = append(all, one(fmt.Sprintf("type %q", kind), raw(header(byte(kind), "f", "", 0, nil))))
	}
	return all
}

// gnuSparse is a header of the old GNU format with up to four pieces.
func gnuSparse(size, realSize int64, pieces ...[2]int64) []byte {
	return header('S', "sparse", "", size, func(h []byte) {
		copy(h[257:], "ustar  \x00")
		for i, p := range pieces {
			base256(h[386+24*i:398+24*i], p[0])
			base256(h[398+24*i:410+24*i], p[1])
		}
		base256(h[483:495], realSize)
	})
}

// attackSparse: maps that lie, and files that are mostly holes.
func attackSparse(string) []attack {
	data := raw(padded(strings.Repeat("d", 512)))
	sparse01 := func(size, m string) item {
		return pax('x', paxRecord("GNU.sparse.size", size)+paxRecord("GNU.sparse.numblocks", fmt.Sprint((strings.Count(m, ",")+1)/2))+paxRecord("GNU.sparse.map", m))
	}
	sparse10 := func(size string) item {
		return pax('x', paxRecord("GNU.sparse.major", "1")+paxRecord("GNU.sparse.minor", "0")+
			paxRecord("GNU.sparse.name", "sparse10")+paxRecord("GNU.sparse.realsize", size))
	}
	body := padded("1\n8192\n512\n")
	return []attack{
		one("sparse of GNU", raw(gnuSparse(512, 1<<20, [2]int64{65536, 512})), data),
		one("sparse of GNU, all hole", raw(gnuSparse(0, 1<<20, [2]int64{1 << 20, 0}))),
		one("sparse of GNU, piece beyond its end", raw(gnuSparse(512, 1024, [2]int64{4096, 512})), data),
		one("sparse of GNU, pieces overlap", raw(gnuSparse(1024, 4096, [2]int64{0, 512}, [2]int64{256, 512})), data, data),
		one("sparse of GNU, negative piece", raw(gnuSparse(512, 4096, [2]int64{-512, 512})), data),
		one("sparse of GNU, sum overflows", raw(gnuSparse(512, 1<<62, [2]int64{1<<62 - 1, 1<<62 - 1})), data),
		one("sparse of GNU, 4 EiB", raw(gnuSparse(0, 1<<62, [2]int64{1 << 62, 0}))),
		one("sparse of GNU, more pieces that are missing", raw(header('S', "s", "", 0, func(h []byte) { copy(h[257:], "ustar  \x00"); h[482] = 1 }))),
		one("sparse of GNU named as a parent", raw(gnuSparse(512, 4096, [2]int64{0, 512})), data, file("sparse/x", "")),
		one("sparse 0.1", sparse01("12288", "4096,512"), raw(header('0', "s", "", 512, nil)), data),
		one("sparse 0.1, odd map", sparse01("4096", "0,512,1"), raw(header('0', "s", "", 512, nil)), data),
		one("sparse 0.1, noise", sparse01("4096", "a,b"), raw(header('0', "s", "", 512, nil)), data),
		one("sparse 0.1, 1 PiB", sparse01(fmt.Sprint(1<<50), "0,512"), raw(header('0', "s", "", 512, nil)), data),
		one("sparse 1.0", sparse10("16384"), raw(header('0', "x", "", 1024, nil)), raw(body), data),
		one("sparse 1.0, map is missing", sparse10("16384"), raw(header('0', "x", "", 0, nil))),
		one("sparse 1.0, map without an end", sparse10("16384"), raw(header('0', "x", "", 512, nil)), raw([]byte(strings.Repeat("9", 512)))),
		one("sparse 1.0, name above the root", pax('x', paxRecord("GNU.sparse.major", "1")+paxRecord("GNU.sparse.minor", "0")+
			paxRecord("GNU.sparse.name", "../../evil")+paxRecord("GNU.sparse.realsize", "16384")), raw(header('0', "x", "", 1024, nil)), raw(body), data),
	}
}
