#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bad input and bad luck: one line that says what to do, exit status 1, and
# nothing half-made.

load helpers

# blob NAME I: the path of a layer's blob in the store.
blob() {
	local digest
	digest=$(layout_layer "$1" "$2")
	echo "$STORE/blobs/sha256/${digest#*:}"
}
# damage FILE: one byte is another, the size the same.
damage() { printf 'X' | dd of="$1" bs=1 seek=60 conv=notrunc status=none; }
# untouched DIR: it is empty, and nothing is beside it but the store.
untouched() { assert_eq "$(find "$T" -maxdepth 1 -name '*b*' -not -name 'store*' | xargs)" "${1:-}"; }

@test "reference: unknown" {
	for verb in "inspect" "rm" "tag" "push" "unpack" "export" "config" "run --pull never"; do
		# shellcheck disable=SC2086 # words
		case $verb in
		tag) refused "not in the store" tag nosuch other ;;
		unpack) refused "berth-image pull nosuch" unpack nosuch "$T/b" ;;
		export) refused "not in the store" export nosuch "oci:$T/layout" ;;
		*) refused "not in the store" $verb nosuch ;;
		esac
	done
	absent "$T/b" "$T/layout"
	untouched
}

@test "reference: what cannot be a name" {
	for name in BIG/x 'a b' '' /x x: x@sha256:12 ../x 'x/../y' "$(printf 'x%.0s' {1..300})" $'a\nb' $'\e[31m'; do
		refused "" pull "$name"
		refused "" unpack "$name" "$T/b"
		[[ $output != *$'\e'* ]] || fail "an escape sequence"
	done
	untouched
}

@test "platform: not the one that was asked for" {
	get bb
	refused "linux/amd64 only" unpack --platform linux/arm64 bb "$T/b"
	refused "linux/amd64 only" pull --platform linux/arm64 "$REG/bb"
	untouched
}

@test "layout: without index.json, with a broken one, of another version" {
	cp -r "$IMG/bb" "$T/layout"
	rm "$T/layout/index.json"
	refused index.json import "$T/layout" x
	echo '{' >"$T/layout/index.json"
	refused index.json import "$T/layout" x
	cp "$IMG/bb/index.json" "$T/layout/"
	echo '{"imageLayoutVersion":"9.0"}' >"$T/layout/oci-layout"
	refused 9.0 import "$T/layout" x
	rm "$T/layout/oci-layout"
	refused oci-layout import "$T/layout" x
	try bi -q list
	assert_output ""
}

@test "layout: a layer that is missing, damaged, or longer than said" {
	layer=$(layout_layer bb 0)
	for what in missing damaged longer; do
		cp -r "$IMG/bb" "$T/l-$what"
		file=$T/l-$what/blobs/sha256/${layer#*:}
		case $what in
		missing) rm "$file" ;;
		damaged) damage "$file" ;;
		longer) echo more >>"$file" ;;
		esac
		refused "${layer#*:}" import "$T/l-$what" x
		absent "$STORE/blobs/sha256/${layer#*:}"
	done
	try bi -q list
	assert_output ""
}

@test "layout: a manifest and a config that do not fit" {
	config=$(jq -nc '{os: "linux", architecture: "amd64", config: {}, rootfs: {type: "layers", diff_ids: []}}' | put_json "$T/layout" $OCI.config.v1+json)
	read -r digest size < <(put "$T/layout" "$S/src/etc.tar")
	manifest=$(jq -nc --argjson c "$config" --argjson l "$(descriptor $OCI.layer.v1.tar "$digest" "$size")" --arg t $OCI.manifest.v1+json \
		'{schemaVersion: 2, mediaType: $t, config: $c, layers: [$l]}' | put_json "$T/layout" $OCI.manifest.v1+json)
	finish "$T/layout" latest "$manifest"
	bi -q import "$T/layout" x
	refused "diff_ids" unpack x "$T/b"
	untouched
}

@test "layout: a diffID of something else" {
	finish "$T/layout" latest "$(put_image "$T/layout" none '{}' "$S/src/etc.tar")"
	manifest=$(layout_digest "$T/layout")
	config=$(jq -r .config.digest "$T/layout/blobs/sha256/${manifest#*:}")
	config=$(jq -c '.rootfs.diff_ids[0] |= (.[:-4] + "0000")' "$T/layout/blobs/sha256/${config#*:}" | put_json "$T/layout" $OCI.config.v1+json)
	manifest=$(jq -c --argjson c "$config" '.config = $c' "$T/layout/blobs/sha256/${manifest#*:}" | put_json "$T/layout" $OCI.manifest.v1+json)
	rm "$T/layout/index.json"
	finish "$T/layout" latest "$manifest"
	bi -q import "$T/layout" x
	refused "config says" unpack x "$T/b"
	refused "config says" unpack --mode copy x "$T/b"
	untouched
	[[ -z $(find "$STORE/layers" -mindepth 1 -maxdepth 1) ]] || fail "a layer is there"
}

@test "blob in the store: damaged; verify, repair, pull" {
	bi -q pull "$REG/rich"
	layer=$(blob rich 0)
	try bi verify
	assert_ok
	assert_has "all well"
	digest=$(bi inspect "$REG/rich" | jq -r '.manifest.layers[2].digest')
	file=$STORE/blobs/sha256/${digest#*:}
	chmod u+w "$file"
	damage "$file"
	refused "$digest" unpack "$REG/rich" "$T/b"
	assert_has "damaged"
	refused "$digest" unpack --mode copy "$REG/rich" "$T/b"
	try bi verify
	assert_status 1
	assert_has "$digest"
	try bi -q verify --repair
	absent "$file"
	bi -q pull "$REG/rich"
	try bi -q verify
	assert_ok
	bi -q unpack "$REG/rich" "$T/b"
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "blob in the store: cut, missing, empty" {
	for what in cut empty missing; do
		STORE=$T/store-$what
		get bb
		file=$(blob bb 1)
		chmod u+w "$file"
		case $what in
		cut) truncate -s -1 "$file" ;;
		empty) : >"$file" ;;
		missing) rm "$file" ;;
		esac
		refused "" unpack bb "$T/b"
		refused "" export bb "oci-archive:$T/x.tar"
		refused "" push bb "$REG/damaged:$what"
		try bi verify
		assert_status 1
		absent "$T/x.tar"
	done
	untouched
	try skopeo inspect --tls-verify=false "docker://$REG/damaged"
	((status != 0)) || fail "it was pushed"
}

@test "blob in the store: a damaged manifest leaves the other images alone" {
	get bb app
	digest=$(layout_digest "$IMG/bb")
	chmod u+w "$STORE/blobs/sha256/${digest#*:}"
	damage "$STORE/blobs/sha256/${digest#*:}"
	refused "damaged" unpack bb "$T/b"
	bi -q unpack app "$T/b"
	try bi -q list
	assert_status 1
	assert_has docker.io/library/app:latest
	refused "" gc # who knows what it needs
	bi -q verify --repair >/dev/null || true
	get bb
	bi -q verify
}

@test "store: its index is broken" {
	get bb
	echo '{' >"$STORE/index.json"
	refused index.json list
	refused index.json pull "$REG/app"
	refused index.json gc
	assert_eq "$(<"$STORE/index.json")" '{'
}

@test "store: a directory of something else" {
	mkdir "$STORE"
	echo mine >"$STORE/file"
	refused "$STORE" list
	assert_eq "$(ls "$STORE")" file
	STORE=$T/file
	echo x >"$T/file"
	refused "$T/file" list
}

# small SIZE: $T/small is a file system of that size.
small() {
	mkdir "$T/small"
	mount -t tmpfs -o "size=$1,mode=700" small "$T/small"
}

@test "disk full: pull" {
	small 1m
	STORE=$T/small/store
	refused "no space left" pull "$REG/rich"
	assert_has "$T/small"
	try bi -q list
	assert_output ""
	mount -o remount,size=20m "$T/small"
	bi -q pull "$REG/rich"
	try bi verify
	assert_ok
	umount "$T/small"
}

@test "disk full: unpack, in both modes" {
	get rich
	small 2m
	refused "no space left" unpack --mode copy rich "$T/small/b"
	[[ -z $(ls -A "$T/small") ]] || fail "left: $(ls -A "$T/small")"
	umount "$T/small"
	mount -t tmpfs -o size=3m small "$T/small"
	STORE=$T/small/store
	get rich
	refused "no space left" unpack rich "$T/b"
	untouched
	bi -q gc
	[[ -z $(ls -A "$STORE/layers" | grep new) ]] || fail "half a layer"
	umount "$T/small"
}

@test "disk full: commit, import and export" {
	small 6m
	STORE=$T/small/store
	get bb
	bi -q unpack bb "$T/b"
	head -c 8000000 /dev/urandom >"$T/b/rootfs/noise"
	refused "no space left" commit "$T/b" x
	head -c 8000000 /dev/urandom >"$T/noise"
	tar -C "$T" -cf "$T/noise.tar" noise
	refused "no space left" import "$T/noise.tar" x
	refused "not in the store" inspect x
	bi unmount --rm "$T/b"
	STORE=$T/store
	bi -q import "$T/noise.tar" y
	mkdir "$T/small/out"
	refused "no space left" export y "oci-archive:$T/small/out/y.tar"
	[[ -z $(ls -A "$T/small/out") ]] || fail "left: $(ls -A "$T/small/out")"
	umount "$T/small"
}

@test "permission: a place that is read-only" {
	get bb
	mkdir "$T/ro"
	mount -t tmpfs -o ro ro "$T/ro"
	refused "$T/ro" unpack bb "$T/ro/b"
	refused "read-only" export bb "oci-archive:$T/ro/x.tar"
	STORE=$T/ro/store
	refused "--root" list
	umount "$T/ro"
}

@test "limits: each is said with its flag's number" {
	get rich
	refused "" --max-size 1000000 unpack rich "$T/b"
	refused "" --max-entries 10 unpack --mode copy rich "$T/b"
	refused "" --max-depth 1 unpack rich "$T/b"
	refused "" --max-xattrs 1 unpack rich "$T/b"
	untouched
	bi -q --max-size 100000000 unpack rich "$T/b"
}

@test "layer: an entry that leaves the root stays below it" {
	mkdir "$T/in" "$T/witness"
	echo x >"$T/in/file"
	tar -C "$T/in" -P --transform "s|^file|../../../../../../../..$T/witness/evil|" -cf "$T/up.tar" file
	ln -s "$T/witness" "$T/in/link"
	tar -C "$T/in" -cf "$T/link.tar" link
	tar -C "$T/in" --transform 's|^file|link/evil|' -rf "$T/link.tar" file
	for n in up link; do
		bi -q import "$T/$n.tar" $n
		for mode in overlay copy; do
			bi -q unpack --mode $mode $n "$T/b-$n-$mode"
			assert_eq "$(cat "$(find "$T/b-$n-$mode/rootfs" -name evil)")" x
		done
	done
	[[ -z $(ls -A "$T/witness") ]] || fail "it got out"
}

@test "layer: compressed rubbish" {
	{ gzip -c <"$S/src/etc.tar" | head -c 200; echo rubbish; } >"$T/layer"
	read -r digest size < <(put "$T/layout" "$T/layer")
	config=$(jq -nc --arg d "sha256:$(sha256sum <"$S/src/etc.tar" | cut -d' ' -f1)" \
		'{os: "linux", architecture: "amd64", config: {}, rootfs: {type: "layers", diff_ids: [$d]}}' | put_json "$T/layout" $OCI.config.v1+json)
	finish "$T/layout" latest "$(jq -nc --argjson c "$config" --argjson l "$(descriptor $OCI.layer.v1.tar+gzip "$digest" "$size")" --arg t $OCI.manifest.v1+json \
		'{schemaVersion: 2, mediaType: $t, config: $c, layers: [$l]}' | put_json "$T/layout" $OCI.manifest.v1+json)"
	bi -q import "$T/layout" x
	refused "damaged archive" unpack x "$T/b"
	refused "damaged archive" unpack --mode copy x "$T/b"
	untouched
}
