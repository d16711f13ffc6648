# SPDX-License-Identifier: Apache-2.0
# One dockerd for most files; those that restart theirs have rooms of their own.

source "$(dirname "${BASH_SOURCE[0]}")/daemon.bash"

setup_suite() {
	make_docker_room docker
	configure
	start_docker
	load_busybox
}
teardown_suite() { end_docker_room; }
