#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bundles: the tree that the layers say, and config.json.

load helpers

# unpack FLAG… IMAGE: to $T/b.
unpack() { bi -q unpack "${@:1:$#-1}" "${!#}" "$T/b"; }

# ---- trees -------------------------------------------------------------

@test "tree: mode copy is what umoci unpacks" {
	bi -q pull "$REG/rich"
	unpack --mode copy "$REG/rich"
	umoci_tree rich "$T/u"
	LINKS=1 assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "tree: mode overlay is what umoci unpacks" {
	bi -q pull "$REG/rich"
	unpack --mode overlay "$REG/rich"
	assert_eq "$(stat -f -c %T "$T/b/rootfs")" overlayfs
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "tree: what GNU tar extracts of one layer" {
	bi -q import "$S/src/one.tar" one
	unpack --mode copy one
	mkdir "$T/t"
	tar -C "$T/t" --xattrs --xattrs-include='*' --numeric-owner -xpf "$S/src/one.tar"
	LINKS=1 assert_same_tree "$T/b/rootfs" "$T/t"
}

@test "tree: hard links are one file" {
	get rich
	unpack --mode copy rich
	assert_eq "$(stat -c %i "$T/b/rootfs/links/first")" "$(stat -c %i "$T/b/rootfs/dirs/third")"
	assert_eq "$(stat -c %i "$T/b/rootfs/links/relative")" "$(stat -c %i "$T/b/rootfs/links/hardsym")"
}

@test "tree: holes of sparse files are holes" {
	get rich
	unpack --mode copy rich
	assert_eq "$(stat -c %s "$T/b/rootfs/files/sparse")" 8388608
	(($(stat -c %b "$T/b/rootfs/files/sparse") < 128)) || fail "$(stat -c %b "$T/b/rootfs/files/sparse") blocks"
}

@test "tree: file capabilities work in a container" {
	get rich
	run_image --cap-add ALL rich /files/ping -c 1 -w 1 127.0.0.1
	[[ $(getcap "$IMG/../src/one/files/ping") == *cap_net_raw* ]]
	unpack rich
	assert_eq "$(getcap "$T/b/rootfs/files/ping" | cut -d' ' -f2)" cap_net_bind_service,cap_net_raw=ep
}

@test "tree: setuid, setgid and a big owner" {
	get rich
	unpack rich
	assert_eq "$(stat -c '%a %u:%g' "$T/b/rootfs/files/suid" "$T/b/rootfs/files/bigid" | xargs)" "6755 1:2 644 4000000000:3000000000"
}

@test "tree: whiteouts and opaque directories" {
	get rich
	unpack rich
	cd "$T/b/rootfs"
	absent files/empty links/second dirs/hidden/file dirs/gone/file dirs/again/deep/file was-link-is-dir
	assert_eq "$(cat dirs/hidden/new dirs/gone/back dirs/again/file dirs/again/deep/back | xargs)" "new back again back"
	[[ -z $(find . -name '.wh.*') ]] || fail "whiteouts are there"
	cd "$T"
}

@test "tree: types that change between layers" {
	get rich
	unpack rich
	assert_eq "$(cd "$T/b/rootfs" && stat -c '%n=%F' was-* | xargs)" \
		"was-dir-is-file=regular file was-dir-is-link=symbolic link was-file-is-dir=directory was-file-is-fifo=fifo was-file-is-file=regular file was-file-is-link=symbolic link"
}

@test "tree: trusted xattrs of an image are dropped with a warning" {
	get rich
	try bi unpack rich "$T/b"
	assert_ok
	assert_has "warning: xattrs"
	assert_eq "$(getfattr -d -m trusted.own "$T/b/rootfs/files/xattr" 2>/dev/null)" ""
}

@test "tree: whatever the umask, and below a directory with setgid" {
	mkdir "$T/g"
	chgrp 7 "$T/g"
	chmod 2755 "$T/g"
	umoci_tree rich "$T/u"
	umask 0777
	get rich
	for mode in overlay copy; do
		bi -q unpack --mode $mode rich "$T/g/b-$mode"
	done
	umask 022
	for mode in overlay copy; do
		assert_same_tree "$T/g/b-$mode/rootfs" "$T/u/rootfs"
		bi unmount --rm "$T/g/b-$mode"
	done
}

@test "tree: an image without layers" {
	finish "$T/none" latest "$(put_image "$T/none" gzip '{"Cmd":["/x"]}')"
	bi -q pull "oci:$T/none:latest" none
	unpack none
	assert_eq "$(find "$T/b/rootfs" | wc -l)" 1
	bi -q unpack --mode copy none "$T/b2"
	assert_eq "$(find "$T/b2/rootfs" | wc -l)" 1
}

# ---- config.json -------------------------------------------------------

@test "config: what the image says" {
	get app
	unpack app
	assert_eq "$(spec '[.process.args, .process.cwd, .process.user.uid, .process.user.gid, .process.user.additionalGids]')" \
		'[["/bin/echo","entry","point"],"/srv/app",1000,1000,[2000]]'
	assert_eq "$(spec .process.env)" '["PATH=/bin","FROM=image","HOME=/home/user"]'
	assert_eq "$(spec '.annotations | [."org.opencontainers.image.stopSignal", ."org.opencontainers.image.exposedPorts", ."org.example.label", ."org.opencontainers.image.architecture"]')" \
		'["SIGINT","53/udp,80/tcp","a b","amd64"]'
	assert_eq "$(spec '[.mounts[] | select(.destination == "/data").type]')" '["tmpfs"]'
}

@test "config: process flags" {
	get app
	unpack --cmd '["x y","z"]' --env FROM=flag --env NEW=1 --env HOME --user 5:6 --workdir /tmp --tty app
	assert_eq "$(spec '[.process.args, .process.user, .process.cwd, .process.terminal]')" '[["/bin/echo","entry","x y","z"],{"uid":5,"gid":6},"/tmp",true]'
	assert_eq "$(spec .process.env)" "[\"PATH=/bin\",\"FROM=flag\",\"NEW=1\",\"HOME=$HOME\",\"TERM=xterm\"]"
}

@test "config: an entrypoint replaces the image's command as well" {
	get app
	unpack --entrypoint "/bin/sh -x" app
	assert_eq "$(spec .process.args)" '["/bin/sh","-x"]'
}

@test "config: limits" {
	get bb
	unpack --memory 64m --cpus 1.5 --pids 30 --ulimit nofile=100:200 --shm-size 1m bb
	assert_eq "$(spec '.linux.resources | [.memory.limit, .cpu.quota / .cpu.period, .pids.limit]')" '[67108864,1.5,30]'
	assert_eq "$(spec .process.rlimits)" '[{"type":"RLIMIT_NOFILE","hard":200,"soft":100}]'
	assert_eq "$(spec '.mounts[] | select(.destination == "/dev/shm").options | map(select(startswith("size")))')" '["size=1048576"]'
}

@test "config: capabilities and seccomp" {
	get bb
	unpack --cap-drop ALL --cap-add NET_RAW --seccomp unconfined bb
	assert_eq "$(spec '[.process.capabilities.bounding, .process.noNewPrivileges, .linux.seccomp]')" '[["CAP_NET_RAW"],true,null]'
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}' >"$T/profile"
	bi -q unpack --seccomp "$T/profile" --new-privileges bb "$T/b2"
	assert_eq "$(jq -c '[.linux.seccomp.syscalls[0].names, .process.noNewPrivileges]' "$T/b2/config.json")" '[["mkdir"],null]'
}

@test "config: mounts" {
	get bb
	unpack -v /etc/hostname:/host:ro --tmpfs /scratch:size=1m,mode=700 --mount type=bind,source=/usr,destination=/host-usr,readonly bb
	assert_eq "$(spec '[.mounts[] | select(.destination == ("/host", "/scratch", "/host-usr")) | [.destination, .type, .source, (.options | contains(["ro"]))]] | sort')" \
		'[["/host","bind","/etc/hostname",true],["/host-usr","bind","/usr",true],["/scratch","tmpfs","tmpfs",false]]'
	assert_eq "$(spec '.mounts[] | select(.destination == "/scratch").options | contains(["size=1m", "mode=700"])')" true
}

@test "config: network, host name, sysctl, annotation, device" {
	get bb
	unpack --net host --hostname inside --sysctl kernel.msgmax=1000 --annotation a=b --device /dev/zero:/dev/nil:rw bb
	assert_eq "$(spec '[([.linux.namespaces[].type] | contains(["network"])), .hostname, .linux.sysctl["kernel.msgmax"], .annotations.a, .linux.devices[0].path]')" \
		'[false,"inside","1000","b","/dev/nil"]'
	bi -q unpack --net none bb "$T/b2"
	jq -e '.linux.namespaces[] | select(.type == "network" and .path == null)' "$T/b2/config.json"
	bi -q unpack --net /proc/self/ns/net --privileged --read-only bb "$T/b3"
	jq -e '.linux.namespaces[] | select(.type == "network" and .path == "/proc/self/ns/net")' "$T/b3/config.json"
	jq -e '.root.readonly and (.linux.maskedPaths | length == 0)' "$T/b3/config.json"
}

@test "config: flags that make no sense" {
	get bb
	for flag in --memory=lots --cpus=-1 --pids=-1 --cap-add=NOSUCH --seccomp="$T/nosuch" --ulimit=nosuch=1 --env==x \
		--mount=type=nosuch,destination=/x --volume=relative/x:/y --sysctl=x --annotation=x --mode=nosuch --user=nosuch --workdir=relative \
		--device=/dev/nosuch --platform=linux/arm64 --net=nosuch; do
		refused "" unpack "$flag" bb "$T/b"
		absent "$T/b"
	done
}

@test "config: a user whom the image lacks" {
	get bb
	refused nosuch unpack --user nosuch bb "$T/b"
	refused nosuch unpack --mode copy --user root:nosuch bb "$T/b"
	absent "$T/b"
}

@test "bundle: umoci and berth take the same image to the same process" {
	get app
	unpack app
	umoci_tree app "$T/u"
	assert_eq "$(jq -c '[.process.args, .process.cwd, .process.user.uid, .process.user.gid]' "$T/u/config.json")" \
		"$(spec '[.process.args, .process.cwd, .process.user.uid, .process.user.gid]')"
}

@test "bundle: berth runs it, and so does runc" {
	get bb
	unpack --cmd '["/bin/echo","from the bundle"]' bb
	try "$BIN/berth" --root "$T/state" run --bundle "$T/b" "$ID"
	assert_output "from the bundle"
	try runc --root "$T/state" run --bundle "$T/b" "$ID"
	assert_output "from the bundle"
}

@test "bundle: an empty directory may be there" {
	get bb
	mkdir "$T/b"
	unpack bb
	test -e "$T/b/config.json"
}

@test "bundle: a directory with something in it is left alone" {
	get bb
	mkdir "$T/b"
	echo mine >"$T/b/file"
	refused "not empty" unpack bb "$T/b"
	assert_eq "$(cat "$T/b/file") $(find "$T/b" | wc -l)" "mine 2"
	echo mine >"$T/file"
	refused "$T/file" unpack bb "$T/file"
	refused "no such file" unpack bb "$T/no/such/b"
	absent "$T/no"
}
