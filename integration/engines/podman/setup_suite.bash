# SPDX-License-Identifier: Apache-2.0
# One room for all cases.

setup_suite() {
	local tool missing=
	for tool in podman conmon netavark slirp4netns fuse-overlayfs catatonit newuidmap jq script socat curl; do
		command -v $tool >/dev/null || [[ -x /usr/lib/podman/$tool ]] || missing+=" $tool"
	done
	if [[ $missing ]]; then
		echo "missing:$missing (hint: tests/setup/packages.sh engines)" >&2
		return 1
	fi
	source "$BATS_TEST_DIRNAME/room.bash"
	podman_room podman
	room_images
}

teardown_suite() {
	source "$BATS_TEST_DIRNAME/room.bash"
	leave_podman
}
