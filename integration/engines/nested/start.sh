#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A privileged container, of ENGINE_RUNTIME's, in which Podman and Docker run
# containers with Berth.
#
#   integration/engines/nested/start.sh             prints how to talk to it
#   integration/engines/nested/start.sh stop DIR    ends it
set -euo pipefail
source "$(dirname "$(realpath "$0")")/outer.bash"

if [[ ${1:-} == stop ]]; then
	exec "$ENGINES/podman/start.sh" "$@"
fi
podman_room nested
outer_rootfs
run_outer outer --privileged
cat <<TEXT
A container of $ENGINE_RUNTIME's with engines in it:

  $ROOM/bin/podman exec outer podman run --rm --network none bb echo hello
  $ROOM/bin/podman exec -it outer bash

  $0 stop $ROOM
TEXT
