# SPDX-License-Identifier: Apache-2.0
# One room, one root file system, one image.

setup_suite() {
	local tool missing=
	for tool in podman jq mmdebstrap; do
		command -v $tool >/dev/null || [[ $tool == mmdebstrap && -e ${BERTH_ENGINES_CACHE:-} ]] || missing+=" $tool"
	done
	if [[ $missing ]]; then
		echo "missing:$missing (hint: tests/setup/packages.sh engines)" >&2
		return 1
	fi
	source "$BATS_TEST_DIRNAME/../podman/room.bash"
	source "$BATS_TEST_DIRNAME/bundle.bash"
	podman_room systemd
	make_rootfs "$ROOM/rootfs"
	"$ROOM/bin/podman" import -q --change 'CMD ["/sbin/init"]' "$(systemd_tar)" sd >/dev/null
}

teardown_suite() {
	source "$BATS_TEST_DIRNAME/../podman/room.bash"
	leave_podman
}
