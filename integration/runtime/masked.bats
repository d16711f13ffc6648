#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "masked: files are empty, directories empty and read-only" {
	mkdir "$ROOTFS/secretdir"
	echo secret >"$ROOTFS/secretdir/f"
	echo secret >"$ROOTFS/secretfile"
	update_config '.linux.maskedPaths += ["/secretdir","/secretfile"]'
	set_script 'cat /secretfile; ls -A /secretdir; touch /secretdir/x 2>&1; stat -c %t:%T /secretfile; cat /proc/timer_list /proc/keys'
	run_ct
	assert_lacks secret$'\n'
	assert_matches "[Rr]ead-only"
	assert_has 1:3
}

@test "masked: the defaults of spec are all unreadable" {
	mkdir "$T/new"
	rt spec --bundle "$T/new"
	update_config --slurpfile s "$T/new/config.json" '.linux.maskedPaths = $s[0].linux.maskedPaths'
	set_script 'for p in /proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/timer_list /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
		if test -d $p; then test -z "$(ls -A $p)" || echo open $p; elif test -e $p; then test -z "$(head -c 1 $p)" || echo open $p; fi; done; echo checked'
	run_ct
	assert_lacks "open /proc/kcore"
	assert_lacks "open /proc/keys"
	assert_lacks "open /sys/firmware"
	[[ $RT != berth ]] || assert_output checked
}

@test "masked: missing paths are no error" {
	update_config '.linux.maskedPaths += ["/no/such/path","/proc/no-such-file"]'
	set_args echo fine
	run_ct
	assert_output fine
}

@test "masked: a path through a file is no error" {
	lacks runc 1.2 "ENOTDIR is an error"
	lacks crun "ENOTDIR is an error"
	update_config '.linux.maskedPaths += ["/etc/passwd/below"]'
	set_args echo fine
	run_ct
	assert_output fine
}

@test "masked: listed twice" {
	update_config '.linux.maskedPaths += ["/proc/timer_list","/proc/timer_list"]'
	set_args echo fine
	run_ct
	assert_output fine
}

@test "masked: cannot be unmounted by the program" {
	set_script 'umount /proc/timer_list 2>&1; stat -c %t:%T /proc/timer_list'
	run_ct
	assert_matches 1:3
}

@test "readonly: paths reject writing and can be read" {
	set_script 'echo 1 >/proc/sys/kernel/ns_last_pid; echo f >/proc/irq/default_smp_affinity; cat /proc/sys/kernel/ostype'
	run_ct
	assert_has Linux
	assert_matches "[Rr]ead-only"
	assert_eq "$(grep -ci 'read-only' <<<"$output")" 2
}

@test "readonly: own paths, a file and a directory" {
	mkdir "$ROOTFS/rodir"
	echo text >"$ROOTFS/rofile"
	update_config '.linux.readonlyPaths += ["/rodir","/rofile","/missing"]'
	set_script 'touch /rodir/x; echo y >/rofile; cat /rofile'
	run_ct
	assert_eq "$(grep -ci 'read-only' <<<"$output")" 2
	assert_has text
}

@test "readonly: keeps nosuid, nodev, noexec of the mount" {
	lacks crun "drops them"
	set_script "awk '\$5 == \"/dev/mqueue\" {print \$6}' /proc/self/mountinfo"
	update_config '.linux.readonlyPaths += ["/dev/mqueue"]'
	run_ct
	assert_matches "ro,nosuid,nodev,noexec"
}

@test "masked and readonly: with a read-only root" {
	mkdir -p "$ROOTFS"/{proc,dev,sys,secretdir}
	update_config '.root.readonly = true | .linux.maskedPaths += ["/secretdir"]'
	set_script 'ls -A /secretdir; touch /secretdir/x; stat -c %t:%T /proc/timer_list'
	run_ct
	assert_matches "[Rr]ead-only"
	assert_has 1:3
}

@test "masked: exec sees them too" {
	idle_ct
	exec_ct stat -c %t:%T /proc/timer_list
	assert_output 1:3
}
