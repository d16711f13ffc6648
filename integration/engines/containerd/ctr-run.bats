#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# ctr run: what its flags become in the container.

load helpers

@test "ctr run: the image's files, and the command's exit status" {
	run_t sh -c 'cat /etc/passwd | head -n1; exit 7'
	assert_status 7
	assert_output "root:x:0:0::/root:/bin/sh"
}

@test "ctr run: a signal's exit status is 128 and the signal" {
	ctr_ run --rm "${RUNTIME[@]}" --cgroup "$ROOM_CGROUP/$ID" localhost/bb:1 "$ID" sleep 1000 </dev/null >"$T/out" 2>&1 &
	PIDS+=($!)
	wait_for runs_t # killed between its creation and its start, it would be another case
	ctr_ tasks kill -s KILL "$ID"
	status=0
	wait "${PIDS[0]}" || status=$?
	assert_status 137
}

@test "ctr run: what is written to the image's files is not in the next container" {
	run_t sh -c 'echo changed >/etc/passwd; rm -r /www; cat /etc/passwd'
	assert_output changed
	run_t sh -c 'head -n1 /etc/passwd; ls -d /www'
	assert_output $'root:x:0:0::/root:/bin/sh\n/www'
}

@test "ctr run -t: a terminal of the caller's size" {
	output=$(timeout 20 script -qec "stty rows 33 cols 77; nsenter --net=/run/netns/$ROOM_NETNS --mount=$ROOM/ns/mnt -- ctr run --rm -t ${RUNTIME[*]} --cgroup $ROOM_CGROUP/$ID localhost/bb:1 $ID sh -c 'tty; until stty size 2>/dev/null | grep -v ^0; do :; done'" /dev/null 3>&- | tr -d '\r' | sed 's/^^@//')
	assert_output $'/dev/pts/0\n33 77'
}

@test "ctr run: environment and working directory" {
	EXTRA=(--env A=1 --env B='2 3' --cwd /tmp)
	run_t sh -c 'echo "$A $B $PWD"'
	assert_output "1 2 3 /tmp"
}

@test "ctr run: a bind mount, read only" {
	echo text >"$T/file"
	EXTRA=(--mount "type=bind,src=$T,dst=/data,options=rbind:ro")
	run_t sh -c 'cat /data/file; touch /data/new'
	assert_fails "Read-only file system"
	assert_has text
}

@test "ctr run: a tmpfs with a size" {
	EXTRA=(--mount "type=tmpfs,src=tmpfs,dst=/data,options=size=64k:mode=0700")
	run_t sh -c 'stat -c %a /data; df -k /data | tail -n1 | tr -s " " | cut -d" " -f2'
	assert_output $'700\n64'
}

@test "ctr run: a user's ids of the image's files" {
	since 1.7 "ctr run has no --user"
	EXTRA=(--user user)
	run_t id
	assert_output "uid=1000(user) gid=1000(user) groups=1000(user)"
}

@test "ctr run --read-only: the root file system" {
	EXTRA=(--read-only)
	run_t touch /new
	assert_fails "Read-only file system"
}

@test "ctr run --memory-limit: the limit, and the kill with its event" {
	watch_events
	EXTRA=(--memory-limit 16777216)
	run_t sh -c 'x=a; while :; do x=$x$x; done'
	assert_status 137
	wait_for has_event oom
}

@test "ctr run --cpus: the quota" {
	EXTRA=(--cpus 0.5)
	detach_t sleep 1000
	assert_eq "$(cgroup_file cpu cpu.cfs_quota_us cpu.max "$(pid_t)" | cut -d' ' -f1)" 50000
}

@test "ctr run --seccomp: the default profile" {
	EXTRA=(--seccomp)
	run_t sh -c 'grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status | tr -d "\t"; unshare -n true'
	assert_fails "Operation not permitted"
	assert_has $'NoNewPrivs:1\nSeccomp:2'
}

@test "ctr run --seccomp-profile: a profile of the user's" {
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 85}]}' >"$T/profile"
	EXTRA=(--seccomp --seccomp-profile "$T/profile")
	run_t sh -c 'touch /new && mkdir /dir'
	assert_fails "Interrupted system call should be restarted"
}

@test "ctr run --privileged: all capabilities, and mounting" {
	EXTRA=(--privileged)
	run_t sh -c 'mount -t tmpfs x /tmp && grep CapEff /proc/self/status | cut -f2'
	assert_output "$(grep CapBnd /proc/self/status | cut -f2)"
}

@test "ctr run --cap-add, --cap-drop: the effective set" {
	EXTRA=(--cap-add CAP_SYS_ADMIN --cap-drop CAP_CHOWN)
	run_t grep CapEff /proc/self/status
	((0x${output##*[[:space:]]} & 1 << 21)) || fail "want CAP_SYS_ADMIN"
	! ((0x${output##*[[:space:]]} & 1)) || fail "do not want CAP_CHOWN"
}

@test "ctr run --device: the device, and no other" {
	EXTRA=(--device /dev/loop-control)
	[[ -e /dev/loop-control ]] || EXTRA=(--device /dev/fuse)
	run_t sh -c "exec 3<${EXTRA[1]} && mknod /dev/mem1 c 1 1 && exec 4</dev/mem1"
	assert_fails "Operation not permitted"
	assert_has /dev/mem1
}

@test "ctr run --net-host: the daemon's network namespace" {
	EXTRA=(--net-host)
	run_t readlink /proc/self/ns/net
	assert_output "$(in_room readlink /proc/self/ns/net)"
}

@test "ctr run --with-ns: another's namespaces" {
	AS_ID=$ID-a detach_t sleep 1000
	EXTRA=(--with-ns "ipc:/proc/$(pid_t "$ID-a")/ns/ipc" --with-ns "network:/proc/$(pid_t "$ID-a")/ns/net")
	run_t sh -c 'readlink /proc/self/ns/ipc; readlink /proc/self/ns/net'
	assert_output "$(readlink "/proc/$(pid_t "$ID-a")/ns/ipc" "/proc/$(pid_t "$ID-a")/ns/net")"
}

@test "ctr run --uidmap, --gidmap: a user namespace over files of its own" {
	EXTRA=(--uidmap 0:100000:65536 --gidmap 0:200000:65536)
	run_t sh -c 'id -u; stat -c "%u %g" /etc/passwd; tr -s " " </proc/self/uid_map; tr -s " " </proc/self/gid_map'
	assert_output $'0\n0 0\n 0 100000 65536\n 0 200000 65536'
}

@test "ctr run --remap-labels: a user namespace over layers with mapped ids" {
	since 2.0 "its overlays map no ids"
	EXTRA=(--uidmap 0:100000:65536 --gidmap 0:200000:65536 --remap-labels --snapshotter overlayfs)
	detach_t sleep 1000
	EXTRA=()
	exec_t sh -c 'stat -c "%u %g" /etc/passwd; echo x >/etc/new; stat -c "%u %g" /etc/new; sleep 0.3'
	assert_output $'0 0\n0 0'
	# what was written has the container's ids, what was not the image's
	assert_eq "$(stat -c '%u %g' "$ROOM"/root/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/etc/new)" "100000 200000"
}

@test "ctr run --pid-file: the process's id" {
	EXTRA=(--pid-file "$T/pid")
	detach_t sleep 1000
	assert_eq "$(<"$T/pid")" "$(pid_t)"
}

@test "ctr run: a command that is not there is said so, and nothing is left" {
	run_t /no/such
	assert_fails "/no/such"
	assert_has "no such file or directory"
	assert_eq "$(ctr_ tasks ls -q)" ""
}

@test "ctr run: a mount that cannot be made is said so" {
	EXTRA=(--mount "type=bind,src=/no/such,dst=/data,options=rbind")
	run_t true
	assert_fails "no such file or directory"
}

@test "ctr run --runtime PATH: the shim by its path" {
	ours || skip "it is Berth's shim"
	mkdir "$T/bin"
	cp "$BIN/containerd-shim-berth-v2" "$T/bin/containerd-shim-elsewhere-v2"
	RUNTIME=(--runtime "$T/bin/containerd-shim-elsewhere-v2")
	detach_t sleep 1000
	assert_eq "$(readlink "/proc/$(shims "$ID")/exe")" "$T/bin/containerd-shim-elsewhere-v2"
}

@test "ctr run --runc-binary: berth below containerd's own shim" {
	ours || skip "it is Berth's binary"
	RUNTIME=(--runtime io.containerd.runc.v2 --runc-binary "$BIN/berth")
	detach_t sleep 1000
	[[ $(readlink "/proc/$(shims "$ID")/exe") == */containerd-shim-runc-v2 ]] || fail "want containerd's shim"
	exec_t sh -c 'echo hello; sleep 0.3; exit 4'
	assert_status 4
	assert_output hello
}

@test "ctr run --runtime-config-path: options of Berth's shim, here runc as its runtime" {
	ours || skip "it is Berth's shim"
	printf 'BinaryName = "%s"\nRoot = "%s"\n' "$(runtime_path runc)" "$T/root" >"$T/options.toml"
	EXTRA=(--runtime-config-path "$T/options.toml")
	detach_t sleep 1000
	EXTRA=()
	[[ -e $T/root/default/$ID ]] || fail "want runc's state"
	exec_t sh -c 'echo hello; sleep 0.3'
	assert_output hello
}
