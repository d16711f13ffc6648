# SPDX-License-Identifier: Apache-2.0
# The images of the suite, as layouts below $IMG.
#
#   bb      busybox in two layers
#   app     the same with an entrypoint, a user, volumes and all else a config has
#   rich    files of every kind; then removed, replaced and hidden ones
#   multi   an index: this machine's bb, and arm64's and an old arm's
#   mixed   layers with gzip, zstd and no compression
#   deep    200 layers
#   thing   an artifact
source "$(dirname "${BASH_SOURCE[0]}")/layouts.bash"

APPLETS="sh sleep cat echo ls id head tail true false mkdir rm rmdir touch ps kill tty stty dd wc seq env pwd hostname stat chmod chown ln mv cp readlink md5sum grep usleep ping"
BB_CONFIG='{"Cmd":["/bin/sh"],"Env":["PATH=/usr/local/bin:/bin","FROM=image"]}'
APP_CONFIG='{"Entrypoint":["/bin/echo","entry"],"Cmd":["point"],"Env":["PATH=/bin","FROM=image"],"User":"user",
	"WorkingDir":"/srv/app","Volumes":{"/data":{}},"ExposedPorts":{"80/tcp":{},"53/udp":{}},"StopSignal":"SIGINT",
	"Labels":{"org.example.label":"a b","empty":""}}'

make_images() {
	local src=$1 bb arm old
	mkdir -p "$src" "$IMG"
	(umask 022 && busybox_layers "$src" && rich_layers "$src")

	bb=$(put_image "$IMG/bb" gzip "$BB_CONFIG" "$src/bin.tar" "$src/etc.tar")
	finish "$IMG/bb" latest "$bb"
	finish "$IMG/app" latest "$(put_image "$IMG/app" gzip "$APP_CONFIG" "$src/bin.tar" "$src/etc.tar")"
	finish "$IMG/rich" latest "$(put_image "$IMG/rich" gzip "$BB_CONFIG" "$src"/{bin,etc,one,two,three}.tar)"
	finish "$IMG/mixed" latest "$(put_image "$IMG/mixed" "gzip zstd none" "$BB_CONFIG" "$src"/{bin,etc,one,two,three}.tar)"

	bb=$(put_image "$IMG/multi" gzip "$BB_CONFIG" "$src/bin.tar" "$src/etc.tar")
	arm=$(PLATFORM=linux/arm64 put_image "$IMG/multi" gzip '{"Cmd":["/arm64"]}' "$src/etc.tar")
	old=$(PLATFORM=linux/arm/v7 put_image "$IMG/multi" gzip '{"Cmd":["/armv7"]}' "$src/etc.tar")
	finish "$IMG/multi" latest "$(put_index "$IMG/multi" "$(on linux/amd64 "$bb")" "$(on linux/arm64/v8 "$arm")" "$(on linux/arm/v7 "$old")")"
	finish "$IMG/foreign" latest "$(put_index "$IMG/foreign" "$(on linux/arm64 "$(PLATFORM=linux/arm64 put_image "$IMG/foreign" gzip '{}' "$src/etc.tar")")")"

	deep_image "$src/deep" 199
	finish "$IMG/thing" latest "$(artifact "$IMG/thing" "$src/etc.tar")"
}

busybox_layers() {
	local applet
	mkdir -p "$1"/bin/bin "$1"/etc/{etc,proc,sys,dev,srv/app,data}
	mkdir -m 1777 "$1/etc/tmp"
	cp "$(command -v busybox)" "$1/bin/bin/busybox"
	for applet in $APPLETS; do ln -s busybox "$1/bin/bin/$applet"; done
	printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n' >"$1/etc/etc/passwd"
	printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$1/etc/etc/group"
	echo seed >"$1/etc/data/seed"
	chown 1000:1000 "$1/etc/data" "$1/etc/srv/app"
	layer "$1/bin" "$1/bin.tar"
	layer "$1/etc" "$1/etc.tar"
}

# rich_layers SRC: one has everything, two and three change it.
rich_layers() {
	local d=$1/one long
	mkdir -p "$d"/{files,dirs/{closed,sticky,gone,kept,hidden,again/deep},links}
	echo content >"$d/files/plain"
	: >"$d/files/empty"
	seq 200000 >"$d/files/large"
	truncate -s 8M "$d/files/sparse"
	echo end | dd of="$d/files/sparse" bs=1 seek=5M conv=notrunc status=none
	echo hidden >"$d/files/secret" && chmod 000 "$d/files/secret"
	echo suid >"$d/files/suid" && chown 1:2 "$d/files/suid" && chmod 6755 "$d/files/suid"
	echo big >"$d/files/bigid" && chown 4000000000:3000000000 "$d/files/bigid"
	cp "$1/bin/bin/busybox" "$d/files/ping"
	setcap cap_net_raw,cap_net_bind_service=ep "$d/files/ping"
	echo xattr >"$d/files/xattr"
	setfattr -n user.one -v 1 "$d/files/xattr"
	setfattr -n user.binary -v 0x00ff0a3d "$d/files/xattr"
	setfattr -n trusted.own -v yes "$d/files/xattr"
	setfattr -n user.dir -v d "$d/dirs"
	touch -d '1970-01-01 00:00:01Z' "$d/files/old"
	touch -d '2033-05-18 03:33:20.5Z' "$d/files/future"
	touch -d '1960-02-03 04:05:06Z' "$d/files/before"
	: >"$d/files/"$'latin-\xe9\xff'
	: >"$d/files/"$'line\nbreak'
	: >"$d/files/ blank and ünïcode"
	long=$(printf 'x%.0s' {1..250})
	mkdir -p "$d/$long/$long" && echo long >"$d/$long/$long/$long"
	chmod 0700 "$d/dirs/closed" && chmod 1777 "$d/dirs/sticky" && chown 7:8 "$d/dirs/closed"
	for n in gone kept hidden again again/deep; do echo "$n" >"$d/dirs/$n/file"; done
	ln -s plain "$d/links/relative"
	ln -s /files/plain "$d/links/absolute"
	ln -s ../../../../outside "$d/links/up"
	ln -s "$long" "$d/links/long"
	chown -h 3:4 "$d/links/relative"
	touch -h -d '2001-02-03 04:05:06Z' "$d/links/relative"
	echo linked >"$d/links/first"
	ln "$d/links/first" "$d/links/second"
	ln "$d/links/first" "$d/dirs/third"
	ln "$d/links/relative" "$d/links/hardsym"
	mkfifo -m 640 "$d/fifo"
	mknod -m 660 "$d/block" b 7 200
	mknod -m 666 "$d/char" c 1 3
	for n in file dir link fifo; do echo "$n" >"$d/was-file-is-$n"; done
	mkdir "$d/was-dir-is-file" "$d/was-dir-is-link" && echo x >"$d/was-dir-is-file/x"
	ln -s files "$d/was-link-is-dir"
	find "$d" -depth -type d -exec touch -d '2020-03-04 05:06:07Z' {} +
	layer "$d" "$1/one.tar"

	d=$1/two
	mkdir -p "$d"/{files,dirs/hidden,dirs/again,links,was-link-is-dir,was-file-is-dir}
	: >"$d/files/.wh.empty"
	: >"$d/dirs/.wh.gone"
	: >"$d/dirs/hidden/.wh..wh..opq"
	echo new >"$d/dirs/hidden/new"
	: >"$d/dirs/again/.wh.deep"
	: >"$d/links/.wh.second"
	echo replaced >"$d/was-file-is-file"
	ln -s elsewhere "$d/was-file-is-link"
	mkfifo "$d/was-file-is-fifo"
	echo now a file >"$d/was-dir-is-file"
	ln -s files "$d/was-dir-is-link"
	echo inside >"$d/was-link-is-dir/inside"
	echo inside >"$d/was-file-is-dir/inside"
	chmod 0711 "$d/files" && chown 5:6 "$d/files"
	touch -d '2021-01-01Z' "$d/files"
	layer "$d" "$1/two.tar"

	d=$1/three
	mkdir -p "$d"/dirs/{gone,again/deep}
	echo back >"$d/dirs/gone/back"
	echo back >"$d/dirs/again/deep/back"
	: >"$d/.wh.was-link-is-dir"
	layer "$d" "$1/three.tar"
}

# deep_image DIR N: layers on bin.tar that have a file of their own each and
# change another one. Without compression, so that few processes are needed.
deep_image() {
	local d=$IMG/deep i sum file config
	mkdir -p "$1/n" "$d/blobs/sha256"
	cp "$1/../bin.tar" "$1/000.tar"
	for ((i = 1; i <= $2; i++)); do
		echo "$i" | tee "$1/last" >"$1/n/$i"
		tar -C "$1" --numeric-owner -cf "$1/$(printf %03d "$i").tar" last "n/$i"
	done
	sha256sum "$1"/*.tar >"$1/sums"
	while read -r sum file; do mv "$file" "$d/blobs/sha256/$sum"; done <"$1/sums"
	config=$(jq -Rnc --argjson c "$BB_CONFIG" '{os: "linux", architecture: "amd64", config: $c,
		rootfs: {type: "layers", diff_ids: [inputs | "sha256:" + .[:64]]}}' "$1/sums" | put_json "$d" $OCI.config.v1+json)
	(cd "$d/blobs/sha256" && cut -c1-64 "$1/sums" | xargs stat -c '%n %s') | jq -Rnc --argjson c "$config" --arg t $OCI '
		{schemaVersion: 2, mediaType: ($t + ".manifest.v1+json"), config: $c, layers: [inputs / " "
			| {mediaType: ($t + ".layer.v1.tar"), digest: ("sha256:" + .[0]), size: (.[1] | tonumber)}]}' >"$1/manifest"
	finish "$d" latest "$(put_json "$d" $OCI.manifest.v1+json <"$1/manifest")"
}

# artifact LAYOUT FILE: prints the descriptor of something that is no image.
artifact() {
	local empty digest size
	empty=$(printf '{}' | put_json "$1" application/vnd.oci.empty.v1+json)
	read -r digest size < <(put "$1" "$2")
	jq -nc --argjson c "$empty" --argjson l "$(descriptor text/plain "$digest" "$size")" --arg t $OCI.manifest.v1+json \
		'{schemaVersion: 2, mediaType: $t, artifactType: "application/x-thing", config: $c, layers: [$l]}' | put_json "$1" $OCI.manifest.v1+json
}
