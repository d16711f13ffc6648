# SPDX-License-Identifier: Apache-2.0
# One containerd for the whole suite; see room.bash.

setup_suite() {
	source "$(dirname "${BASH_SOURCE[0]}")/room.bash"
	make_containerd_room
	start_containerd
	load_images
}

teardown_suite() {
	source "$(dirname "${BASH_SOURCE[0]}")/room.bash"
	end_containerd_room 2>/dev/null || true
}
