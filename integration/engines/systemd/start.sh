#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Debian with systemd as process 1 of a container to look at, by a bundle of its own.
#
#   integration/engines/systemd/start.sh             prints how to talk to it
#   integration/engines/systemd/start.sh stop DIR    ends it
set -euo pipefail
source "$(dirname "$(realpath "$0")")/bundle.bash"

runtime=$(runtime_path)
if [[ ${1:-} == stop ]]; then
	use_room "${2:?"usage: start.sh stop DIR"}"
	"$runtime" --root "$ROOM/state" delete --force sd
	rm -rf --one-file-system "$ROOM"
	exit
fi
dir=$(mktemp -d /tmp/be-systemd.XXXX)
make_rootfs "$dir/rootfs"
make_bundle "$dir" "$dir/rootfs" "/${dir##*/}"
"$runtime" --root "$dir/state" run --detach --bundle "$dir" sd </dev/null >"$dir/log" 2>&1
cat <<TEXT
systemd boots as process 1 of a container of $ENGINE_RUNTIME's:

  $runtime --root $dir/state exec sd systemctl is-system-running --wait
  $runtime --root $dir/state exec --tty sd bash
  $runtime --root $dir/state kill sd 37     # SIGRTMIN+3: shut down

  $0 stop $dir
TEXT
