#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Overlay bundles: shared layers under a writable directory, mount and unmount.

load helpers

# used: bytes that the store and the case's bundles take.
used() { du -s -B1 "$@" | awk '{ n += $1 } END { print n }'; }
not_mounted() { ! is_mounted "$1" || fail "$1/rootfs is mounted"; }
is_mounted() { mountpoint -q "$1/rootfs"; }

@test "overlay: is the default" {
	get bb
	bi -q unpack bb "$T/b"
	is_mounted "$T/b"
	bi -q unpack --mode copy bb "$T/b2"
	not_mounted "$T/b2"
}

@test "overlay: a second bundle takes no space for layers" {
	get rich
	bi -q unpack rich "$T/b1"
	layers=$(used "$STORE/layers" "$STORE/blobs") before=$(used "$STORE")
	bi -q unpack rich "$T/b2"
	assert_eq "$(used "$STORE/layers" "$STORE/blobs")" "$layers"
	(($(used "$STORE") - before <= 8192)) || fail "$(($(used "$STORE") - before)) bytes more in the store"
	(($(used -x "$T/b2") <= 100000)) || fail "the bundle takes $(used -x "$T/b2")"
}

@test "overlay: images share the layers that they have in common" {
	get bb rich
	bi -q unpack bb "$T/b1"
	assert_eq "$(find "$STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 2
	bi -q unpack rich "$T/b2"
	assert_eq "$(find "$STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 5
}

@test "overlay: two bundles do not see each other's changes, nor do the layers" {
	get bb
	bi -q unpack bb "$T/b1"
	bi -q unpack bb "$T/b2"
	echo changed >"$T/b1/rootfs/etc/passwd"
	rm "$T/b1/rootfs/bin/sh"
	grep -q '^root:' "$T/b2/rootfs/etc/passwd"
	test -L "$T/b2/rootfs/bin/sh"
	bi -q unpack bb "$T/b3"
	assert_same_tree "$T/b3/rootfs" "$T/b2/rootfs"
}

@test "overlay: unmount and mount keep what was written" {
	get rich
	bi -q unpack rich "$T/b"
	echo mine >"$T/b/rootfs/file"
	rm -r "$T/b/rootfs/dirs"
	tree "$T/b/rootfs" >"$T/before"
	bi unmount "$T/b"
	not_mounted "$T/b"
	assert_eq "$(find "$T/b/rootfs" | wc -l)" 1
	bi mount "$T/b"
	is_mounted "$T/b"
	diff -a "$T/before" <(tree "$T/b/rootfs")
}

@test "overlay: mount and unmount twice change nothing" {
	get bb
	bi -q unpack bb "$T/b"
	bi mount "$T/b"
	assert_eq "$(grep -cF " $T/b/rootfs " /proc/self/mountinfo)" 1
	bi unmount "$T/b"
	try bi unmount "$T/b"
	assert_ok
	bi umount "$T/b"
	bi mount "$T/b"
	is_mounted "$T/b"
}

@test "overlay: mount unpacks layers again that are gone" {
	get rich
	bi -q unpack rich "$T/b"
	tree "$T/b/rootfs" >"$T/before"
	bi unmount "$T/b"
	rm -rf "$STORE"/layers/*
	bi -q mount "$T/b"
	diff -a "$T/before" <(tree "$T/b/rootfs")
}

@test "overlay: by a relative path, and a name with commas and colons" {
	get bb
	mkdir "$T/b,x:y\\z"
	cd "$T/b,x:y\\z"
	bi -q unpack bb b1
	is_mounted b1
	bi unmount b1
	bi mount ./b1
	is_mounted "$PWD/b1"
	bi unmount --rm b1
	absent b1
	cd "$T"
}

@test "overlay: the store's path may have them, too" {
	STORE="$T/st,o:re\\x"
	get rich
	bi -q unpack rich "$T/b"
	is_mounted "$T/b"
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
	bi unmount --rm "$T/b"
}

@test "overlay: unmount --rm leaves nothing, and gc frees the layers" {
	get bb
	bi -q unpack bb "$T/b"
	bi unmount --rm "$T/b"
	absent "$T/b"
	bi rm bb
	try bi --json gc
	assert_ok
	assert_eq "$(find "$STORE/layers" "$STORE/bundles" "$STORE/blobs" -mindepth 1 -not -name sha256 -not -name sha512 | wc -l)" 0
}

@test "overlay: unmount --rm of a copy" {
	get bb
	bi -q unpack --mode copy bb "$T/b"
	bi unmount --rm "$T/b"
	absent "$T/b"
	assert_eq "$(find "$STORE/bundles" -type f | wc -l)" 0
}

@test "overlay: a copy has nothing to mount" {
	get bb
	bi -q unpack --mode copy bb "$T/b"
	refused "nothing to mount" mount "$T/b"
	echo kept >"$T/b/rootfs/file"
	bi unmount "$T/b"
	assert_eq "$(<"$T/b/rootfs/file")" kept
}

@test "overlay: gc keeps what a bundle needs, though the image is gone" {
	get rich
	bi -q unpack rich "$T/b"
	bi rm rich
	bi -q gc
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
	bi unmount "$T/b"
	bi -q gc
	bi mount "$T/b"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "overlay: a bundle that somebody removed does not keep its layers" {
	get bb
	bi -q unpack bb "$T/b"
	umount "$T/b/rootfs"
	rm -r "$T/b"
	bi rm bb
	try bi gc
	assert_has "bundle $T/b"
	assert_eq "$(find "$STORE/layers" -mindepth 1 | wc -l)" 0
}

@test "overlay: 200 layers" {
	get deep
	bi -q unpack deep "$T/b"
	assert_eq "$(cat "$T/b/rootfs/last") $(find "$T/b/rootfs/n" -type f | wc -l)" "199 199"
	assert_eq "$(cat "$T"/b/rootfs/n/{1,100,199} | xargs)" "1 100 199"
	bi unmount "$T/b"
	bi mount "$T/b"
	run_image --mode overlay deep cat /last /n/77
	assert_output $'199\n77'
	echo more >"$T/b/rootfs/n/1"
	bi -q commit "$T/b" deep:2
	assert_eq "$(bi inspect deep:2 | jq '.manifest.layers | length')" 201
}

@test "overlay: two containers of one image at a time" {
	get bb
	bi -q unpack --cmd '["/bin/sh","-c","echo one >/file; while ! test -e /stop; do usleep 10000; done; cat /file"]' bb "$T/b1"
	bi -q unpack --cmd '["/bin/sh","-c","echo two >/file; while ! test -e /stop; do usleep 10000; done; cat /file"]' bb "$T/b2"
	for n in 1 2; do
		timeout 30 "$BIN/berth" --root "$T/state" run --bundle "$T/b$n" "$ID-$n" >"$T/out$n" 2>&1 </dev/null 3>&- &
		PIDS+=($!)
	done
	wait_for test -s "$T/b1/upper/file"
	wait_for test -s "$T/b2/upper/file"
	assert_eq "$("$BIN/berth" --root "$T/state" list -q | wc -l)" 2
	touch "$T/b1/rootfs/stop" "$T/b2/rootfs/stop"
	wait "${PIDS[@]}"
	assert_eq "$(cat "$T/out1" "$T/out2" | xargs)" "one two"
}

@test "overlay: a store that is on an overlay itself falls back to a copy" {
	mkdir "$T"/{lower,upper,work,merged}
	mount -t overlay -o "lowerdir=$T/lower,upperdir=$T/upper,workdir=$T/work" overlay "$T/merged"
	STORE=$T/merged/store
	get rich
	try bi unpack rich "$T/merged/b"
	assert_ok
	assert_has "files of its own"
	umoci_tree rich "$T/u"
	LINKS=1 assert_same_tree "$T/merged/b/rootfs" "$T/u/rootfs"
	refused "--mode copy" unpack --mode overlay rich "$T/merged/b2"
	absent "$T/merged/b2"
	umount "$T/merged"
}
