#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts a containerd with Berth, beside that of the machine, for trying by hand.
#
#   start.sh             prints how to talk to it; ENGINE_CONTAINERD=2.3: that version
#   start.sh stop DIR    ends it
set -euo pipefail
source "$(dirname "$(realpath "$0")")/room.bash"
if [[ ${1:-} == stop ]]; then
	use_room "${2:?"usage: start.sh stop DIR"}"
	export CRI_SOCKET=$ROOM/c.sock CONTAINERD_ADDRESS=$ROOM/c.sock
	set +e
	end_containerd_room
	exit
fi
make_containerd_room
start_containerd
load_images
cat <<HELP
alias in_room='nsenter --net=/run/netns/$ROOM_NETNS --mount=$ROOM/ns/mnt --'
in_room ctr -a $CRI_SOCKET run --rm --runtime io.containerd.berth.v2 localhost/bb:1 hello echo hello
CRI_SOCKET=$CRI_SOCKET in_room $ROOM/criclient Version
# its log: $ROOM/containerd.log; to end it: $0 stop $ROOM
HELP
