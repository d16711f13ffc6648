#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What changed in a bundle as another layer, and what the others make of it.

load helpers

# layer_of NAME: the last layer's tar, plain.
layer_of() {
	local digest
	digest=$(bi inspect "$1" | jq -r '.manifest.layers[-1].digest')
	local blob=$STORE/blobs/sha256/${digest#*:}
	case $(bi inspect "$1" | jq -r '.manifest.layers[-1].mediaType') in
	*+gzip) gzip -dc "$blob" ;;
	*+zstd) zstd -qdc "$blob" ;;
	*) cat "$blob" ;;
	esac
}
names_of_layer() { layer_of "$1" | tar -t | sed 's|^\./||; s|/$||' | grep . | sort | xargs; }

# change ROOTFS: some of everything.
change() {
	local root
	root=$(stat -c @%Y "$1")
	cd "$1"
	echo new >files/new
	echo changed >files/plain
	rm files/large
	rm -r dirs/kept
	rm -r dirs/hidden && mkdir dirs/hidden && echo other >dirs/hidden/other
	chmod 0700 links
	chown 9:9 files/bigid
	ln -sfn elsewhere links/absolute
	ln files/new files/new-link
	mknod -m 600 files/null c 1 3
	mkfifo files/pipe
	setfattr -n user.added -v yes files/xattr
	touch -d '2022-02-02 02:02:02Z' files/old
	mkdir -p added/deep/er && echo x >added/deep/er/file
	touch -d '2019-01-01Z' added/deep files/new added links
	touch -d "$root" . # its time alone makes no entry
	cd "$T"
}

# commits MODE: the changes of a bundle are in the image that is made of it.
commits() {
	get rich
	bi -q unpack --mode "$1" rich "$T/b"
	change "$T/b/rootfs"
	sync -f "$T/b/upper" 2>/dev/null || true
	try bi -q commit --message "some changes" "$T/b" rich:2
	assert_ok
	assert_has "docker.io/library/rich:2@"
	bi -q unpack rich:2 "$T/b2"
	assert_same_tree "$T/b/rootfs" "$T/b2/rootfs"
	bi -q export rich:2 "oci:$T/layout:latest"
	umoci unpack --image "$T/layout:latest" "$T/u" >/dev/null 2>&1
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
	assert_eq "$(config_of rich:2 '[.config.history[-1].comment, (.config.rootfs.diff_ids | length), (.manifest.layers | length)]')" '["some changes",6,6]'
}

@test "commit: an overlay bundle" { commits overlay; }
@test "commit: a copy" { commits copy; }

@test "commit: only what changed, its parents, and whiteouts" {
	get rich
	want="dirs dirs/.wh.gone files files/.wh.plain links links/first"
	for mode in overlay copy; do
		bi -q unpack --mode $mode rich "$T/b-$mode"
		rm "$T/b-$mode/rootfs/files/plain"
		rm -r "$T/b-$mode/rootfs/dirs/gone"
		echo changed >"$T/b-$mode/rootfs/links/first"
		bi -q commit "$T/b-$mode" "$mode"
	done
	# the other name of the link goes with it in a copy
	assert_eq "$(names_of_layer overlay)" "$want"
	assert_eq "$(names_of_layer copy)" "dirs dirs/.wh.gone dirs/third files files/.wh.plain links links/first"
}

@test "commit: nothing changed, so no layer" {
	get rich
	for mode in overlay copy; do
		bi -q unpack --mode $mode rich "$T/b-$mode"
		bi -q commit "$T/b-$mode" "$mode"
		assert_eq "$(config_of $mode '[(.manifest.layers | length), .config.history[-1].empty_layer]')" '[5,true]'
	done
}

@test "commit: what was only read, or written back, is no change" {
	get bb
	bi -q unpack bb "$T/b"
	cat "$T/b/rootfs/etc/passwd" >/dev/null
	chown 0:0 "$T/b/rootfs/bin/busybox"
	bi -q commit "$T/b" same
	assert_eq "$(config_of same '.manifest.layers | length')" 2
}

@test "commit: SOURCE_DATE_EPOCH gives the same digest, in both modes" {
	get rich
	export SOURCE_DATE_EPOCH=1600000000
	for mode in overlay copy; do
		for n in 1 2; do
			bi -q unpack --mode $mode rich "$T/b-$mode-$n"
			echo x >"$T/b-$mode-$n/rootfs/files/new"
			rm "$T/b-$mode-$n/rootfs/files/suid"
			bi -q commit "$T/b-$mode-$n" "$mode:$n"
			sleep 0.6
		done
		assert_eq "$(digest_of "$mode:1")" "$(digest_of "$mode:2")"
	done
	assert_eq "$(digest_of overlay:1)" "$(digest_of copy:1)"
	assert_eq "$(config_of copy:1 .config.created)" 2020-09-13T12:26:40Z
}

@test "commit: what is newer than SOURCE_DATE_EPOCH gets it, what is older stays" {
	get bb
	bi -q unpack bb "$T/b"
	echo x >"$T/b/rootfs/new"
	touch -d 2001-01-01Z "$T/b/rootfs/old"
	SOURCE_DATE_EPOCH=1600000000 bi -q commit "$T/b" x
	bi -q unpack x "$T/b2"
	assert_eq "$(stat -c %Y "$T"/b2/rootfs/{new,old} | xargs)" "1600000000 978307200"
	SOURCE_DATE_EPOCH=never refused SOURCE_DATE_EPOCH commit "$T/b" y
}

@test "commit: --compress" {
	get bb
	bi -q unpack bb "$T/b"
	echo x >"$T/b/rootfs/new"
	for kind in gzip zstd none; do
		bi -q commit --compress $kind "$T/b" "c-$kind"
		assert_eq "$(names_of_layer c-$kind)" new
	done
	assert_eq "$(for kind in gzip zstd none; do config_of c-$kind '.manifest.layers[-1].mediaType'; done | sed 's/.*\.//' | xargs)" "tar+gzip tar+zstd tar"
}

@test "commit: config flags and history" {
	get bb
	bi -q unpack bb "$T/b"
	echo x >"$T/b/rootfs/new"
	bi -q commit --image-cmd '["cat","/new"]' --label a=b --author me --created-by "by hand" "$T/b" x
	assert_eq "$(config_of x '[.config.config.Cmd, .config.config.Labels, .config.author, .config.history[-1].created_by]')" '[["cat","/new"],{"a":"b"},"me","by hand"]'
	run_image x
	assert_output x
}

@test "commit: one of a bundle that is not mounted leaves no mount when it is killed" {
	get bb
	bi -q unpack --mode overlay bb "$T/b"
	head -c 100M /dev/urandom >"$T/b/rootfs/large"
	bi -q unmount "$T/b"
	"$BIN/berth-image" --root "$STORE" -q commit "$T/b" x 3>&- &
	wait_for eval "ls -l /proc/$!/fd | grep -q spool"
	kill -KILL $!
	wait $! || true
	! mountpoint -q "$T/b/rootfs" || fail "it is mounted"
	bi -q mount "$T/b"
	touch "$T/b/rootfs/new"
}

@test "commit: twice, each on what it was unpacked of" {
	get bb
	bi -q unpack bb "$T/b"
	echo 1 >"$T/b/rootfs/new"
	bi -q commit "$T/b" x:1
	echo 2 >"$T/b/rootfs/new"
	bi -q commit "$T/b" x:2
	assert_eq "$(config_of x:2 '.manifest.layers | length')" 3
	run_image x:2 cat /new
	assert_output 2
}

@test "commit: a commit of a commit" {
	get bb
	bi -q unpack bb "$T/b1"
	mkdir "$T/b1/rootfs/d"
	echo 1 >"$T/b1/rootfs/d/one"
	bi -q commit "$T/b1" x:1
	bi -q unpack --mode copy x:1 "$T/b2"
	rm "$T/b2/rootfs/d/one"
	echo 2 >"$T/b2/rootfs/d/two"
	bi -q commit "$T/b2" x:2
	run_image x:2 ls /d
	assert_output two
}

@test "commit: an unmounted bundle" {
	get bb
	bi -q unpack bb "$T/b"
	echo x >"$T/b/rootfs/new"
	rm "$T/b/rootfs/etc/group"
	bi unmount "$T/b"
	bi -q commit "$T/b" x
	assert_eq "$(names_of_layer x)" "etc etc/.wh.group new"
}

@test "commit: the image's volumes and what is mounted are left out" {
	get app
	echo h >"$T/h"
	bi -q unpack --user 0 -v "$T/h:/mnt/h" --entrypoint '["/bin/sh","-c"]' --cmd '["echo v >/data/v; echo w >/srv/w; cat /mnt/h"]' app "$T/b"
	try "$BIN/berth" --root "$T/state" run --bundle "$T/b" "$ID"
	assert_output h
	echo by hand >"$T/b/rootfs/data/more"
	bi -q commit "$T/b" x
	assert_eq "$(names_of_layer x)" "mnt srv srv/w"
	bi -q commit --volumes "$T/b" y
	assert_eq "$(names_of_layer y)" "data data/more mnt srv srv/w"
	# A bundle that is not mounted, as after the machine was started, has the same.
	bi unmount "$T/b"
	bi -q commit "$T/b" z
	assert_eq "$(names_of_layer z)" "mnt srv srv/w"
	run ! mountpoint -q "$T/b/rootfs"
}

@test "commit: names of whiteouts are refused" {
	get bb
	bi -q unpack --mode copy bb "$T/b"
	: >"$T/b/rootfs/.wh.evil"
	refused ".wh.evil" commit "$T/b" x
	refused "not in the store" inspect x
}

@test "commit: a copy without its manifest" {
	get bb
	bi -q unpack --mode copy --no-manifest bb "$T/b"
	refused "--no-manifest" commit "$T/b" x
}

@test "commit: --paranoid compares contents" {
	get bb
	bi -q unpack --mode copy bb "$T/b"
	refused "unpack with --paranoid" commit --paranoid "$T/b" x
	bi -q unpack --mode copy --paranoid bb "$T/b2"
	echo x >"$T/b2/rootfs/new"
	bi -q commit --paranoid "$T/b2" x
	assert_eq "$(names_of_layer x)" new
}

@test "commit: not a bundle" {
	mkdir "$T/b"
	refused "no bundle of this store" commit "$T/b" x
	refused "no bundle of this store" mount "$T/b"
	refused "no bundle of this store" unmount "$T/nosuch"
	get bb
	bi -q unpack bb "$T/b"
	refused "name" commit "$T/b" BAD
}

# ---- others ------------------------------------------------------------

# committed: $T/b is a changed bundle, x the image of it.
committed() {
	get bb
	bi -q unpack bb "$T/b"
	echo "of berth" >"$T/b/rootfs/new"
	rm "$T/b/rootfs/etc/group"
	bi -q commit --image-cmd '["/bin/cat","/new"]' "$T/b" x
}
podman_() {
	CONTAINERS_CONF=$T/containers.conf timeout --foreground -k 1 60 podman --root "$T/p/root" --runroot "$T/p/run" --tmpdir "$T/p/tmp" \
		--storage-driver vfs --cgroup-manager cgroupfs --runtime "$BIN/berth" "$@" 3>&- </dev/null
}
podman_conf() {
	printf '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=10000:10000"]\n[engine]\nevents_logger = "file"\n' >"$T/containers.conf"
}

@test "peers: push, and podman runs it" {
	podman_conf
	committed
	bi -q push x "$REG/committed/podman"
	try podman_ run --rm -q --tls-verify=false --network none --cgroup-parent "/$ID" "$REG/committed/podman"
	find /sys/fs/cgroup -depth -type d -path "*/$ID*" -exec rmdir {} \; 2>/dev/null || true
	assert_ok
	assert_has "of berth"
}

@test "peers: podman loads the docker archive" {
	podman_conf
	committed
	bi -q export x "docker-archive:$T/x.tar:example.com/x:1"
	try podman_ load -q -i "$T/x.tar"
	assert_ok
	assert_has example.com/x:1
	assert_eq "$(podman_ image inspect example.com/x:1 | jq -c '.[0].Config.Cmd')" '["/bin/cat","/new"]'
}

@test "peers: skopeo copies and inspects it" {
	committed
	bi -q push x "$REG/committed/skopeo"
	skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$REG/committed/skopeo" "dir:$T/dir"
	assert_eq "sha256:$(sha256sum <"$T/dir/manifest.json" | cut -d' ' -f1)" "$(digest_of x)"
	assert_eq "$(skopeo inspect --tls-verify=false "docker://$REG/committed/skopeo" | jq '.Layers | length')" 3
}

@test "peers: umoci repacks on it, and we take it back" {
	committed
	bi -q export x "oci:$T/layout:latest"
	umoci unpack --image "$T/layout:latest" "$T/u" >/dev/null 2>&1
	echo "of umoci" >"$T/u/rootfs/umoci"
	rm "$T/u/rootfs/new"
	touch -d 2020-01-01Z "$T/u/rootfs/umoci" "$T/u/rootfs" # it rounds
	umoci repack --image "$T/layout:two" "$T/u" >/dev/null 2>&1
	bi -q pull "oci:$T/layout:two" y
	bi -q unpack y "$T/b2"
	assert_same_tree "$T/b2/rootfs" "$T/u/rootfs"
}

@test "peers: buildah's layers: whiteouts, links, devices, xattrs" {
	buildah_() { timeout 60 buildah --root "$T/p/root" --runroot "$T/p/run" --storage-driver vfs "$@" 3>&- </dev/null; }
	container=$(buildah_ from -q --tls-verify=false "$REG/rich")
	change "$(buildah_ mount "$container")"
	buildah_ commit -q --tls-verify=false "$container" "docker://$REG/built/rich" >/dev/null
	buildah_ umount -a >/dev/null
	buildah_ rm -a >/dev/null
	skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$REG/built/rich" "oci:$T/layout:latest"
	umoci unpack --image "$T/layout:latest" "$T/u" >/dev/null 2>&1
	bi -q pull "$REG/built/rich"
	for mode in overlay copy; do
		bi -q unpack --mode $mode "$REG/built/rich" "$T/b-$mode"
		assert_same_tree "$T/b-$mode/rootfs" "$T/u/rootfs"
	done
	absent "$T/u/rootfs/files/large" "$T/b-copy/rootfs/files/large"
}

@test "peers: buildah builds on it, and we take it back" {
	committed
	bi -q push x "$REG/committed/buildah"
	buildah_() { timeout 60 buildah --root "$T/p/root" --runroot "$T/p/run" --storage-driver vfs "$@" 3>&- </dev/null; }
	container=$(buildah_ from -q --tls-verify=false "$REG/committed/buildah")
	echo "of buildah" >"$T/file"
	buildah_ copy -q "$container" "$T/file" /buildah >/dev/null
	buildah_ config --cmd '["/bin/cat","/new","/buildah"]' --label from=buildah "$container"
	buildah_ commit -q --tls-verify=false "$container" "docker://$REG/built/buildah" >/dev/null
	buildah_ rm -a >/dev/null
	bi -q pull "$REG/built/buildah"
	assert_eq "$(config_of "$REG/built/buildah" .config.config.Labels.from)" buildah
	run_image "$REG/built/buildah"
	assert_output $'of berth\nof buildah'
}
