#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's end of tests/vm/run.sh: runs its command on a terminal, since
# suites behave differently without one, and switches the machine off.
set -uo pipefail
exec >/dev/virtio-ports/berth.output 2>&1 </dev/null
# Boot is over, this job being the last of it: no unit starts during a test.
systemctl is-system-running --wait >/dev/null
export HOME=/root TERM=dumb BERTH_VM=1
export PATH=/src/tests/vm/guest/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
status=0
script -qec 'stty -onlcr cols 120 rows 40; exec bash /src/.vm/command' /dev/null || status=$?
echo "$status" >/dev/virtio-ports/berth.status
systemctl poweroff -ff &>/dev/null
