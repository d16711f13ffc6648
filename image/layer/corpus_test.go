// SPDX-License-Identifier: Apache-2.0

package layer_test

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"berth/image/layer"
)

// attack is a stack of layers, the lowest first. The last one is hostile or odd.
type attack struct {
	name   string
	layers [][]byte
	limits layer.Limits
}

// one is an attack by a single layer.
func one(name string, items ...item) attack {
	return attack{name: name, layers: [][]byte{archive(items...)}}
}

// two is an attack on what a layer below has.
func two(name string, below []item, items ...item) attack {
	return attack{name: name, layers: [][]byte{archive(below...), archive(items...)}}
}

// within sets limits.
func (a attack) within(l layer.Limits) attack { a.limits = l; return a }

// corpus has all attack classes; w is the absolute path of a tree that none of
// them may touch.
func corpus(w string) []attack {
	var all []attack
	for _, class := range []func(string) []attack{
		attackNames, attackLinks, attackHardLinks, attackRoot, attackWhiteouts, attackReplacements,
		attackDevices, attackXattrs, attackIDs, attackHeaders, attackSparse, attackLimits,
	} {
		all = append(all, class(w)...)
	}
	return all
}

// attackNames: names that lead above the root, for each type of entry.
func attackNames(w string) []attack {
	var all []attack
	names := []string{
		"../x", "../../../../../../../../x", "/../x", "a/../../x", "./../x", "..", "/..", "../", "a/..", "a/../..",
		"//x", "/x", "a//b", "./x", "a/./b", "x/.", w + "/secret", "../witness/secret", "x/../../witness/dir/x",
		"\xff\xfe", "a\nb", "..x", "x..", "...", " ", "-rf", "a\\..\\b", strings.Repeat("n", 255), strings.Repeat("n", 256),
		strings.Repeat("d/", 100) + "x", strings.Repeat("long/", 900) + "x",
	}
	for _, n := range names {
		short := n
		if len(n) > 40 && n != w+"/secret" {
			short = fmt.Sprintf("%s…(%d)", n[:5], len(n))
		}
		all = append(all,
			one(fmt.Sprintf("name %q file", short), file(n, "evil")),
			one(fmt.Sprintf("name %q directory", short), folder(n).mode(0o777)),
			one(fmt.Sprintf("name %q link", short), symlink(n, w)),
			one(fmt.Sprintf("name %q fifo", short), fifo(n)))
	}
	return append(all,
		one("name empty by pax", pax('x', paxRecord("path", "")), raw(header('0', "", "", 0, nil))),
		one("name upper and lower case", file("Name", "1"), file("name", "22")),
		one("name with control characters", file("\x1b[2J\x07", "x")))
}

// attackLinks: a symbolic link, and an entry through it or in its place.
func attackLinks(w string) []attack {
	var all []attack
	targets := []string{w, "../witness", "/", ".", "../../../../../../..", "/proc/self/root" + w, w + "/secret", "l", "missing/dir", "/l2"}
	for _, to := range targets {
		short := strings.ReplaceAll(to, w, "W")
		link := []item{symlink("l", to), symlink("l2", "l3"), symlink("l3", w)}
		for _, through := range []struct {
			what  string
			items []item
		}{
			{"file", []item{file("l/x", "evil")}},
			{"directory", []item{folder("l/dir").mode(0o777)}},
			{"file in a new directory", []item{file("l/new/x", "evil")}},
			{"fifo", []item{fifo("l/x")}},
			{"link", []item{symlink("l/x", "/etc"), file("l/x/y", "evil")}},
			{"replacing file", []item{file("l", "evil")}},
			{"replacing directory", []item{folder("l").mode(0o777).owner(1, 1), file("l/x", "evil")}},
			{"hard link", []item{hardlink("h", "l/secret"), file("h", "evil")}},
			{"hard link into", []item{file("f", "f"), hardlink("l/x", "f")}},
			{"whiteout", []item{file("l/.wh.secret", "")}},
			{"opaque", []item{file("l/.wh..wh..opq", "")}},
			{"whiteout of itself", []item{file(".wh.l", "")}},
		} {
			all = append(all,
				one("link "+short+" "+through.what, append(link[:len(link):len(link)], through.items...)...),
				two("link below "+short+" "+through.what, link, through.items...))
		}
	}
	var chain []item
	for i := range 45 {
		chain = append(chain, symlink(fmt.Sprintf("c%d", i), fmt.Sprintf("c%d", i+1)))
	}
	return append(all,
		one("link loop", symlink("a", "b"), symlink("b", "a"), file("a/x", "evil")),
		one("link chain of 45", append(chain, folder("c45"), file("c0/x", "evil"))...),
		one("link target of 5000 bytes", symlink("a", strings.Repeat("x/", 2500))),
		one("link in several steps", folder("a"), symlink("a/b", ".."), symlink("a/b/c", ".."), file("a/b/c/witness/secret", "evil")),
		one("link to the root's parent by parts", symlink("a", ".."), symlink("b", "a/.."), symlink("c", "b/.."), file("c/witness/x", "evil")),
		one("link then directory with its name and a slash", symlink("l", w), entry(tar.TypeDir, "l/", 0o777), file("l/secret", "evil")),
		one("link to itself through a directory", folder("d"), symlink("d/l", "../d"), file("d/l/l/l/l/x", "ok")),
	)
}

// attackHardLinks: links to files outside, and writing through links.
func attackHardLinks(w string) []attack {
	return []attack{
		one("hard link to an absolute path", hardlink("h", w+"/secret"), file("h", "evil")),
		one("hard link above the root", hardlink("h", "../witness/secret"), entry(tar.TypeReg, "h", 0o777)),
		one("hard link through a link", symlink("l", w), hardlink("h", "l/secret")),
		one("hard link to a link, then write", symlink("l", w+"/secret"), hardlink("h", "l"), file("h", "evil")),
		one("hard link to a link, then directory", symlink("l", w), hardlink("h", "l"), file("h/secret", "evil")),
		one("hard link to a link, then mode", symlink("l", w+"/secret"), hardlink("h", "l").mode(0o4777)),
		one("hard link to what is missing", hardlink("h", "missing")),
		one("hard link before its target", hardlink("h", "f"), file("f", "x")),
		one("hard link to a directory", folder("d"), hardlink("h", "d")),
		one("hard link to the root", hardlink("h", ".")),
		one("hard link to ..", hardlink("h", "..")),
		one("hard link to nothing", item{h: tar.Header{Typeflag: tar.TypeLink, Name: "h", Format: tar.FormatPAX}}),
		one("hard link to itself", file("f", "x"), hardlink("f", "f")),
		one("hard link to itself by another name", file("f", "x"), symlink("s", "."), hardlink("s/f", "f")),
		one("hard link twice", file("f", "x"), hardlink("h", "f"), hardlink("h", "f")),
		one("hard link over its target's directory", folder("d"), file("d/f", "x"), hardlink("d", "d/f")),
		one("hard link below its target", file("f", "x"), hardlink("f/h", "f")),
		one("hard link over a directory", folder("d"), file("d/x", "1"), file("f", "x"), hardlink("d", "f")),
		one("hard link then write", file("f", "old"), hardlink("h", "f"), file("h", "newer")),
		one("hard link to a fifo", fifo("p"), hardlink("h", "p")),
		one("hard link to a whiteout", hardlink("h", ".wh.f")),
		one("hard link named as a whiteout", hardlink(".wh.f", ".wh..wh.aufs")),
		one("hard link that hides ..", hardlink(".wh...", "f")),
		two("hard link to a file below", []item{file("f", "below")}, hardlink("h", "f")),
		two("hard link to a link below", []item{symlink("f", w+"/secret")}, hardlink("h", "f"), file("h", "evil")),
		two("hard link to a directory below", []item{folder("d")}, hardlink("h", "d")),
		two("hard link to a hidden file", []item{file("f", "below")}, file(".wh.f", ""), hardlink("h", "f")),
		two("hard link to a hidden directory's file", []item{folder("d"), file("d/f", "x")}, file(".wh.d", ""), hardlink("h", "d/f")),
		two("hard link to an opaque directory's file", []item{folder("d"), file("d/f", "x")}, file("d/.wh..wh..opq", ""), hardlink("h", "d/f")),
		two("hard link below a link below", []item{folder("d"), file("d/f", "x"), symlink("l", "d")}, hardlink("l/h", "l/f")),
		two("hard link to a fifo below", []item{fifo("p")}, hardlink("h", "p")),
	}
}

// attackRoot: entries for the root that are no directory (CVE-2021-29136).
func attackRoot(w string) []attack {
	var all []attack
	for _, n := range []string{".", "./", "/", "/.", "a/..", "./."} {
		all = append(all,
			one(fmt.Sprintf("root %q link", n), symlink(n, w), file("secret", "evil")),
			one(fmt.Sprintf("root %q hard link", n), file("f", "x"), hardlink(n, "f")),
			one(fmt.Sprintf("root %q device", n), device(tar.TypeChar, n, 1, 3)),
			one(fmt.Sprintf("root %q directory", n), folder(n).mode(0o700), file("f", "x")))
	}
	return append(all, one("root locked", folder(".").mode(0), file("f", "x")))
}

// attackWhiteouts: names that hide what is not theirs.
func attackWhiteouts(w string) []attack {
	below := []item{folder("d"), file("d/f", "below"), file("d/g", "below"), folder("d/sub"), file("d/sub/x", "below"), symlink("l", w), file("f", "below")}
	var all []attack
	for _, n := range []string{
		".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh...", ".wh..wh.", ".wh..wh.x", ".wh..wh..wh..opq", ".wh..wh..opq.x",
		".wh.f", "d/.wh.f", ".wh.d", ".wh.l", "l/.wh.secret", "l/.wh.dir", ".wh.missing", "missing/.wh.f", "f/.wh.x",
		".wh..wh..opq", "d/.wh..wh..opq", "l/.wh..wh..opq", "f/.wh..wh..opq", "missing/.wh..wh..opq", "../.wh.witness", "/.wh.f", "d/../.wh.f",
		".wh.d/f", ".wh..wh..opq/f", ".wh.d/../f", ".wh..wh.plnk/1.2", ".wh..wh.aufs", "d/.wh..wh.orph/x", ".wh.d/", ".wh.\xff", "d/sub/../.wh.f",
		"d/.wh.../x", ".wh.. ", ".wh.-",
	} {
		all = append(all, two(fmt.Sprintf("whiteout %q", n), below, file(strings.TrimSuffix(n, "/"), "")))
	}
	whiteout := file(".wh.f", "")
	return append(all,
		two("whiteout with contents", below, file(".wh.f", "x")),
		two("whiteout that is a directory", below, folder(".wh.f")),
		two("whiteout that is a link", below, symlink(".wh.f", w)),
		two("whiteout that is a fifo", below, fifo(".wh.f")),
		two("whiteout that is a device", below, device(tar.TypeChar, ".wh.f", 0, 0)),
		two("whiteout before the file", below, whiteout, file("f", "own")),
		two("whiteout after the file", below, file("f", "own"), whiteout),
		two("whiteout before the directory", below, file(".wh.d", ""), folder("d"), file("d/own", "")),
		two("whiteout after the directory", below, folder("d"), file("d/own", ""), file(".wh.d", "")),
		two("whiteout before an implied directory", below, file(".wh.d", ""), file("d/own", "")),
		two("whiteout after an implied directory", below, file("d/own", ""), file(".wh.d", "")),
		two("whiteout around an own file deep below", below, file("d/sub/own", ""), file(".wh.d", "")),
		two("opaque before the files", below, file("d/.wh..wh..opq", ""), file("d/f", "own"), file("d/own", "")),
		two("opaque after the files", below, file("d/f", "own"), file("d/own", ""), file("d/.wh..wh..opq", "")),
		two("opaque root after the files", below, file("own", ""), file("d/own", ""), file(".wh..wh..opq", "")),
		two("opaque and whiteouts in one directory", below, file("d/.wh.f", ""), file("d/.wh..wh..opq", ""), file("d/.wh.g", "")),
		two("whiteout of a parent and its child", below, file("d/.wh.f", ""), file(".wh.d", ""), file("d/sub/.wh.x", "")),
		two("whiteout through a link in the same layer", below, symlink("m", "d"), file("m/.wh.f", "")),
		two("whiteout twice", below, whiteout, whiteout),
		one("whiteout in the lowest layer", file(".wh.f", ""), file("d/.wh..wh..opq", ""), file("g", "")))
}

// attackReplacements: one name, several types.
func attackReplacements(w string) []attack {
	kinds := []struct {
		what string
		item item
	}{
		{"file", file("n", "contents")}, {"directory", folder("n")}, {"link", symlink("n", w)}, {"fifo", fifo("n")},
		{"device", device(tar.TypeChar, "n", 1, 3)}, {"setuid file", file("n", "x").mode(0o6755)},
	}
	var all []attack
	for _, a := range kinds {
		for _, b := range kinds {
			after := []item{b.item, file("n/child", "c")}
			all = append(all,
				one(fmt.Sprintf("replace %s by %s", a.what, b.what), append([]item{a.item}, after[:1]...)...),
				two(fmt.Sprintf("replace %s below by %s", a.what, b.what), []item{a.item}, after[:1]...),
				one(fmt.Sprintf("replace %s by %s with a child", a.what, b.what), append([]item{a.item}, after...)...))
		}
	}
	full := []item{folder("n"), file("n/a", "below"), folder("n/b"), file("n/b/c", "below")}
	return append(all,
		two("replace a full directory below by a file", full, file("n", "x")),
		two("replace a full directory below by a link", full, symlink("n", w), file("n/a", "evil")),
		two("replace a full directory below by file and directory", full, file("n", "x"), folder("n"), file("n/new", "")),
		two("replace a full directory's parent", full, file("n/b", "file"), folder("n/b"), file("n/b/new", "")),
		two("replace a file below by an implied directory", []item{file("n", "x")}, file("n/a/b", "y")),
		two("replace a directory below by itself", full, folder("n").mode(0o700)),
	)
}

// attackDevices: numbers that are no device's, or overlayfs' mark.
func attackDevices(string) []attack {
	var all []attack
	for _, n := range [][2]int64{{0, 0}, {1, 3}, {4095, 1048575}, {4096, 0}, {0, 1048576}, {-1, 0}, {0, -1}, {1 << 20, 1 << 20}, {0, 1}} {
		for _, kind := range []byte{tar.TypeChar, tar.TypeBlock} {
			name := fmt.Sprintf("device %c %d:%d", kind, n[0], n[1])
			if n[0] >= 0 && n[1] >= 0 && n[0] < 1<<20 && n[1] < 1<<20 {
				all = append(all, one(name, device(kind, "dev", n[0], n[1])))
				continue
			}
			h := header(kind, "dev", "", 0, func(h []byte) { base256(h[329:337], n[0]); base256(h[337:345], n[1]) })
			all = append(all, one(name, raw(h)))
		}
	}
	return append(all,
		one("device then written", device(tar.TypeBlock, "sda", 8, 0), file("sda", "evil")),
		one("device setuid", device(tar.TypeChar, "null", 1, 3).mode(0o6777)),
		one("fifo then written", fifo("p"), file("p", "x")),
		one("fifo as a parent", fifo("p"), file("p/x", "x")))
}

// base256 writes a number as GNU tar does when octal digits do not suffice.
func base256(field []byte, n int64) {
	b := make([]byte, len(field))
	if n < 0 {
		for i := range b {
			b[i] = 0xff
		}
	}
	var v [8]byte
	binary.BigEndian.PutUint64(v[:], uint64(n))
	copy(b[max(0, len(b)-8):], v[max(0, 8-len(b)):])
	b[0] |= 0x80
	copy(field, b)
}

// attackXattrs: forged overlay state, and what does not fit.
func attackXattrs(string) []attack {
	var all []attack
	for _, x := range [][2]string{
		{"trusted.overlay.opaque", "y"}, {"trusted.overlay.redirect", "/etc"}, {"trusted.overlay.metacopy", ""}, {"trusted.overlay.overlay.opaque", "y"},
		{"user.overlay.opaque", "y"}, {"user.overlay.whiteout", "y"}, {"user.overlay.overlay.opaque", "y"}, {"trusted.anything", "1"},
		{"security.selinux", "system_u:object_r:shadow_t:s0"}, {"security.capability", "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		{"security.capability", "short"}, {"user.rootlesscontainers", "\x08\x01"}, {"user.x", "value"}, {"user.", "x"}, {"", "x"}, {"nonsense", "x"},
		{"system.nfs4_acl", "x"}, {"system.posix_acl_access", "x"}, {"user." + strings.Repeat("n", 250), "x"}, {"user." + strings.Repeat("n", 251), "x"},
		{"user.big", strings.Repeat("v", 3000)}, {"user.huge", strings.Repeat("v", 300<<10)},
	} {
		short := x[0][:min(len(x[0]), 32)]
		all = append(all,
			one(fmt.Sprintf("xattr %s (%d, %d)", short, len(x[0]), len(x[1])), file("f", "x").xattr(x[0], x[1])),
			one(fmt.Sprintf("xattr %s (%d, %d) of a directory", short, len(x[0]), len(x[1])), folder("d").xattr(x[0], x[1]), file("d/f", "")))
	}
	return append(all,
		one("xattr of a link", symlink("l", "/etc/passwd").xattr("user.x", "1").xattr("security.capability", "x")),
		one("xattr of a fifo", fifo("p").xattr("user.x", "1")))
}

// attackIDs: owners that would become other ones when cut (CVE-2024-40635).
func attackIDs(string) []attack {
	var all []attack
	for _, id := range []int64{-1, 1 << 21, 1<<31 - 1, 1 << 31, 1<<32 - 2, 1<<32 - 1, 1 << 32, 1<<32 + 1, 1<<63 - 1} {
		h := header('0', "f", "", 0, func(h []byte) { base256(h[108:116], id) })
		p := paxRecord("gid", fmt.Sprint(id))
		all = append(all, one(fmt.Sprintf("uid %d in base 256", id), raw(h)), one(fmt.Sprintf("gid %d by pax", id), pax('x', p), file("f", "")))
	}
	return append(all, one("uid that is no number", pax('x', paxRecord("uid", "0x0")), file("f", "")))
}

// attackLimits: what is too much, with small limits.
func attackLimits(string) []attack {
	small := layer.Limits{Bytes: 100 << 10, Entries: 50, Depth: 20, XattrBytes: 100}
	deep := strings.Repeat("d/", 12)
	return []attack{
		one("limit of bytes by one file", file("f", strings.Repeat("x", 101<<10))).within(small),
		one("limit of bytes by many", file("a", strings.Repeat("x", 60<<10)), file("b", strings.Repeat("x", 60<<10))).within(small),
		one("limit of bytes by a claim", raw(header('0', "f", "", 1<<32, nil))).within(small),
		{name: "limit of entries", layers: [][]byte{manyFiles(60)}, limits: small},
		one("limit of depth", file(strings.Repeat("d/", 25)+"f", "")).within(small),
		one("limit of depth by a link", folder(deep), symlink("l", deep), file("l/"+deep+"x", "")).within(small),
		one("limit of depth of a link's target", file("f", ""), hardlink("h", strings.Repeat("d/", 25)+"f")).within(small),
		one("limit of xattrs", file("f", "").xattr("user.a", strings.Repeat("x", 60)).xattr("user.b", strings.Repeat("x", 60))).within(small),
		one("limits just kept", file("f", strings.Repeat("x", 50<<10)).xattr("user.a", strings.Repeat("x", 90)), folder(strings.Repeat("d/", 20))).within(small),
		one("times far away", file("f", "x").at(time.Unix(1<<40, 0)), file("g", "x").at(time.Unix(-1<<40, 0))),
	}
}
