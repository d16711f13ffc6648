#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Named, anonymous, bind and tmpfs volumes.

load helpers
teardown() {
	local bad=0
	containers_teardown || bad=1
	docker_ volume ls -q | xargs -r "$(client)" -H "unix://$ROOM/docker.sock" volume rm >/dev/null 2>&1 3>&-
	return $bad
}

@test "volumes: a named one is kept across containers" {
	docker_ run --rm -v "$ID:/data" bb sh -c 'echo kept >/data/file'
	assert_eq "$(docker_ run --rm -v "$ID:/other" bb cat /other/file)" kept
	docker_ volume ls -q | grep -qx "$ID"
}

@test "volumes: two running containers share one" {
	EXTRA=(-v "$ID:/data")
	AS_ID=$ID-a idle_c
	AS_ID=$ID-b idle_c
	docker_ exec "$ID-a" sh -c 'echo x >/data/x'
	assert_eq "$(docker_ exec "$ID-b" cat /data/x)" x
}

@test "volumes: a new one gets what the image has there, with its owner" {
	printf 'FROM bb\nRUN mkdir /data && echo image >/data/file && chown 1000:1000 /data /data/file\n' | docker_ build -q -t "vol-$ID" - >/dev/null
	assert_eq "$(docker_ run --rm -v "$ID:/data" "vol-$ID" sh -c 'cat /data/file; stat -c %u /data' | xargs)" "image 1000"
	assert_eq "$(docker_ run --rm -v "$ID-2:/data:nocopy" "vol-$ID" ls /data | wc -l)" 0
	docker_ rmi "vol-$ID" >/dev/null
}

@test "volumes: an anonymous one, and --volumes-from" {
	EXTRA=(-v /data)
	idle_c
	sh_c 'echo x >/data/x'
	assert_eq "$(docker_ run --rm --volumes-from "$ID" bb cat /data/x)" x
	try docker_ run --rm --volumes-from "$ID:ro" bb touch /data/y
	assert_fails "Read-only file system"
}

@test "volumes: read-only" {
	EXTRA=(-v "$ID:/data:ro")
	run_c touch /data/x
	assert_fails "Read-only file system"
}

@test "volumes: in use cannot be removed" {
	EXTRA=(-v "$ID:/data")
	idle_c
	try docker_ volume rm "$ID"
	assert_fails "volume is in use"
}

@test "volumes: rm -v takes the anonymous and leaves the named" {
	EXTRA=(-v /anonymous -v "$ID:/named")
	keep_c true
	docker_ rm -v "$ID" >/dev/null
	assert_eq "$(docker_ volume ls -q)" "$ID"
}

@test "volumes: bind a directory, both ways" {
	mkdir "$T/dir"
	echo in >"$T/dir/in"
	EXTRA=(-v "$T/dir:/data")
	run_c sh -c 'cat /data/in; echo out >/data/out'
	assert_output in
	assert_eq "$(<"$T/dir/out")" out
}

@test "volumes: bind a file" {
	echo text >"$T/file"
	EXTRA=(-v "$T/file:/etc/new/file:ro")
	run_c sh -c 'cat /etc/new/file; echo x >/etc/new/file'
	assert_has text
	assert_has "Read-only file system"
}

@test "volumes: a bind's source is made with -v" {
	EXTRA=(-v "$T/made:/data")
	run_c touch /data/x
	test -e "$T/made/x"
}

@test "volumes: bind read-only" {
	EXTRA=(--mount "type=bind,source=$T,target=/data,readonly")
	run_c touch /data/x
	assert_fails "Read-only file system"
}

@test "volumes: bind the machine's root with rslave" {
	EXTRA=(-v "/:/host:ro,rslave")
	run_c sh -c "test -e /host$T && mount | grep ' /host ' | head -n1"
	assert_ok
	assert_has "ro,"
}

# shared_dir: $T/dir is a shared mount, on the daemon's side, with a directory sub.
shared_dir() {
	mkdir "$T/dir"
	in_machine sh -ec "mount -t tmpfs base $T/dir; mount --make-private $T/dir; mount --make-shared $T/dir; mkdir $T/dir/sub"
}
end_shared() { in_machine umount -R "$T/dir"; }

@test "volumes: a mount made later is seen with rslave, and not with rprivate" {
	shared_dir
	EXTRA=(-v "$T/dir:/data:rslave")
	AS_ID=$ID-slave idle_c
	EXTRA=(-v "$T/dir:/data")
	AS_ID=$ID-private idle_c
	in_machine mount -t tmpfs late "$T/dir/sub"
	slave=$(docker_ exec "$ID-slave" grep -c ' /data/sub ' /proc/mounts || true)
	private=$(docker_ exec "$ID-private" grep -c ' /data/sub ' /proc/mounts || true)
	docker_ rm -f "$ID-slave" "$ID-private" >/dev/null
	end_shared
	assert_eq "$slave $private" "1 0"
}

@test "volumes: a mount made inside is seen outside with rshared" {
	shared_dir
	EXTRA=(-v "$T/dir:/data:rshared" --cap-add sys_admin --security-opt seccomp=unconfined)
	run_c mount -t tmpfs inside /data/sub
	seen=$(in_machine grep -c " $T/dir/sub " /proc/mounts || true)
	end_shared
	assert_eq "$status $seen" "0 1"
}

@test "volumes: rshared wants a shared mount" {
	mkdir "$T/dir"
	in_machine mount --bind "$T/dir" "$T/dir"
	in_machine mount --make-private "$T/dir"
	EXTRA=(-v "$T/dir:/data:rshared")
	run_c true
	in_machine umount "$T/dir"
	assert_status 125
	assert_has "not a shared mount"
}

@test "volumes: tmpfs with size and mode" {
	EXTRA=(--mount type=tmpfs,target=/data,tmpfs-size=1m,tmpfs-mode=1700)
	run_c sh -c 'stat -c %a /data; df -k /data | tail -n1 | awk "{print \$2}"'
	assert_output $'1700\n1024'
}

@test "volumes: one inside of another" {
	mkdir "$T/dir"
	EXTRA=(-v "$ID:/data" -v "$T/dir:/data/inner" --tmpfs /data/inner/deep)
	run_c sh -c 'mount | grep -c " /data"; touch /data/inner/x'
	assert_output 3
	test -e "$T/dir/x"
}

@test "volumes: through a symbolic link of the image, inside its root" {
	printf 'FROM bb\nRUN ln -s /var/real /link && ln -s ../../../../../../tmp/outside /out\n' | docker_ build -q -t "link-$ID" - >/dev/null
	echo x >"$T/x"
	assert_eq "$(docker_ run --rm -v "$T:/link" "link-$ID" cat /var/real/x)" x
	assert_eq "$(docker_ run --rm -v "$T:/out" "link-$ID" cat /tmp/outside/x)" x
	test ! -e /tmp/outside
	docker_ rmi "link-$ID" >/dev/null
}

@test "volumes: a socket" {
	EXTRA=(-v "$ROOM/docker.sock:/docker.sock")
	run_c sh -c 'test -S /docker.sock && stat -c %t /docker.sock'
	assert_ok
}
