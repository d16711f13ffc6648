#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes the image's root file system, in which it runs, a machine for our job.
#
#   system.sh UNIT…    the units to mask
set -euo pipefail

for unit; do ln -sf /dev/null "/etc/systemd/system/$unit"; done
echo berth-vm >/etc/hostname
printf '127.0.0.1 localhost berth-vm\n::1 localhost\n' >/etc/hosts
# An empty one makes systemd take every boot for the first.
echo 6265727468206f63692072756e74696d >/etc/machine-id
printf '/dev/vda / ext4 noatime 0 0\n/dev/vdb /src ext4 noatime 0 0\n' >/etc/fstab
mkdir -p /src

# The user of rootless cases: subordinate ids as integration/runtime/setup_suite.bash
# has them, and a session from boot on that has every controller.
useradd --create-home --shell /bin/bash berth-it
echo berth-it:700000:65536 | tee /etc/subuid >/etc/subgid
mkdir -p /var/lib/systemd/linger /etc/systemd/system/user@.service.d
touch /var/lib/systemd/linger/berth-it
cat >/etc/systemd/system/user@.service.d/delegate.conf <<-'END'
	[Service]
	Delegate=cpu cpuset io memory pids
END

cat >/etc/systemd/system/berth-job.service <<-'END'
	[Unit]
	After=multi-user.target user@1000.service
	RequiresMountsFor=/src
	[Service]
	ExecStart=/src/tests/vm/guest/job.sh
	WorkingDirectory=/src
	TasksMax=infinity
	OOMPolicy=continue
END
mkdir -p /etc/systemd/system/multi-user.target.wants /etc/systemd/journald.conf.d
ln -s ../berth-job.service /etc/systemd/system/multi-user.target.wants/
printf '[Journal]\nStorage=volatile\n' >/etc/systemd/journald.conf.d/berth.conf
