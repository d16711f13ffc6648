#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Volumes, mounts and secrets.

load helpers
setup() { podman_setup; }
teardown() { podman_teardown && podman_ volume rm -fa >/dev/null 2>&1 && podman_ secret rm -a >/dev/null 2>&1; }

@test "a directory of the host's, writable and read-only" {
	run_c -v "$T:/t" bb sh -c 'echo in >/t/f'
	assert_eq "$(<"$T/f")" in
	run_c -v "$T:/t:ro" bb sh -c 'cat /t/f; echo x >/t/f'
	assert_fails "Read-only file system"
	assert_has in
}

@test "a file of the host's" {
	echo content >"$T/f"
	run_c -v "$T/f:/etc/f:ro,noexec,nosuid,nodev" bb sh -c 'cat /etc/f; grep /etc/f /proc/self/mountinfo'
	assert_has content
	assert_has ro,nosuid,nodev,noexec
}

@test "a path that does not exist is an error" {
	run_c -v "$T/none:/t" bb true
	assert_status 125
	assert_has none
}

@test "a volume :O keeps what is written to itself" {
	echo old >"$T/f"
	run_c -v "$T:/t:O" bb sh -c 'echo new >/t/f; cat /t/f'
	assert_output new
	assert_eq "$(<"$T/f")" old
}

@test "a volume :U belongs to the container's user" {
	mkdir "$T/dir"
	run_c --user 1000:1000 -v "$T/dir:/t:U" bb sh -c 'touch /t/f && stat -c %u:%g /t /t/f'
	assert_output $'1000:1000\n1000:1000'
	assert_eq "$(stat -c %u:%g "$T/dir")" 1000:1000
}

@test "a volume :idmap shows the host's owners through the container's ids" {
	# Podman hands the option on; runc below 1.2 does not know it
	[[ $ENGINE_RUNTIME != runc ]] || skip "runc 1.1 has no idmapped mounts"
	mkdir "$T/dir"
	touch "$T/dir/f"
	run_c --uidmap 0:700000:1000 -v "$T/dir:/t:idmap" bb sh -c 'stat -c %u /t/f; touch /t/new; stat -c %u /t/new'
	assert_output $'0\n0'
	assert_eq "$(stat -c %u "$T/dir/new")" 0
}

@test "mount propagation: what is mounted in a shared volume is seen outside, in a slave not" {
	mkdir "$T/dir"
	room_enter sh -c "mount -t tmpfs dir $T/dir && mount --make-shared $T/dir && mkdir $T/dir/a $T/dir/b $T/dir/c"
	run_c --privileged -v "$T/dir:/t:rshared" bb mount -t tmpfs a /t/a
	assert_ok
	run_c --privileged -v "$T/dir:/t:rslave" bb mount -t tmpfs b /t/b
	assert_ok
	run_c --privileged -v "$T/dir:/t" bb mount -t tmpfs c /t/c
	assert_ok
	seen=$(room_enter awk -v d="$T/dir/" 'index($5, d) == 1 { print substr($5, length(d) + 1) }' /proc/self/mountinfo)
	room_enter umount -R "$T/dir"
	assert_eq "$seen" a
}

@test "--tmpfs and --mount type=tmpfs" {
	run_c --tmpfs /a:size=1m,mode=1770 bb sh -c 'df -k /a | tail -n 1; stat -c %a /a'
	assert_has " 1024 "
	assert_has 1770
	run_c --mount type=tmpfs,destination=/b,tmpfs-size=2m,tmpfs-mode=0700 bb sh -c 'df -k /b | tail -n 1; stat -c %a /b'
	assert_has " 2048 "
	assert_has 700
}

@test "--mount type=bind, image and devpts" {
	echo content >"$T/f"
	run_c --mount "type=bind,source=$T,target=/t,ro" --mount type=image,source=bb,target=/image --mount type=devpts,destination=/pts bb \
		sh -c 'cat /t/f; ls /image/bin/busybox; grep -c " /pts .* devpts " /proc/self/mountinfo'
	assert_output $'content\n/image/bin/busybox\n1'
}

@test "a named volume is filled from the image, and kept" {
	podman_ volume create "$ID" >"$T/v"
	run_c -v "$ID:/etc" bb sh -c 'cat /etc/passwd; echo mine >/etc/mine'
	assert_has root:x:0
	run_c -v "$ID:/data" bb cat /data/mine
	assert_output mine
	podman_ volume rm "$ID"
}

@test "an anonymous volume goes with its container" {
	before=$(podman_ volume ls -q)
	run_c -v /data bb touch /data/f
	assert_ok
	assert_eq "$(podman_ volume ls -q)" "$before"
}

@test "a volume of tmpfs with options" {
	podman_ volume create --opt type=tmpfs --opt device=tmpfs --opt o=nodev,uid=1000,mode=700 "$ID" >"$T/v"
	run_c -v "$ID:/data" bb stat -f -c %T /data
	assert_output tmpfs
	run_c -v "$ID:/data" bb stat -c %u:%a /data
	assert_output 1000:700
}

@test "--volumes-from" {
	idle_c -v "$T:/t" -v "$ID:/data"
	podman_ exec "$ID" sh -c 'echo x >/data/f'
	run_c --volumes-from "$ID" bb sh -c 'cat /data/f; echo y >/t/f'
	assert_output x
	assert_eq "$(<"$T/f")" y
}

@test "volume export and import" {
	run_c -v "$ID:/data" bb sh -c 'echo saved >/data/f'
	podman_ volume export "$ID" -o "$T/v.tar"
	podman_ volume create "$ID-2" >"$T/v"
	podman_ volume import "$ID-2" "$T/v.tar"
	run_c -v "$ID-2:/data" bb cat /data/f
	assert_output saved
}

@test "secrets as a file and as a variable" {
	printf hidden | podman_ secret create "$ID" - >"$T/s"
	run_c --secret "$ID" --secret "$ID,type=env,target=WORD" --secret "$ID,target=/etc/word,uid=5,mode=0400" bb \
		sh -c "cat /run/secrets/$ID; echo; echo \$WORD; stat -c '%u %a' /etc/word"
	assert_output $'hidden\nhidden\n5 400'
}

@test "a mount over a link of the image's stays inside" {
	podman_ create --name "$ID" "${BASE[@]}" bb ln -s /../../../../tmp /link >"$T/id"
	podman_ start -a "$ID"
	podman_ commit -q "$ID" "$ID-image" >"$T/image"
	mkdir "$T/dir"
	echo mine >"$T/dir/f"
	run_c -v "$T/dir:/link" "$ID-image" cat /tmp/f
	assert_output mine
	[[ ! -e /tmp/f ]]
	podman_ rmi "$ID-image" >/dev/null
}

@test "the current directory of the host's when it is a volume" {
	mkdir -p "$T/a b/c'd"
	run_c -v "$T/a b/c'd:/with space" -w "/with space" bb sh -c 'pwd; touch "a b"'
	assert_output "/with space"
	[[ -e "$T/a b/c'd/a b" ]]
}
