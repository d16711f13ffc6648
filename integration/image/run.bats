#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# berth-image run: an image, a command, its exit status, and nothing left.

load helpers

# nothing_left: cgroup, mount, bundle and state are gone.
nothing_left() {
	[[ -z $(halves) ]] || fail "left: $(halves)" || return 1
	[[ -z $(find "$STORE/bundles" -type f) ]] || fail "a record is left" || return 1
	! grep -qF " $T/" /proc/self/mountinfo || fail "a mount is left"
}

@test "run: output, exit status, nothing left" {
	get bb
	run_image bb echo hello
	assert_ok
	assert_output hello
	nothing_left
	run_image bb sh -c 'echo err >&2; exit 42'
	assert_status 42
	assert_output err
	nothing_left
}

@test "run: ends by a signal" {
	get bb
	run_image bb sh -c 'trap "exit 3" TERM; kill -TERM $$'
	assert_status 3
	run_image bb sh -c 'sh -c "kill -9 \$\$"; exit $?'
	assert_status 137
}

@test "run: stdin" {
	get bb
	out=$(seq 200000 | run_plain bb md5sum)
	assert_eq "$out" "$(seq 200000 | md5sum)"
}

@test "run: 10 MB of output" {
	get bb
	assert_eq "$(run_plain bb seq 1300000 </dev/null | md5sum)" "$(seq 1300000 | md5sum)"
}

@test "run: a terminal" {
	get bb
	out=$(timeout 30 script -qec "stty rows 33 cols 77; $BIN/berth-image --root $STORE -q run --name $ID --net none --runtime-arg=--root --runtime-arg=$T/state -t bb sh -c 'tty; stty size; echo \$TERM; exit 5'; echo status \$?" /dev/null </dev/null 3>&- | tr -d '\r\0')
	assert_eq "${out#^@}" $'/dev/pts/0\n33 77\nxterm\nstatus 5'
}

@test "run: habits of docker" {
	get bb
	run_image --rm -i bb echo rm
	assert_output rm
	out=$(timeout 30 script -qec "$BIN/berth-image --root $STORE -q run --name $ID --net none --runtime-arg=--root --runtime-arg=$T/state -it --rm bb tty" /dev/null </dev/null 3>&- | tr -d '\r\0')
	assert_eq "$(xargs <<<"${out//^@/}")" /dev/pts/0
	refused "background" run -d bb true
	refused "berth run" run --rm=false bb true
	nothing_left
}

@test "run: what the image says" {
	get app
	run_image app
	assert_output "entry point"
	run_image app of mine
	assert_output "entry of mine"
	run_image --entrypoint "/bin/sh -c" app 'id -u; id -G; pwd; echo $FROM $HOME; cat /data/seed; echo new >/data/new && echo written'
	assert_output $'1000\n1000 2000\n/srv/app\nimage /home/user\nseed\nwritten'
}

@test "run: flags of the command stay the command's" {
	get bb
	run_image bb echo --quiet -v --root x
	assert_output "--quiet -v --root x"
	run_image bb -- echo x
	assert_output x
}

@test "run: user, env, workdir, hostname" {
	get bb
	FROM_HOST=yes run_image --user user --env A=1,2 --env FROM_HOST --workdir /tmp --hostname inside bb sh -c 'id -un; echo $A $FROM_HOST; pwd; hostname; echo $HOME'
	assert_output $'user\n1,2 yes\n/tmp\ninside\n/home/user'
	run_image --user 77:88 bb sh -c 'id -u; id -g'
	assert_output $'77\n88'
}

@test "run: a working directory that is not there is made" {
	get bb
	run_image --workdir /made/new bb pwd
	assert_output /made/new
	nothing_left
}

@test "run: memory and pids" {
	get bb
	run_plain --memory 32m --pids 20 bb sh -c 'echo up; sleep 100' >"$T/o" 2>&1 </dev/null &
	PIDS+=($!)
	wait_for grep -q up "$T/o"
	assert_eq "$(cat "$(find /sys/fs/cgroup -path "*$ID*" \( -name memory.limit_in_bytes -o -name memory.max \) | head -n1)")" 33554432
	assert_eq "$(cat "$(find /sys/fs/cgroup -path "*$ID*" -name pids.max | head -n1)")" 20
	"$BIN/berth" --root "$T/state" kill "$ID" KILL
	wait_for no_users
	nothing_left
}

@test "run: capabilities" {
	get bb
	run_image --cap-drop ALL bb grep CapBnd /proc/self/status
	assert_output $'CapBnd:\t0000000000000000'
	run_image --cap-drop CHOWN bb chown 1 /etc/passwd
	assert_status 1
	run_image bb chown 1 /etc/passwd
	assert_ok
}

@test "run: ulimit, sysctl, device, tmpfs, shm, new privileges" {
	get bb
	run_image --ulimit nofile=111:222 --sysctl kernel.msgmax=1234 --device /dev/zero:/dev/nil --tmpfs /t:size=1m --shm-size 2m --new-privileges bb sh -c '
		ulimit -n; cat /proc/sys/kernel/msgmax; head -c 3 /dev/nil | wc -c; grep -cE " /t .*size=1024k" /proc/mounts
		grep -cE " /dev/shm .*size=2048k" /proc/mounts; grep NoNewPrivs /proc/self/status'
	assert_output $'111\n1234\n3\n1\n1\nNoNewPrivs:\t0'
}

@test "run: privileged" {
	get bb
	run_image --privileged bb sh -c 'grep -E "Seccomp:|CapBnd" /proc/self/status; test -w /proc/sys/kernel/hostname && echo writable'
	assert_has $'Seccomp:\t0'
	assert_has "CapBnd:	$(grep CapBnd /proc/self/status | cut -f2)"
	assert_has writable
}

@test "run: no network, and the host's" {
	get bb
	run_image bb ls /sys/class/net
	assert_output lo
	run_image --net host bb readlink /proc/self/ns/net
	assert_output "$(readlink /proc/self/ns/net)"
	run_image --net nosuch bb true
	is_refusal nosuch
	nothing_left
}

@test "run: read-only" {
	get bb
	run_image --read-only bb touch /file
	assert_status 1
	assert_has "Read-only"
	run_image --read-only --tmpfs /tmp bb touch /tmp/file
	assert_ok
}

@test "run: seccomp" {
	get bb
	run_image bb grep Seccomp: /proc/self/status
	assert_output $'Seccomp:\t2'
	run_image --seccomp unconfined bb grep Seccomp: /proc/self/status
	assert_output $'Seccomp:\t0'
	echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}' >"$T/profile"
	run_image --seccomp "$T/profile" bb mkdir /tmp/x
	assert_status 1
}

@test "run: a directory of the host" {
	get bb
	mkdir "$T/host"
	echo h >"$T/host/file"
	run_image -v "$T/host:/mnt" bb sh -c 'cat /mnt/file; echo c >/mnt/new'
	assert_output h
	assert_eq "$(<"$T/host/new")" c
	run_image -v "$T/host:/mnt:ro,nosuid" bb touch /mnt/again
	assert_status 1
	assert_has "Read-only"
	run_image --mount "type=bind,source=$T/host,destination=/mnt,readonly" bb cat /mnt/new
	assert_output c
	test -e "$T/host/new"
}

@test "run: a source that is not there" {
	get bb
	run_image -v "$T/nosuch:/mnt" bb true
	assert_status 1
	assert_has "$T/nosuch"
	nothing_left
}

@test "run: a named volume outlives containers and gc" {
	get bb
	run_image -v keep:/vol bb sh -c 'echo kept >/vol/file'
	assert_ok
	run_image -v keep:/vol bb cat /vol/file
	assert_output kept
	bi -q gc
	try bi volume
	assert_output keep
	run_image --mount type=volume,source=keep,destination=/other bb cat /other/file
	assert_output kept
	bi volume --rm keep
	try bi volume
	assert_output ""
	refused nosuch volume --rm nosuch
}

@test "run: a volume in use is not removed" {
	get bb
	bi -q unpack -v used:/vol bb "$T/b"
	refused "in use" volume --rm used
	bi unmount --rm "$T/b"
	bi volume --rm used
}

@test "run: names that no volume has" {
	get bb
	for name in .. .hidden 'a b' -x; do
		run_image -v "$name:/vol" bb true
		assert_status 1
		nothing_left
	done
	assert_eq "$(bi volume)" ""
}

@test "run: --pull" {
	run_image "$REG/bb" echo pulled
	assert_output pulled
	run_image --pull never "$REG/app"
	assert_status 1
	assert_has "not in the store"
	bi -q pull "oci:$IMG/app:latest" "$REG/bb:latest"
	run_image --pull missing "$REG/bb" nothing
	assert_output "entry nothing"
	run_image --pull always "$REG/bb" echo again
	assert_output again
	run_image --pull sometimes "$REG/bb" echo again
	is_refusal sometimes
}

@test "run: docker schema 2, zstd, 5 layers of all kinds" {
	get mixed
	run_image mixed cat /dirs/hidden/new /was-dir-is-file
	assert_output $'new\nnow a file'
}

@test "run: mode copy" {
	get bb
	run_image --mode copy bb echo copied
	assert_output copied
	nothing_left
}

@test "run: changes are thrown away" {
	get bb
	run_image bb sh -c 'rm -r /etc; echo x >/new; ls /'
	assert_lacks etc
	run_image bb ls /
	assert_has etc
	assert_lacks new
}

@test "run: what cannot be run" {
	get bb
	# as shells and engines have it
	run_image bb /no/such/program
	assert_status 127
	assert_has /no/such/program
	nothing_left
	run_image bb nosuch
	assert_status 127
	run_image bb /etc/passwd
	assert_status 126
	nothing_left
	run_image --env PATH=/etc bb passwd
	assert_status 126
	# what ran has its own status, also where the image has no such program
	run_image -v "$(dirname "$(command -v busybox)"):/host" bb /host/busybox sh -c 'exit 1'
	assert_status 1
	run_image bb sh -c 'rm /bin/*; exit 1'
	assert_status 1
	bi -q import "$S/src/etc.tar" nocmd
	run_image nocmd
	assert_status 1
	assert_has process.args
	nothing_left
}

@test "run: a name that is taken" {
	get bb
	run_plain bb sh -c 'echo up; sleep 100' >"$T/o" 2>&1 </dev/null &
	PIDS+=($!)
	wait_for grep -q up "$T/o"
	run_image bb echo second
	assert_status 1
	"$BIN/berth" --root "$T/state" kill "$ID" KILL
	wait_for no_users
	nothing_left
}

@test "run: a runtime that is not there, and another one" {
	get bb
	refused nosuchruntime run --runtime nosuchruntime bb true
	nothing_left
	try bi -q run --name "$ID" --net none --runtime runc --runtime-arg=--root --runtime-arg="$T/state" bb echo by runc
	assert_output "by runc"
	nothing_left
}

@test "run: SIGTERM reaches the container, and it is cleaned up" {
	get bb
	run_plain bb sh -c 'trap "echo got it; exit 7" TERM; echo up; while :; do usleep 20000; done' >"$T/o" 2>&1 </dev/null &
	wait_for grep -q up "$T/o"
	kill -TERM "$(pgrep -f "^$BIN/berth-image .*--name $ID ")"
	status=0
	wait $! || status=$?
	assert_status 7
	grep -q "got it" "$T/o"
	nothing_left
}

@test "run: SIGKILL, then gc ends the container and cleans up" {
	get bb
	run_plain bb sh -c 'echo up; sleep 1000' >"$T/o" 2>&1 </dev/null &
	wait_for grep -q up "$T/o"
	pid=$(pgrep -f "^$BIN/berth-image .*--name $ID ")
	kill -KILL "$pid"
	wait $! || true
	bi -q gc
	assert_eq "$("$BIN/berth" --root "$T/state" list -q)" ""
	nothing_left
}

@test "run: SIGKILL, then the same name works again" {
	get bb
	run_plain bb sh -c 'echo up; sleep 1000' >"$T/o" 2>&1 </dev/null &
	wait_for grep -q up "$T/o"
	kill -KILL "$(pgrep -f "^$BIN/berth-image .*--name $ID ")"
	wait $! || true
	run_image bb echo again
	assert_output again
	nothing_left
}

@test "run: gc meanwhile leaves the bundle alone" {
	get bb
	run_plain bb sh -c 'echo up; while ! test -e /tmp/stop; do usleep 20000; done; cat /etc/passwd' >"$T/o" 2>&1 </dev/null &
	PIDS+=($!)
	wait_for grep -q up "$T/o"
	bi rm bb
	try bi -q gc
	assert_ok
	pid=$("$BIN/berth" --root "$T/state" state "$ID" | jq .pid)
	touch "/proc/$pid/root/tmp/stop"
	wait "${PIDS[0]}"
	grep -q '^root:' "$T/o"
	nothing_left
}
