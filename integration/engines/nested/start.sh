#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A privileged container, of ENGINE_RUNTIME's, in which Podman and Docker run
# containers with Berth.
#
#   integration/engines/nested/start.sh            prints how to talk to it
#   integration/engines/nested/start.sh --end ROOM
set -euo pipefail
source "$(dirname "$(realpath "$0")")/outer.bash"

if [[ ${1:-} == --end ]]; then
	exec "$ENGINES/podman/start.sh" --end "${2:?which room?}"
fi
podman_room nested
outer_rootfs
run_outer outer --privileged
cat <<TEXT
A container of $ENGINE_RUNTIME's with engines in it:

  $ROOM/bin/podman exec outer podman run --rm --network none bb echo hello
  $ROOM/bin/podman exec -it outer bash

  $0 --end $ROOM
TEXT
