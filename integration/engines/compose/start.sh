#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts a dockerd with Berth for trying the example application by hand.
#
#   start.sh             prints how to go on
#   start.sh stop DIR    ends it
set -euo pipefail
here=$(dirname "$(realpath "$0")")
[[ ${1:-} != stop ]] || exec "$here/../docker/start.sh" "$@"
source "$here/../docker/daemon.bash"
make_docker_room compose
configure
start_docker
load_example
cat <<HELP
export DOCKER_HOST=unix://$ROOM/docker.sock COMPOSE_DOCKER_CLI_BUILD=0
cd $here/app && docker-compose up -d --build
nsenter --net=/run/netns/$ROOM_NETNS curl http://127.0.0.1:8080/
# to end it: $0 stop $ROOM
HELP
