#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Recipes for published holes. W is the witness: a tree outside of the rootfs
# that must be the same afterwards.

load helpers

setup() {
	setup_bundle
	W=$T/witness
	mkdir -p "$W/dir"
	echo keep >"$W/file"
	ln -s file "$W/link"
	mkfifo "$W/fifo"
	touch "$W/ptmx"
	cp "$ROOTFS/bin/busybox" "$W/exe"
	before=$(snapshot)
}
snapshot() { find "$W" -printf '%P %y %i %m %U %s %T@ %C@ %l\n' | sort; find "$W" -type f -exec sha256sum {} + | sort; }
assert_same() { diff <(echo "$before") <(snapshot) || fail "the witness changed"; }

@test "CVE-2019-19921, 2023-27561, 2023-28642: /proc is a symlink" {
	for to in /tmp/proc "$W/dir" "../../../../../..$W/dir"; do
		rm -rf "$ROOTFS/proc"
		ln -s "$to" "$ROOTFS/proc"
		mkdir -p "$ROOTFS/tmp/proc"
		set_script 'test -d /proc/self && readlink /proc/self/ns/pid; true'
		run_ct
		((status != 0)) || [[ $RT == crun ]] || fail "started with /proc -> $to"
	done
	assert_same
}

@test "CVE-2019-19921: /sys is a symlink" {
	rm -rf "$ROOTFS/sys"
	ln -s "$W/dir" "$ROOTFS/sys"
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	[[ $RT == crun ]] || assert_fails
	assert_same
}

# Links lead to the witness and nowhere else: Debian's runc and crun follow
# them, and one to / made them fill the host's root directory.
@test "CVE-2026-41579: /dev is a symlink" {
	lacks runc 1.4.3 "vulnerable"
	lacks crun "vulnerable"
	for to in "$W" "$W/dir" "../../../../../../../..$W"; do
		rm -f "$ROOTFS/dev"
		ln -s "$to" "$ROOTFS/dev"
		set_script 'ls /dev >/dev/null'
		run_ct
		assert_same
	done
}

@test "CVE-2026-41579: /dev is a symlink and no tmpfs is mounted there" {
	lacks runc 1.4.3 "vulnerable"
	lacks crun "vulnerable"
	update_config '.mounts |= map(select(.destination | startswith("/dev") | not))'
	for to in "$W" ../../../../../../../.."$W"; do
		rm -f "$ROOTFS/dev"
		ln -s "$to" "$ROOTFS/dev"
		set_args true
		run_ct
		assert_same
	done
}

@test "CVE-2024-21626: cwd by a leaked descriptor, run" {
	for n in $(seq 3 12); do
		update_config ".process.cwd = \"/proc/self/fd/$n\""
		set_script 'pwd; ls -d ../../../../../..'"$W"
		run_ct
		((status != 0)) || assert_lacks witness
	done
}

@test "CVE-2024-21626: cwd by a leaked descriptor, exec" {
	idle_ct
	for n in $(seq 3 12); do
		try rt exec --cwd "/proc/self/fd/$n" "$ID" sh -c 'ls ../../../../../..'"$W" </dev/null
		assert_lacks ptmx
	done
}

@test "CVE-2024-21626: cwd by a symlink in the rootfs" {
	for n in 5 6 7 8 9; do
		ln -sfn "/proc/self/fd/$n" "$ROOTFS/work"
		update_config '.process.cwd = "/work"'
		set_script 'ls ../../../../../..'"$W"
		run_ct
		assert_lacks ptmx
	done
}

@test "CVE-2024-21626: the program by a leaked descriptor" {
	for n in $(seq 3 12); do
		set_args "/proc/self/fd/$n/../../../../../..$W/exe" echo escaped
		run_ct
		assert_lacks escaped
	done
}

@test "fd leaks: the program has 0, 1 and 2 only, init and exec" {
	set_args ls /proc/self/fd
	try rt run --bundle "$BUNDLE" "$ID" </dev/null 5<"$W/file" 9<"$W"
	assert_output $'0\n1\n2\n3' # the fourth is the listing's own
	idle_ct
	try rt exec "$ID" ls /proc/self/fd </dev/null 5<"$W/file" 9<"$W"
	assert_output $'0\n1\n2\n3' # the fourth is the listing's own
}

@test "CVE-2025-31133: /dev/null is a symlink when paths are masked" {
	core=$(cat /proc/sys/kernel/core_pattern)
	mkdir -p "$ROOTFS/dev"
	ln -s "$W/file" "$ROOTFS/dev/null"
	update_config '.mounts |= map(select(.destination | startswith("/dev") | not))'
	set_script 'stat -Lc %t:%T /proc/timer_list; echo hostile >/proc/timer_list'
	lacks runc 1.2.8 "vulnerable or fails"
	lacks crun 1.9 "vulnerable or fails"
	run_ct
	((status != 0)) || assert_has 1:3
	assert_eq "$(cat /proc/sys/kernel/core_pattern)" "$core"
	assert_same
}

@test "CVE-2025-31133: a file bound over /dev/null" {
	lacks runc 1.2.8 "masks with what is there"
	lacks crun 1.25 "masks with what is there"
	update_config --arg s "$W/file" '.mounts += [{"destination":"/dev/null","type":"bind","source":$s,"options":["bind"]}]'
	set_script 'stat -c %t:%T /proc/timer_list'
	run_ct
	((status != 0)) || assert_output 1:3
	assert_same
}

@test "CVE-2025-52565: /dev/console is a symlink" {
	update_config '.process.terminal = true | .mounts |= map(select(.destination != "/dev"))'
	mkdir -p "$ROOTFS/dev/pts" "$ROOTFS/dev/shm" "$ROOTFS/dev/mqueue"
	ln -s "$W/file" "$ROOTFS/dev/console"
	"$RECVTTY" tty "$T/console" >"$T/tty" 2>&1 3>&- &
	receiver=$!
	wait_for test -S "$T/console"
	set_script 'echo hostile >/dev/console'
	rt run -d --console-socket "$T/console" --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 || true
	kill $receiver 2>/dev/null || true
	assert_same
}

@test "CVE-2019-16884: a directory bound over /proc" {
	lacks crun "1.8 takes it"
	mkdir -p "$W/dir/self/attr" "$W/dir/thread-self/attr"
	touch "$W/dir/self/attr/exec"
	before=$(snapshot)
	update_config --arg s "$W/dir" '.mounts[0] = {"destination":"/proc","type":"bind","source":$s,"options":["bind"]}'
	create_fails
	assert_same
}

@test "CVE-2025-52881: sysctl with a tmpfs on /proc" {
	lacks runc "refuses for another reason"
	lacks crun "1.8 writes into it"
	update_config '.mounts[0] = {"destination":"/proc","type":"tmpfs","source":"t"} | .linux.sysctl = {"net.ipv4.ip_default_ttl":"33"}'
	create_fails
}

@test "CVE-2021-30465 class: mount targets by symlinks stay inside" {
	lacks crun 1.9 "fails on a dangling one"
	ln -s / "$ROOTFS/root-link"
	ln -s "$W" "$ROOTFS/out"
	ln -s out "$ROOTFS/chain"
	update_config '.mounts += [{"destination":"/root-link/a","type":"tmpfs","source":"t"},{"destination":"/out/b","type":"tmpfs","source":"t"},{"destination":"/chain/c","type":"tmpfs","source":"t"}]'
	set_script "awk '{print \$5}' /proc/self/mountinfo"
	run_ct
	((status != 0)) || { assert_has $'\n/a'; assert_has "$W/b"; }
	assert_same
	[[ ! -e /a ]]
}

@test "CVE-2021-30465 class: a loop of symlinks" {
	ln -s loop2 "$ROOTFS/loop1"
	ln -s loop1 "$ROOTFS/loop2"
	update_config '.mounts += [{"destination":"/loop1/x","type":"tmpfs","source":"t"}]'
	create_fails
}

@test "CVE-2019-5736: /proc/self/exe as the program" {
	sum=$(sha256sum "$RUNTIME")
	set_args /proc/self/exe --version
	run_ct
	# whatever was executed, it was not the host's file opened for writing
	assert_eq "$(sha256sum "$RUNTIME")" "$sum"
	printf '#!/proc/self/exe\n' >"$ROOTFS/script"
	chmod 755 "$ROOTFS/script"
	set_args /script
	run_ct
	assert_eq "$(sha256sum "$RUNTIME")" "$sum"
}

@test "CVE-2016-9962: the waiting init shows nothing of the host" {
	create_ct
	pid=$(state_of pid)
	for f in /proc/"$pid"/fd/*; do
		[[ $RT == berth ]] || break
		target=$(readlink "$f" || true)
		[[ $target != "$ROOT"* || $target == *fifo* ]] || fail "holds $target"
	done
	[[ -d /proc/$pid ]]
}

@test "CVE-2023-25809: host cgroup namespace, user namespace, /sys bound" {
	requires userns
	only_v1 "the hierarchies are mounted one by one"
	with_userns
	update_config '(.mounts[] | select(.destination == "/sys")) |= {"destination":"/sys","type":"none","source":"/sys","options":["rbind","nosuid","noexec","nodev","ro"]}'
	set_script 'for d in /sys/fs/cgroup/*; do mkdir $d/escape 2>/dev/null && echo made $d; done; echo ok'
	run_ct
	assert_output ok
}

@test "devices and dangling symlinks in /dev of the image are not followed" {
	update_config '.mounts |= map(select(.destination | startswith("/dev") | not)) | .linux.devices = [{"path":"/dev/out","type":"c","major":1,"minor":3}]'
	mkdir -p "$ROOTFS/dev"
	ln -s "$W/made" "$ROOTFS/dev/out"
	try rt run --bundle "$BUNDLE" "$ID" </dev/null
	assert_same
}

@test "a process cannot see or signal outside of its pid namespace" {
	set_script 'kill -0 2 2>/dev/null && echo seen; kill -0 '"$$"' 2>/dev/null && echo seen; echo ok'
	run_ct
	assert_output ok
}

@test "state: is for its owner only" {
	create_ct
	mode=$(stat -c %a "$ROOT/$ID")
	[[ $mode == 7?? && ${mode:2} != [2367] ]]
	[[ $RT != berth ]] || assert_eq "$mode" 700
}

@test "the waiting init gives nothing of the host to what is in the container already" {
	needs_berth "runc's and crun's init has descriptors of its own"
	with_userns
	update_config 'del(.linux.uidMappings, .linux.gidMappings) | .linux.namespaces |= map(select(.type != "user")) | .linux.sysctl = {"net.ipv4.ip_forward":"1"}'
	set_args sleep 1000
	exec 200</
	create_ct
	exec 200<&-
	try rt exec "$ID" sh -c 'ls -l /proc/1/fd; cat /proc/1/fd/200/etc/shadow' </dev/null
	assert_matches "[Pp]ermission denied|can't open"
	assert_lacks "/proc"$'\n'
	assert_lacks "root:"
	assert_eq "$(find "/proc/$(state_of pid)/fd" -lname / | wc -l)" 0
	assert_eq "$(find "/proc/$(state_of pid)/fd" -lname /proc | wc -l)" 0
}

@test "a cgroupsPath whose children have processes is refused, and they live" {
	only_v1 "a hierarchy per controller"
	needs_berth "peers look at the directory alone"
	mkdir -p "/sys/fs/cgroup/pids/berth-it/$ID-parent/child"
	sleep 1000 3>&- &
	victim=$!
	echo $victim >"/sys/fs/cgroup/pids/berth-it/$ID-parent/child/tasks"
	update_config '.linux.cgroupsPath = "/berth-it/'"$ID"'-parent"'
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails
	kill -0 $victim
	kill $victim
	wait $victim 2>/dev/null || true
	find /sys/fs/cgroup/*/berth-it/"$ID"-parent -depth -type d -exec rmdir {} \; 2>/dev/null || true
}

@test "an image's /dev link to a volume makes no nodes there" {
	needs_berth "CVE-2026-41579 is live in Debian's peers"
	mkdir -p "$T/volume" "$ROOTFS/data"
	echo keep >"$T/volume/ptmx"
	rm -rf "$ROOTFS/dev"
	ln -s /data "$ROOTFS/dev"
	update_config '.mounts += [{"destination":"/data","type":"bind","source":"'"$T"'/volume","options":["bind"]}]'
	create_fails
	assert_eq "$(cat "$T/volume/ptmx")" keep
	assert_eq "$(ls "$T/volume")" ptmx
}

@test "userns: a read-only mount of the host stays read-only inside" {
	requires userns
	with_userns
	lacks crun "opens sources outside of the namespace"
	mkdir "$T/ro"
	mount -t tmpfs berth-ro "$T/ro"
	echo old >"$T/ro/file"
	chmod 666 "$T/ro/file"
	mount -o remount,bind,ro "$T/ro"
	update_config '.mounts += [{"destination":"/ro","type":"bind","source":"'"$T"'/ro","options":["bind"]}] | .process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"])'
	set_script 'mount -o remount,bind,rw /ro 2>/dev/null; echo new >/ro/file; echo done'
	try rt run --bundle "$BUNDLE" "$ID" </dev/null
	got=$(cat "$T/ro/file")
	umount "$T/ro"
	assert_eq "$got" old
}

@test "userns: a source that the mapped root cannot reach is mounted all the same" {
	requires userns
	with_userns
	lacks crun "1.8 cannot"
	lacks runc "came with 1.2"
	mkdir -p "$T/private/source"
	chmod 700 "$T/private"
	echo inside >"$T/private/source/file"
	update_config '.mounts += [{"destination":"/src","type":"bind","source":"'"$T"'/private/source","options":["bind"]}]'
	set_script 'cat /src/file'
	run_ct
	assert_output inside
}
