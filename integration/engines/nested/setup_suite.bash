# SPDX-License-Identifier: Apache-2.0
# A room, and the root file system of the outer containers.

setup_suite() {
	command -v podman >/dev/null || {
		echo "missing: podman (hint: tests/setup/packages.sh engines)" >&2
		return 1
	}
	source "$BATS_TEST_DIRNAME/outer.bash"
	podman_room nested
	outer_rootfs
}

teardown_suite() {
	source "$BATS_TEST_DIRNAME/outer.bash"
	leave_podman
}
