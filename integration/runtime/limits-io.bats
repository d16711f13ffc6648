#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# linux.resources.blockIO

load helpers

setup() {
	setup_bundle
	needs_controller blkio io
	read -r MAJOR MINOR < <(block_device) || skip "machine has no block device"
	DEV="\"major\":$MAJOR,\"minor\":$MINOR"
}
teardown() { teardown_cgroup; }

# throttle V1_FILE V2_KEY: what is set for the disk.
throttle() {
	limit_of blkio "blkio.throttle.$1" io.max | awk -v dev="$MAJOR:$MINOR" -v key="$(by_version "" "$2")" '
		$1 == dev && key == "" { print $2 }
		$1 == dev && key != "" { for (i = 2; i <= NF; i++) { split($i, kv, "="); if (kv[1] == key) print kv[2] } }'
}

@test "limits io: the four throttles" {
	set_resources "{\"blockIO\":{
		\"throttleReadBpsDevice\":[{$DEV,\"rate\":104857600}],
		\"throttleWriteBpsDevice\":[{$DEV,\"rate\":52428800}],
		\"throttleReadIOPSDevice\":[{$DEV,\"rate\":4000}],
		\"throttleWriteIOPSDevice\":[{$DEV,\"rate\":3000}]}}"
	idle_ct
	assert_eq "$(throttle read_bps_device rbps)" 104857600
	assert_eq "$(throttle write_bps_device wbps)" 52428800
	assert_eq "$(throttle read_iops_device riops)" 4000
	assert_eq "$(throttle write_iops_device wiops)" 3000
}

@test "limits io: the throttle is seen inside" {
	limited_ct "{\"blockIO\":{\"throttleReadBpsDevice\":[{$DEV,\"rate\":104857600}]}}"
	exec_ct cat "/sys/fs/cgroup/$(by_version blkio/blkio.throttle.read_bps_device io.max)"
	assert_has "$MAJOR:$MINOR"
	assert_has 104857600
}

@test "limits io: reading is as slow as asked for" {
	dev=$(stat -c %d "$ROOTFS/bin/busybox")
	dev=$(((dev >> 8) & 0xfff)):$(((dev & 0xff) | ((dev >> 12) & 0xfff00)))
	[[ -e /sys/dev/block/$dev ]] || skip "the test directory is on no block device"
	disk=/sys/dev/block/$dev
	[[ ! -e $disk/partition ]] || disk=$disk/..
	IFS=: read -r MAJOR MINOR <"$disk/dev"
	dd if=/dev/urandom of="$ROOTFS/file" bs=1M count=3 conv=fsync status=none
	dd of="$ROOTFS/file" oflag=nocache conv=notrunc,fdatasync count=0 status=none
	set_resources "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":$MAJOR,\"minor\":$MINOR,\"rate\":1048576}]}}"
	set_script 'date +%s%N; cat /file >/dev/null; date +%s%N'
	set_script 'a=$(cut -d" " -f1 /proc/uptime); cat /file >/dev/null; b=$(cut -d" " -f1 /proc/uptime); echo $a $b'
	run_ct
	assert_ok
	awk '{ exit !($2 - $1 > 1) }' <<<"$output" || fail "3 MB at 1 MB/s took less than a second"
}

@test "limits io: a device that does not exist is refused" {
	refuses_limit blockIO.throttleReadBpsDevice '{"blockIO":{"throttleReadBpsDevice":[{"major":4095,"minor":77,"rate":1000}]}}'
}

@test "limits io: an impossible device number is refused" {
	refuses_limit blockIO.throttleReadBpsDevice '{"blockIO":{"throttleReadBpsDevice":[{"major":-1,"minor":0,"rate":1000}]}}'
}

@test "limits io: weight" {
	on_v2 || lacks crun "knows no file of BFQ on v1"
	if has_limit_file blkio blkio.bfq.weight io.bfq.weight; then
		set_resources '{"blockIO":{"weight":333}}'
		idle_ct
		limit_of blkio blkio.bfq.weight io.bfq.weight | grep -qE '^(default )?333$'
	elif has_limit_file blkio blkio.weight io.weight; then
		set_resources '{"blockIO":{"weight":333}}'
		idle_ct
		limit_of blkio blkio.weight io.weight | grep -qE "^(default )?$(by_version 333 3263)\$"
	else
		skip "kernel has no I/O weights"
	fi
}

@test "limits io: weight without a scheduler for it is refused" {
	! has_limit_file blkio blkio.bfq.weight io.bfq.weight || skip "there is one"
	! has_limit_file blkio blkio.weight io.weight || skip "there is one"
	lacks runc "silently ignored"
	refuses_limit blockIO.weight '{"blockIO":{"weight":333}}'
}

@test "limits io: weight that does not fit is refused" {
	lacks crun "cuts it"
	refuses_limit weight '{"blockIO":{"weight":65536}}'
}

@test "limits io: an empty object sets nothing" {
	set_resources '{"blockIO":{}}'
	idle_ct
	assert_eq "$(throttle read_bps_device rbps)" ""
}
