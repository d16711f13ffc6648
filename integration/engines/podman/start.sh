#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Podman and a Buildah with Berth to play with, for root and for an ordinary
# user, apart from those of this machine.
#
#   integration/engines/podman/start.sh             prints how to talk to them
#   integration/engines/podman/start.sh stop DIR    ends it
#   ENGINE_RUNTIME=runc integration/engines/podman/start.sh
set -euo pipefail
source "$(dirname "$(realpath "$0")")/room.bash"

if [[ ${1:-} == stop ]]; then
	use_room "${2:?"usage: start.sh stop DIR"}"
	set +e
	leave_podman
	exit
fi
podman_room podman
room_images
cat <<TEXT
$ENGINE_RUNTIME is what these run containers with; there are the images bb and infra:

  $ROOM/bin/podman run --rm bb echo hello
  $ROOM/bin/buildah from bb
  $ROOM/bin/user podman run --rm bb id       # as the user berth-it
  $ROOM/bin/enter bash                       # their network and their mounts

  $0 stop $ROOM
TEXT
