#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts a dockerd with Berth, beside that of the machine, for trying by hand.
#
#   start.sh             prints how to talk to it
#   start.sh stop DIR    ends it
set -euo pipefail
source "$(dirname "$(realpath "$0")")/daemon.bash"
if [[ ${1:-} == stop ]]; then
	use_room "${2:?"usage: start.sh stop DIR"}"
	end_docker_room
	exit
fi
make_docker_room docker
configure
start_docker
load_busybox
cat <<HELP
export DOCKER_HOST=unix://$ROOM/docker.sock
docker run --rm bb echo hello
# its log: $ROOM/dockerd.log; to end it: $0 stop $ROOM
HELP
