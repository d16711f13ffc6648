# SPDX-License-Identifier: Apache-2.0
# A room of Podman's, which is Buildah's as well.

setup_suite() {
	local tool missing=
	for tool in podman buildah skopeo conmon newuidmap script jq; do
		command -v $tool >/dev/null || missing+=" $tool"
	done
	if [[ $missing ]]; then
		echo "missing:$missing (hint: tests/setup/packages.sh engines)" >&2
		return 1
	fi
	source "$BATS_TEST_DIRNAME/../podman/room.bash"
	podman_room buildah
	room_images
}

teardown_suite() {
	source "$BATS_TEST_DIRNAME/../podman/room.bash"
	leave_podman
}
