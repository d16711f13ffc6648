#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An ordinary user's Podman, with subordinate ids.

load helpers
setup() {
	podman_setup
	as_user
}
teardown() { podman_teardown; }

# systemd's cgroups are for users who have a session of it.
with_limits() { [[ $USER_CGROUPS == systemd ]] || skip "a user's limits need systemd's delegation, on cgroup v2"; }

@test "rootless: run, its output and status" {
	run_c bb sh -c 'id -u; exit 5'
	assert_status 5
	assert_output 0
	assert_eq "$(podman_ info --format '{{.Host.Security.Rootless}} {{.Host.OCIRuntime.Name}} {{.Store.GraphDriverName}}')" "true $ENGINE_RUNTIME overlay"
}

@test "rootless: the container's ids are the user's and its subordinate ones" {
	run_c bb cat /proc/self/uid_map
	assert_eq "$(xargs <<<"$output")" "0 $(id -u berth-it) 1 1 700000 65536"
}

@test "rootless: the process on the host is the user's" {
	idle_c
	assert_eq "$(stat -c %U "/proc/$(show '{{.State.Pid}}')")" berth-it
	NAME=$ID-b detach_c --user 1000 bb sleep 1000
	assert_eq "$(stat -c %u "/proc/$(show '{{.State.Pid}}' "$ID-b")")" 700999
}

@test "rootless: --userns keep-id is the user's own id inside" {
	run_c --userns keep-id -v "$T:/t" bb sh -c 'id -u; touch /t/made'
	assert_output "$(id -u berth-it)"
	assert_eq "$(stat -c %U "$T/made")" berth-it
}

@test "rootless: --userns nomap and auto do not map the user" {
	run_c --userns nomap -v "$T:/t" bb sh -c 'id -u; touch /t/made'
	assert_fails "ermission denied"
	run_c --userns auto:size=1000 bb awk '{ print $3 }' /proc/self/uid_map
	assert_output 1000
}

@test "rootless: files in a volume belong to the user, or to a subordinate id" {
	run_c -v "$T:/t" bb sh -c 'touch /t/root; touch /t/other; chown 5 /t/other'
	assert_ok
	assert_eq "$(stat -c %U "$T/root")" berth-it
	assert_eq "$(stat -c %u "$T/other")" 700004
}

@test "rootless: exit status 126 and 127" {
	run_c bb /etc/passwd
	assert_status 126
	run_c bb no-such-program
	assert_status 127
}

@test "rootless: exec, with a status, a user and a terminal" {
	idle_c
	exec_c sh -c 'exit 17'
	assert_status 17
	try podman_ exec --user 1000 "$ID" id -u
	assert_output 1000
	output=$(on_tty exec -it "$ID" sh -c 'usleep 300000; tty; exit 8' </dev/null)
	assert_has /dev/pts/
	assert_has status=8
}

@test "rootless: a terminal" {
	output=$(on_tty run --rm -it "${BASE[@]}" bb sh -c 'usleep 300000; tty; stty size' </dev/null)
	assert_has /dev/pts/
	assert_has "33 77"
}

@test "rootless: stop, start, restart, kill and wait" {
	detach_c -v "$T:/t" bb sh -c 'trap "exit 3" TERM; echo up >>/t/ups; while :; do usleep 20000; done'
	wait_file ups
	podman_ stop "$ID" >"$T/out"
	assert_eq "$(show '{{.State.ExitCode}}')" 3
	podman_ start "$ID" >"$T/out"
	twice() { [[ $(wc -l <"$T/ups") == 2 ]]; }
	wait_for twice
	podman_ kill "$ID" >"$T/out"
	assert_eq "$(podman_ wait "$ID")" 137
}

@test "rootless: logs, attach and events" {
	detach_c -i bb sh -c 'while read x; do echo got $x; done'
	assert_eq "$(printf 'a\nb\n' | podman_ attach "$ID")" $'got a\ngot b'
	assert_eq "$(logged)" $'got a\ngot b'
	has_died() { [[ $(podman_ events --stream=false --filter "container=$ID" --filter event=died --format '{{.Name}}') == "$ID" ]]; }
	wait_for has_died
}

@test "rootless: slirp4netns gives an address and a way out" {
	BASE=()
	run_c bb sh -c 'ip -4 -o addr show tap0; ip route'
	assert_ok
	assert_has 10.0.2.100/24
	assert_has "default via 10.0.2.2"
}

@test "rootless: a published port" {
	BASE=()
	detach_c -p 18070:80 bb sh -c 'echo hello >/www/index.html; httpd -f -p 80 -h /www'
	answers() { [[ $("$ROOM/bin/enter" curl -sf -m 2 http://127.0.0.1:18070/) == hello ]]; }
	wait_for answers
	podman_ rm -f -t 0 "$ID" >"$T/out"
	if answers; then fail "the port still answers"; fi
}

@test "rootless: two containers of a network find each other by name" {
	BASE=()
	podman_ network create "$ID" >"$T/n"
	NAME=$ID-web detach_c --network "$ID" bb sh -c 'echo hello >/www/index.html; httpd -f -p 80 -h /www'
	NAME=$ID-client detach_c --network "$ID" bb sleep 1000
	answers() { [[ $(podman_ exec "$ID-client" wget -q -O - "http://$ID-web/") == hello ]]; }
	wait_for answers
	podman_ rm -fa -t 0 >"$T/out"
	podman_ network rm "$ID" >"$T/out"
}

@test "rootless: a low port is refused by the kernel, and the error says so" {
	BASE=()
	try podman_ run -d --name "$ID" -p 80:80 bb sleep 1000
	assert_fails
	[[ $output == *"privileged port"* || $output == *"ermission denied"* ]]
}

@test "rootless: --privileged is no more than the user" {
	run_c --privileged -v "$T:/t" bb sh -c 'mount -t tmpfs x /tmp && echo mounted; mknod /t/null c 1 3'
	assert_fails "not permitted"
	assert_has mounted
}

@test "rootless: no-new-privileges, capabilities, seccomp, read-only" {
	run_c --security-opt no-new-privileges --cap-drop all --read-only bb sh -c 'awk "/CapEff|NoNewPrivs|^Seccomp:/ { print \$2 }" /proc/self/status; touch /x'
	assert_fails "Read-only file system"
	# The pipes of stdout and stderr keep no order between them.
	assert_eq "$(grep "^[0-9]" <<<"$output" | xargs)" "0000000000000000 1 2"
}

@test "rootless: --sysctl, --tmpfs, --shm-size, --ulimit, --hostname" {
	run_c --sysctl net.ipv4.ip_unprivileged_port_start=80 --tmpfs /a:size=1m --shm-size 2m --ulimit nofile=100:200 --ulimit nproc=1000:1000 --hostname h bb \
		sh -c 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start; df -k /a /dev/shm | awk "NR > 1 { print \$2 }"; ulimit -n; hostname'
	assert_ok
	assert_eq "$(xargs <<<"$output")" "80 1024 2048 100 h"
}

@test "rootless: named volumes, :O, and secrets" {
	run_c -v "$ID:/data" bb sh -c 'echo kept >/data/f'
	run_c -v "$ID:/data:O" bb sh -c 'cat /data/f; echo changed >/data/f'
	assert_output kept
	run_c -v "$ID:/data" bb cat /data/f
	assert_output kept
	printf hidden | podman_ secret create "$ID" - >"$T/out"
	run_c --secret "$ID" bb cat "/run/secrets/$ID"
	assert_output hidden
	podman_ secret rm "$ID" >"$T/out"
	podman_ volume rm "$ID" >"$T/out"
}

@test "rootless: a pod of two containers" {
	podman_ pod create --name "$ID" --network none >"$T/out"
	podman_ run -d --pod "$ID" --name "$ID-a" bb sh -c 'echo hello >/www/index.html; httpd -f -p 8080 -h /www' >"$T/out" 2>&1 </dev/null
	podman_ run -d --pod "$ID" --name "$ID-b" bb sleep 1000 >"$T/out" 2>&1 </dev/null
	answers() { [[ $(podman_ exec "$ID-b" wget -q -O - http://127.0.0.1:8080/) == hello ]]; }
	wait_for answers
	podman_ pod rm -f -t 0 "$ID" >"$T/out"
}

@test "rootless: play kube" {
	printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"containers":[{"name":"main","image":"localhost/bb:latest","command":["sh","-c","echo played; trap exit TERM; sleep 1000 & wait"]}]}}' "$ID" >"$T/pod.yaml"
	try podman_ play kube --network none "$T/pod.yaml"
	assert_ok
	wait_for has_logged played "$ID-main"
	try podman_ play kube --down "$T/pod.yaml"
	assert_ok
}

@test "rootless: build of several RUN layers" {
	mkdir "$T/ctx"
	printf 'FROM bb\nRUN echo one >/one && chown 5 /one\nUSER user\nRUN id -u >/tmp/id\nCMD cat /one /tmp/id; stat -c %%u /one\n' >"$T/ctx/Containerfile"
	chown -R berth-it: "$T"
	try podman_ build --network none --pull=never -t "$ID-image" "$T/ctx"
	assert_ok
	run_c "$ID-image"
	assert_output $'one\n1000\n5'
	podman_ rmi -f "$ID-image" >"$T/out"
}

@test "rootless: fuse-overlayfs as the storage" {
	[[ -e /dev/fuse ]] || skip "no fuse here"
	try podman_ --root "$ROOM/user/fuse" --runroot "$ROOM/user/run/fuse" --storage-opt "overlay.mount_program=$(command -v fuse-overlayfs)" \
		import -q "$("$ENGINES/rootfs.sh" busybox)" bb
	assert_ok
	try podman_ --root "$ROOM/user/fuse" --runroot "$ROOM/user/run/fuse" --storage-opt "overlay.mount_program=$(command -v fuse-overlayfs)" \
		run --rm "${BASE[@]}" bb sh -c 'echo made >/f && cat /f; grep " / / " /proc/self/mountinfo'
	assert_ok
	assert_has made
	assert_has fuse-overlayfs
}

@test "rootless: limits through systemd" {
	with_limits
	run_c --memory 50m --pids-limit 20 --cpus 0.5 bb sh -c 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max /sys/fs/cgroup/cpu.max'
	assert_output $'52428800\n20\n50000 100000'
}

@test "rootless: a memory limit without a cgroup to set it in is refused or ignored, not obeyed in silence elsewhere" {
	[[ $USER_CGROUPS != systemd ]] || skip "this user has limits"
	run_c --memory 50m bb echo ran
	# Podman warns that it takes the limit out
	assert_ok
	assert_has "esource limits are not supported"
}

@test "rootless: a health check by hand" {
	idle_c --health-cmd 'test -e /tmp/well' --health-interval disable --health-retries 1
	try podman_ healthcheck run "$ID"
	assert_status 1
	podman_ exec "$ID" touch /tmp/well
	try podman_ healthcheck run "$ID"
	assert_ok
}

@test "rootless: pause needs a cgroup" {
	idle_c
	try podman_ pause "$ID"
	if [[ $USER_CGROUPS == systemd ]]; then
		assert_ok
		podman_ unpause "$ID" >"$T/out"
	else
		assert_fails cgroup
	fi
	exec_c true
	assert_ok
}
