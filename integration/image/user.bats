#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An ordinary user with subordinate ids, as in ../runtime.

load helpers

# A place that the user may enter, with what they need of the suite.
setup() {
	setup_case
	id berth-it >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin berth-it
	grep -q '^berth-it:' /etc/subuid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subuid
	grep -q '^berth-it:' /etc/subgid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subgid
	U=$(mktemp -d /tmp/berth-image.XXXX)
	mkdir -p "$U"/{home,run,bin}
	cp "$BIN/berth" "$BIN/berth-image" "$U/bin/" # the suite's may be below a closed directory
	skopeo copy -q --insecure-policy "oci:$IMG/app:latest" "oci:$U/images:app"
	skopeo copy -q --insecure-policy "oci:$IMG/bb:latest" "oci:$U/images:bb"
	chmod 700 "$U/run"
	chown -R berth-it: "$U"
	AS=(setpriv --reuid berth-it --regid berth-it --init-groups --inh-caps=-all -- env -i "PATH=$PATH" "HOME=$U/home" "XDG_RUNTIME_DIR=$U/run")
	cd "$U" || return
}

teardown() {
	local bad=0 left
	left=$(pgrep -f -- "$U/" || true)
	[[ -z $left ]] || { echo "processes left: $left" >&2; kill -9 $left; bad=1; }
	left=$(grep -F " $U/" /proc/self/mountinfo || true)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	left=$(find "$U" -name '.*.berth-*'; find "$U/home/.local/share/berth-image/run" -mindepth 1 -maxdepth 1 2>/dev/null)
	[[ -z $left ]] || { echo "half-made things left: $left" >&2; bad=1; }
	teardown_case || bad=1
	rm -rf "$U"
	return $bad
}

# ubi ARG…: as the user, on their own store.
ubi() { timeout --foreground -k 1 60 "${AS[@]}" "$U/bin/berth-image" "$@" 3>&-; }
urefused() {
	local words=$1
	shift
	try ubi -q "$@"
	is_refusal "$words"
}

@test "user: the store is below the home directory, for them alone" {
	try ubi -q pull "oci:$U/images:bb" bb
	assert_ok
	assert_eq "$(stat -c '%a %U' "$U/home/.local/share/berth-image")" "700 berth-it"
	try ubi -q list
	assert_output docker.io/library/bb:latest
}

@test "user: pull, push, commit and export of a copy" {
	ubi -q pull "$REG/bb"
	ubi -q unpack --mode copy "$REG/bb" "$U/b"
	assert_eq "$(stat -c %U "$U/b/rootfs/bin/busybox")" berth-it
	"${AS[@]}" sh -c "echo new >'$U/b/rootfs/new'"
	ubi -q commit "$U/b" x
	ubi -q push x "$REG/user/x"
	bi -q pull "$REG/user/x"
	bi -q unpack "$REG/user/x" "$T/b"
	assert_eq "$(stat -c '%u:%g' "$T/b/rootfs/new" "$T/b/rootfs/bin/busybox" | xargs)" "0:0 0:0"
	ubi -q export x "docker-archive:$U/x.tar"
	test -s "$U/x.tar"
}

@test "user: owners come back with a commit" {
	ubi -q pull "oci:$U/images:app" app
	ubi -q unpack --mode copy app "$U/b"
	"${AS[@]}" sh -c "echo new >>'$U/b/rootfs/data/seed'"
	try ubi -q commit --volumes "$U/b" x
	assert_ok
	ubi -q export x "oci:$U/layout:x"
	bi -q import "$U/layout:x" x
	bi -q unpack x "$T/b"
	assert_eq "$(stat -c '%u:%g' "$T/b/rootfs/srv/app" "$T/b/rootfs/data" | xargs)" "1000:1000 1000:1000"
}

@test "user: the default mode is a copy where overlay does not work" {
	ubi -q pull "oci:$U/images:bb" bb
	try ubi unpack bb "$U/b"
	assert_ok
	assert_has "files of its own"
	test -e "$U/b/rootfs/bin/busybox"
	ubi unmount --rm "$U/b"
	absent "$U/b"
}

@test "user: mode overlay says what to do" {
	ubi -q pull "oci:$U/images:bb" bb
	urefused "--mode copy" unpack --mode overlay bb "$U/b"
	absent "$U/b"
}

@test "user: run" {
	ubi -q pull "oci:$U/images:bb" bb
	try ubi -q run --net host bb sh -c 'id -u; echo x >/file; cat /file; exit 3'
	assert_status 3
	assert_output $'0\nx'
}

@test "user: run as another user of the image, with a volume" {
	ubi -q pull "oci:$U/images:app" app
	try ubi -q run --net host --entrypoint "/bin/sh -c" -v keep:/keep app 'id -u; pwd; echo $HOME'
	assert_output $'1000\n/srv/app\n/home/user'
	try ubi -q volume
	assert_output keep
}

@test "user: what is root's is refused in one line" {
	bi -q pull "oci:$IMG/bb:latest" bb
	chmod 711 "$T" 2>/dev/null || true
	urefused "permission denied" --root "$STORE" list
	ubi -q pull "oci:$U/images:bb" bb
	urefused "permission denied" unpack --mode copy bb /root/b
	mkdir -m 755 "$U/roots"
	urefused "permission denied" unpack --mode copy bb "$U/roots/b"
	[[ -z $(ls -A "$U/roots") ]] || fail "something is there"
	urefused "permission denied" export bb "oci-archive:$U/roots/x.tar"
}

@test "user: without a home directory" {
	try "${AS[@]}" env -u HOME "$U/bin/berth-image" -q list
	is_refusal "--root"
}
