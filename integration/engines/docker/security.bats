#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Capabilities, seccomp, privileges, read-only files, masks.

load helpers

caps() { run_c sh -c 'grep -E "^Cap(Prm|Eff|Bnd):" /proc/self/status | cut -f2 | xargs'; }

@test "security: the default capabilities" {
	caps
	assert_output "00000000a80425fb 00000000a80425fb 00000000a80425fb"
}

@test "security: --cap-drop all and --cap-add one" {
	EXTRA=(--cap-drop all --cap-add net_bind_service)
	caps
	assert_output "0000000000000400 0000000000000400 0000000000000400"
}

@test "security: --cap-drop of one is felt" {
	EXTRA=(--cap-drop chown)
	run_c chown 1 /tmp
	assert_fails "peration not permitted"
}

@test "security: --cap-add of one is felt" {
	EXTRA=(--cap-add sys_admin --security-opt seccomp=unconfined)
	run_c sh -c 'mount -t tmpfs x /tmp && echo mounted'
	assert_output mounted
}

@test "security: an ordinary user has no effective capabilities" {
	EXTRA=(--user 1000)
	run_c sh -c 'grep -E "^Cap(Prm|Eff|Amb):" /proc/self/status | cut -f2 | xargs'
	assert_output "0000000000000000 0000000000000000 0000000000000000"
}

@test "security: docker's own seccomp profile is on" {
	run_c sh -c 'grep ^Seccomp: /proc/self/status; unshare -m true'
	assert_has $'Seccomp:\t2'
	assert_fails "peration not permitted"
}

@test "security: seccomp=unconfined" {
	EXTRA=(--security-opt seccomp=unconfined)
	run_c grep ^Seccomp: /proc/self/status
	assert_output $'Seccomp:\t0'
}

@test "security: seccomp=FILE" {
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}' >"$T/profile.json"
	EXTRA=(--security-opt "seccomp=$T/profile.json")
	run_c sh -c 'echo works; mkdir /tmp/x'
	assert_fails "No space left on device"
	assert_has works
}

@test "security: no-new-privileges" {
	EXTRA=(--security-opt no-new-privileges)
	run_c grep ^NoNewPrivs: /proc/self/status
	assert_output $'NoNewPrivs:\t1'
	EXTRA=()
	run_c grep ^NoNewPrivs: /proc/self/status
	assert_output $'NoNewPrivs:\t0'
}

@test "security: apparmor=unconfined, and a profile that is not loaded" {
	EXTRA=(--security-opt apparmor=unconfined)
	run_c echo runs
	assert_output runs
	EXTRA=(--security-opt apparmor=no-such-profile)
	run_c echo runs
	if [[ -e /sys/module/apparmor && $(</sys/module/apparmor/parameters/enabled) == Y ]]; then assert_fails; else assert_output runs; fi
}

@test "security: --privileged has devices, capabilities and no masks" {
	EXTRA=(--privileged)
	run_c sh -c 'ls /dev | wc -l; grep ^Seccomp: /proc/self/status; grep CapEff /proc/self/status; mount -t tmpfs x /tmp && echo mounted; test -w /proc/sys/kernel/panic && echo writable; mount | grep -c " /proc/.* ro" || true'
	assert_has $'Seccomp:\t0'
	assert_has mounted
	assert_has writable
	((${output%%$'\n'*} > 20)) || fail "few devices"
	caps=0x$(grep CapEff <<<"$output" | cut -f2)
	((caps >> 21 & 1 && caps >> 12 & 1 && caps >> 19 & 1)) || fail "not SYS_ADMIN, NET_ADMIN, SYS_PTRACE"
}

@test "security: --read-only, with a tmpfs and a volume to write to" {
	EXTRA=(--read-only --tmpfs /tmp -v "$T:/data")
	run_c sh -c 'echo x >/root/x; echo x >/tmp/x && echo x >/data/x && echo written'
	assert_has "Read-only file system"
	assert_has written
}

@test "security: masked and read-only paths of /proc" {
	run_c sh -c 'wc -c </proc/keys; wc -c </proc/timer_list; ls /sys/firmware /proc/acpi | grep -cv ":$"; echo 1 >/proc/irq/x; echo 1 >/proc/sys/vm/swappiness'
	[[ $output == $'0\n0\n'* ]] || fail "not masked"
	assert_has "Read-only file system"
}

@test "security: systempaths=unconfined" {
	EXTRA=(--security-opt systempaths=unconfined)
	run_c sh -c 'head -c1 /proc/timer_list | wc -c; test -w /proc/sys/vm/swappiness && echo writable'
	assert_output $'1\nwritable'
}

@test "security: the default devices, and no others" {
	run_c sh -c 'ls /dev | grep -vx core | xargs'
	assert_output "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
}

@test "security: a set-user-id program works, and not with no-new-privileges" {
	mkdir "$T/build"
	cp "$(command -v tini-static)" "$T/build/tini"
	printf 'FROM bb\nCOPY tini /bin/\nRUN chmod 4755 /bin/tini\n' >"$T/build/Dockerfile"
	docker_ build -q -t "suid-$ID" "$T/build" >/dev/null
	euid='grep ^Uid /proc/$PPID/status | cut -f3'
	assert_eq "$(docker_ run --rm --user 1000 "suid-$ID" tini -- sh -c "$euid")" 0
	assert_eq "$(docker_ run --rm --user 1000 --security-opt no-new-privileges "suid-$ID" tini -- sh -c "$euid")" 1000
	docker_ rmi "suid-$ID" >/dev/null
}

@test "security: the runtime's binary cannot be reached from inside" {
	EXTRA=(--cap-add sys_ptrace --cap-add sys_admin --security-opt seccomp=unconfined)
	idle_c
	docker_ exec -d "$ID" sleep 1000
	assert_eq "$(sh_c 'for p in /proc/[0-9]*; do readlink $p/exe; done' | grep -cE 'berth|runc')" 0
}

@test "security: the container's files belong to it alone" {
	idle_c
	AS_ID=$ID-b idle_c
	sh_c 'echo secret >/root/x'
	try docker_ exec "$ID-b" cat /root/x
	assert_fails "No such file"
}
