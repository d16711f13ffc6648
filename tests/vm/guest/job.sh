#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's end of tests/vm/run.sh: runs its command on a terminal, since
# suites behave differently without one, and switches the machine off.
set -uo pipefail
exec >/dev/virtio-ports/berth.output 2>&1 </dev/null
# Boot is over, this job being the last of it: no unit starts during a test.
systemctl is-system-running --wait >/dev/null
# The kernel patches its code when the first cgroup gets a cpu quota or a cpuset,
# and again when the last one goes. QEMU 7.2 with several threads now and then
# executes the half-patched code, so one cgroup has them all the time.
keep=/sys/fs/cgroup/keep
if mkdir $keep 2>/dev/null && [[ -e $keep/cgroup.controllers ]]; then
	echo "+cpu +cpuset +memory +pids +io" >/sys/fs/cgroup/cgroup.subtree_control
	echo "50000 100000" >$keep/cpu.max
	echo 0-1 >$keep/cpuset.cpus
elif mkdir /sys/fs/cgroup/{cpu,cpuset}/keep 2>/dev/null; then
	echo 50000 >/sys/fs/cgroup/cpu/keep/cpu.cfs_quota_us
fi
export HOME=/root TERM=dumb BERTH_VM=1
export PATH=/src/tests/vm/guest/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
status=0
script -qec 'stty -onlcr cols 120 rows 40; exec bash /src/.vm/command' /dev/null || status=$?
echo "$status" >/dev/virtio-ports/berth.status
systemctl poweroff -ff &>/dev/null
