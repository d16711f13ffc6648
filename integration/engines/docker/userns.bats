#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A daemon with userns-remap: root of a container is somebody else outside.

load helpers

setup_file() {
	id berth-it >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin berth-it
	grep -q '^berth-it:' /etc/subuid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subuid
	grep -q '^berth-it:' /etc/subgid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subgid
	make_docker_room userns
	configure '."userns-remap" = "berth-it"'
	start_docker
	load_busybox
}
teardown_file() { end_docker_room; }

FIRST=$(awk -F: '$1 == "berth-it" { print $2; exit }' /etc/subuid)

@test "userns: root inside is not root outside" {
	idle_c
	assert_eq "$(sh_c 'id -u')" 0
	assert_eq "$(stat -c %u "/proc/$(show '{{.State.Pid}}')")" "$FIRST"
	assert_eq "$(sh_c 'cat /proc/self/uid_map' | xargs)" "0 $FIRST 65536"
}

@test "userns: has a user namespace of its own, and exec joins it" {
	idle_c
	[[ $(sh_c 'readlink /proc/self/ns/user') != "$(readlink /proc/self/ns/user)" ]]
	assert_eq "$(sh_c 'readlink /proc/self/ns/user')" "$(readlink "/proc/$(show '{{.State.Pid}}')/ns/user")"
	EXEC=(-u 1000)
	exec_c id -u
	assert_output 1000
}

@test "userns: files of the image, of volumes and of binds" {
	mkdir "$T/mine"
	chown "$FIRST:$FIRST" "$T/mine"
	chmod 711 "$T/.." "$T/../.." "$BATS_RUN_TMPDIR" "$T"
	EXTRA=(-v "$ID:/volume" -v "$T/mine:/mine")
	run_c sh -c 'stat -c %u /bin/busybox; touch /volume/x && echo volume; touch /mine/x && echo mine'
	docker_ volume rm "$ID" >/dev/null
	assert_output $'0\nvolume\nmine'
	assert_eq "$(stat -c %u "$T/mine/x")" "$FIRST"
}

@test "userns: a file of the machine's root is not writable" {
	mkdir "$T/dir"
	chmod 755 "$T/dir"
	EXTRA=(-v "$T/dir:/dir")
	run_c touch /dir/x
	assert_fails "Permission denied"
}

@test "userns: --userns host switches it off" {
	EXTRA=(--userns host)
	run_c readlink /proc/self/ns/user
	assert_output "$(readlink /proc/self/ns/user)"
}

@test "userns: with limits, networks, tmpfs, devices and --init" {
	EXTRA=(--memory 64m --pids-limit 50 --tmpfs /t --shm-size 2m --init --sysctl net.ipv4.ip_forward=1 --read-only --hostname mapped)
	run_c sh -c 'hostname; touch /t/x && echo tmpfs; echo x >/dev/null && echo null; ping -c1 -W2 10.199.0.1 | grep -c "1 packets rec"; mount | grep -c " /sys "'
	assert_output $'mapped\ntmpfs\nnull\n1\n1'
}

@test "userns: a terminal belongs to the process" {
	output=$(on_tty run --rm -t bb sh -c 'tty; stat -c %u /dev/pts/0; echo x >/dev/tty && echo writes' </dev/null)
	assert_has $'/dev/pts/0\n0\nx\nwrites'
}

@test "userns: a build runs in it" {
	printf 'FROM bb\nRUN cat /proc/self/uid_map >/map && chown 1000 /map\n' | docker_ build -q -t "$ID" - >/dev/null
	assert_eq "$(docker_ run --rm "$ID" sh -c 'cat /map; stat -c %u /map' | xargs)" "0 $FIRST 65536 1000"
}
