# SPDX-License-Identifier: Apache-2.0
# What Buildah's cases are written with.

source "$BATS_TEST_DIRNAME/../podman/room.bash"

setup() {
	T=$ROOM/c$BATS_SUITE_TEST_NUMBER ID=c$BATS_SUITE_TEST_NUMBER AS=root
	mkdir -p "$T/ctx"
	cd "$T" || return
}

teardown() {
	local left bad=0
	buildah_ rm -a >/dev/null 2>&1
	buildah_ rmi -f "$ID-image" >/dev/null 2>&1
	left=$(grep -rlsF "$ROOM/" "/run/$ENGINE_RUNTIME" | head -n 3)
	[[ -z $left ]] || { echo "the runtime's state is left: $left" >&2; bad=1; }
	left=$(find /sys/fs/cgroup -type d -path "*buildah-buildah*" | head -n 3)
	[[ -z $left ]] || { echo "cgroups left: $left" >&2; bad=1; }
	left=$(pgrep -af -- "(buildah|berth|runc|crun) .*$ROOM/" | head -n 3)
	[[ -z $left ]] || { echo "processes left: $left" >&2; bad=1; }
	return $bad
}

# buildah_ ARG…: the room's Buildah, or its user's after as_user.
buildah_() {
	if [[ $AS == user ]]; then
		timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/user" buildah "$@" 3>&-
	else
		timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/buildah" "$@" 3>&-
	fi
}
podman_() { timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/podman" "$@" 3>&-; }
as_user() {
	AS=user
	chown -R berth-it: "$T"
}

# from IMAGE: $C is a working container.
from() { C=$(buildah_ from --pull-never --name "$ID-w" "$1"); }
# OCI: the runtime on the command line. Builds take it from containers.conf.
OCI=(--isolation oci --runtime "$(runtime_path)")
# run_w [OPTION…] -- COMMAND…: buildah run in $C.
run_w() {
	local options=()
	while [[ $1 != -- ]]; do options+=("$1") && shift; done
	try buildah_ run "${OCI[@]}" --network none "${options[@]}" "$C" "$@"
}
# bud ARG…: of the Containerfile on stdin, with $T/ctx, as $ID-image.
bud() {
	cat >"$T/ctx/Containerfile"
	try buildah_ bud --network none --pull-never -t "$ID-image" "$@" "$T/ctx"
}
# run_image COMMAND…: what was built, by Podman.
run_image() { try podman_ run --rm --network none --cgroup-parent "$ROOM_CGROUP" "$ID-image" "$@"; }
on_v2() { [[ -e /sys/fs/cgroup/cgroup.controllers ]]; }
cgroup_file() { if on_v2; then echo "cat /sys/fs/cgroup/$2"; else echo "cat /sys/fs/cgroup/$1"; fi; }
