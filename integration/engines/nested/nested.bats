#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Engines in a container, which run containers with Berth.

source "$BATS_TEST_DIRNAME/outer.bash"

setup_file() {
	run_outer outer --privileged
	outer_ -d sh -c 'exec dockerd --storage-driver vfs --add-runtime berth=/usr/local/bin/berth --default-runtime berth >/var/log/dockerd 2>&1' >/dev/null
}
teardown_file() { podman_ rm -fa -t 0 >/dev/null 2>&1; }
setup() {
	ID=n$BATS_SUITE_TEST_NUMBER T=$ROOM/n$BATS_SUITE_TEST_NUMBER OUTER=outer
	mkdir -p "$T"
}
teardown() {
	podman_ rm -f -t 0 "$ID" >/dev/null 2>&1
	[[ ! $(OUTER=outer outer_ podman ps -aq) ]] || OUTER=outer outer_ podman rm -fa -t 0 >/dev/null
}

podman_() { timeout --foreground -k 1 "$LIMIT" "$ROOM/bin/podman" "$@" 3>&-; }
# outer_ COMMAND…: in the outer container. -d may come first.
outer_() {
	local flags=()
	[[ $1 != -d ]] || { flags=(-d) && shift; }
	podman_ exec "${flags[@]}" "${OUTER:-outer}" "$@"
}
# inner ARG…: the Podman inside.
inner() { try outer_ podman "$@"; }
docker_up() { outer_ docker version; }
on_v2() { [[ -e /sys/fs/cgroup/cgroup.controllers ]]; }
cgroup_file() { if on_v2; then echo "cat /sys/fs/cgroup/$2"; else echo "cat /sys/fs/cgroup/$1"; fi; }

@test "nested Podman, privileged: a container runs, with Berth and its monitor" {
	inner info --format '{{.Host.OCIRuntime.Path}} {{.Host.Conmon.Path}}'
	assert_output "/usr/local/bin/berth /usr/local/bin/berth-monitor"
	inner run --rm --network none bb sh -c 'echo hello; exit 5'
	assert_status 5
	assert_output hello
}

@test "nested Podman, privileged: detached, exec, logs, stop" {
	inner run -d --name in --network none bb sh -c 'echo up; trap "exit 3" TERM; while :; do usleep 20000; done'
	assert_ok
	inner exec in sh -c 'echo inside; exit 4'
	assert_status 4
	assert_has inside
	inner logs in
	assert_output up
	inner stop in
	inner inspect --format '{{.State.ExitCode}}' in
	assert_output 3
}

@test "nested Podman, privileged: limits hold" {
	inner run --rm --network none --memory 20m --pids-limit 33 bb sh -c "$(cgroup_file memory/memory.limit_in_bytes memory.max); $(cgroup_file pids/pids.max pids.max)"
	assert_output $'20971520\n33'
	inner run --rm --network none --memory 20m bb sh -c 'x=$(yes | head -c 90000000)'
	assert_status 137
}

@test "nested Podman, privileged: a bridge and a published port" {
	inner run -d --name in -p 8080:80 bb sh -c 'echo hello >/www/index.html; httpd -f -p 80 -h /www'
	assert_ok
	served() { [[ $(outer_ bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET / HTTP/1.0\r\n\r\n" >&3; cat <&3') == *hello* ]]; }
	wait_for served
}

@test "nested Podman, privileged: a build" {
	outer_ sh -c 'mkdir -p /root/ctx; printf "FROM bb\nRUN echo one >/one\nRUN cat /one >/two\nCMD cat /two\n" >/root/ctx/Containerfile'
	inner build --network none --isolation oci --runtime /usr/local/bin/berth --pull=never -t built /root/ctx
	assert_ok
	inner run --rm --network none built
	assert_output one
}

@test "nested Podman, privileged: an ordinary user's container inside" {
	outer_ sh -c 'mkdir -p -m 700 /run/user; chown user /run/user; chmod 644 /bb.tar' 2>/dev/null || true
	user() { try outer_ setpriv --reuid user --regid user --init-groups --inh-caps=-all env -C /home/user HOME=/home/user XDG_RUNTIME_DIR=/run/user podman "$@"; }
	user import -q --change 'ENV PATH=/bin' /bb.tar bb
	assert_ok
	user run --rm --network none bb cat /proc/self/uid_map
	assert_ok
	assert_eq "$(tail -n 2 <<<"$output" | xargs)" "0 1000 1 1 100000 65536"
}

@test "nested Docker, privileged: a container runs, and its exec" {
	WAIT=20 wait_for docker_up
	try outer_ sh -c 'docker import -c "ENV PATH=/bin" /bb.tar bb'
	assert_ok
	try outer_ docker run --rm bb sh -c 'echo hello; ip -o -4 addr show eth0; exit 5'
	assert_status 5
	assert_has hello
	assert_has 172.17.0.
	try outer_ docker run -d --name in --memory 20m bb sleep 1000
	try outer_ docker exec in sh -c "$(cgroup_file memory/memory.limit_in_bytes memory.max)"
	assert_output 20971520
	try outer_ docker rm -f in
	assert_ok
}

@test "nested Docker, privileged: a build" {
	WAIT=20 wait_for docker_up
	outer_ sh -c 'docker import -c "ENV PATH=/bin" /bb.tar bb; mkdir -p /root/dctx; printf "FROM bb\nRUN echo one >/one\nRUN cat /one >/two\nCMD cat /two\n" >/root/dctx/Dockerfile' >/dev/null
	try outer_ env DOCKER_BUILDKIT=0 docker build -t built /root/dctx
	assert_ok
	try outer_ docker run --rm built
	assert_output one
}

@test "nested berth, privileged: a bundle by hand, three deep" {
	outer_ sh -c '
		mkdir -p /root/b/rootfs/usr/local/bin /root/b/rootfs/two/rootfs && cd /root/b && tar -C rootfs -xf /bb.tar && tar -C rootfs/two/rootfs -xf /bb.tar
		cp /usr/local/bin/berth rootfs/usr/local/bin/
		berth spec && sed -i "s|\"terminal\": true|\"terminal\": false|; s|\"sh\"|\"sh\", \"-c\", \"cd /two \&\& /usr/local/bin/berth --root /tmp/r run three\"|; s|\"readonly\": true|\"readonly\": false|" config.json
		cd rootfs/two && berth spec && sed -i "s|\"terminal\": true|\"terminal\": false|; s|\"sh\"|\"echo\", \"three deep\"|" config.json'
	# the second needs what a runtime needs: all capabilities, and /proc as it is
	outer_ sh -c 'apt-get --version >/dev/null; cd /root/b && perl -MJSON::PP -e '"'"'local $/; my $c = decode_json(<STDIN>);
		my @c = map { "CAP_$_" } qw(CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_ADMIN SYS_ADMIN SYS_CHROOT MKNOD SETFCAP AUDIT_WRITE NET_BIND_SERVICE SYS_RESOURCE);
		$c->{process}{capabilities}{$_} = \@c for qw(bounding effective permitted); $c->{process}{rlimits} = []; delete $c->{linux}{maskedPaths}; delete $c->{linux}{readonlyPaths};
		for (@{$c->{mounts}}) { $_->{options} = [grep { $_ ne "ro" } @{$_->{options}}] if $_->{options} } print encode_json($c)'"'"' <config.json >c && mv c config.json'
	try outer_ sh -c 'cd /root/b && berth --root /tmp/r run two'
	assert_ok
	assert_output "three deep"
}

# The outer container has a user namespace of its own, in which its root may mount.
# /proc must be whole, or the kernel lets nobody mount another.
@test "nested Podman, not privileged: root of a user namespace runs a container" {
	cp -a "$ROOM/rootfs" "$T/rootfs"
	chown -R --no-dereference --from=0:0 700000:700000 "$T/rootfs"
	OUTER_ROOTFS=$T/rootfs run_outer "$ID" --uidmap 0:700000:65536 --gidmap 0:700000:65536 --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt seccomp=unconfined --security-opt unmask=ALL --security-opt apparmor=unconfined
	OUTER=$ID
	# there is no cgroup that it may write
	inner run --rm --network none --cgroups disabled bb sh -c 'echo hello; exit 5'
	assert_status 5
	assert_output hello
	inner run -d --name in --network none --cgroups disabled bb sleep 1000
	assert_ok
	inner exec in echo inside
	assert_output inside
	assert_eq "$(podman_ top "$ID" huser | sort -u | grep -cx root)" 0
}
