# SPDX-License-Identifier: Apache-2.0
# A dockerd of the suite's, and the base of the example's images.

source "$(dirname "${BASH_SOURCE[0]}")/../docker/daemon.bash"

setup_suite() {
	make_docker_room compose
	configure
	start_docker
	load_example
}
teardown_suite() { end_docker_room; }
