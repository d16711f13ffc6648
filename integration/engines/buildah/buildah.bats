#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Buildah, as root and as an ordinary user.

load helpers

@test "from, run, config, commit: an image made step by step" {
	from bb
	run_w -- sh -c 'echo made >/made'
	assert_ok
	buildah_ config --env WORD=env --workingdir /tmp --cmd 'sh -c "cat /made; echo $WORD $PWD"' --label a=b "$C"
	buildah_ commit -q "$C" "$ID-image" >"$T/out"
	run_image
	assert_output $'made\nenv /tmp'
}

# recorder: a runtime that notes its calls in $T/calls.
recorder() {
	cat >"$T/runtime" <<-SH
		#!/bin/sh
		echo "\$*" >>$T/calls
		exec $(runtime_path) "\$@"
	SH
	chmod +x "$T/runtime"
}

@test "run executes the runtime that --runtime names" {
	recorder
	from bb
	try buildah_ run --isolation oci --runtime "$T/runtime" --network none "$C" true
	assert_ok
	grep -q create "$T/calls"
	grep -q delete "$T/calls"
}

@test "run and bud execute the runtime that containers.conf or BUILDAH_RUNTIME names" {
	recorder
	sed "s|^runtime = .*|runtime = \"recorder\"|; /^\[engine.runtimes\]/a recorder = [\"$T/runtime\"]" "$ROOM/containers.conf" >"$T/containers.conf"
	sed "s|$ROOM/containers.conf|$T/containers.conf|" "$ROOM/bin/buildah" >"$T/buildah"
	chmod +x "$T/buildah"
	from bb
	PATH=$T:$PATH BUILDAH_RUNTIME=$T/runtime buildah_ run --network none "$C" true
	assert_eq "$(grep -c create "$T/calls")" 1
	printf 'FROM bb\nRUN true\n' >"$T/ctx/Containerfile"
	try "$T/buildah" bud --network none --pull-never "$T/ctx"
	assert_ok
	assert_eq "$(grep -c create "$T/calls")" 2
}

@test "run passes output, input and status" {
	from bb
	run_w -- sh -c 'echo out; exit 17'
	assert_has out
	assert_status 17
	assert_eq "$(echo in | buildah_ run "${OCI[@]}" --network none "$C" cat)" in
}

@test "run of what is not there is an error that names it" {
	from bb
	run_w -- no-such-program
	assert_fails no-such-program
}

@test "run --user, by name and by number" {
	from bb
	run_w --user user -- id -u
	assert_output 1000
	run_w --user 5:6 -- sh -c 'id -u; id -g'
	assert_output $'5\n6'
}

@test "run --cap-add and --cap-drop" {
	from bb
	run_w --cap-add CAP_SYS_TIME --cap-drop CAP_CHOWN -- awk '/CapEff/ { print $2 }' /proc/self/status
	assert_ok
	(((0x$output & 1 << 25) != 0 && (0x$output & 1) == 0))
}

@test "run --mount and --volume" {
	echo content >"$T/f"
	mkdir "$T/dir"
	from bb
	run_w --mount "type=bind,source=$T/f,target=/f,ro" --mount type=tmpfs,target=/scratch,tmpfs-size=1m -v "$T/dir:/dir" -- \
		sh -c 'cat /f; df -k /scratch | tail -n 1; echo x >/dir/made; touch /f'
	assert_fails "ead-only file system"
	assert_has content
	assert_has " 1024 "
	assert_eq "$(<"$T/dir/made")" x
}

@test "run --tty gives a terminal, and without it there is none" {
	from bb
	output=$(timeout 30 script -qec "$ROOM/bin/buildah run ${OCI[*]} --network none --tty $C sh -c 'usleep 300000; tty; exit 9'; echo status=\$?" /dev/null </dev/null 3>&- | tr -d '\r')
	assert_has /dev/
	[[ $output != *"not a tty"* ]]
	assert_has status=9
	run_w -- tty
	assert_has "not a tty"
}

@test "run --network none and host" {
	from bb
	run_w -- ip -o link
	assert_eq "$(wc -l <<<"$output")" 1
	try buildah_ run "${OCI[@]}" --network host "$C" readlink /proc/self/ns/net
	assert_output "$("$ROOM/bin/enter" readlink /proc/self/ns/net)"
}

@test "run --isolation chroot, for contrast, asks no runtime" {
	from bb
	try buildah_ run --isolation chroot --runtime /no/such/runtime --network host "$C" sh -c 'echo ran; id -u'
	assert_ok
	assert_output $'ran\n0'
}

@test "run with the environment, the directory and the entry point of the container" {
	from bb
	buildah_ config --env WORD=env --workingdir /var "$C"
	run_w --env OTHER=2 --workingdir /tmp -- sh -c 'echo $WORD $OTHER $PWD'
	assert_output "env 2 /tmp"
}

@test "copy and add, with owners and modes" {
	echo one >"$T/one"
	tar -C "$T" -cf "$T/two.tar" one
	from bb
	buildah_ copy -q --chown 5:6 --chmod 640 "$C" "$T/one" /copied >"$T/out"
	buildah_ add -q "$C" "$T/two.tar" /added >"$T/out"
	run_w -- sh -c 'stat -c "%u:%g %a" /copied; cat /copied /added/one'
	assert_output $'5:6 640\none\none'
}

@test "mount, change from outside, commit" {
	from bb
	dir=$(buildah_ mount "$C")
	"$ROOM/bin/enter" sh -c "echo outside >$dir/made"
	run_w -- cat /made
	assert_output outside
	buildah_ umount "$C" >"$T/out"
}

@test "bud of several stages with several RUNs" {
	bud <<-'E'
		FROM bb AS first
		RUN echo one >/one
		RUN cat /one >/two && echo two >>/two
		FROM bb
		COPY --from=first /two /
		RUN test ! -e /one; echo builder:x:9:9::/:/bin/sh >>/etc/passwd; su builder -c 'id -un' >/who
		CMD ["cat", "/two", "/who"]
	E
	assert_ok
	run_image
	assert_output $'one\ntwo\nbuilder'
}

@test "bud: the exit status of a RUN that fails is Buildah's" {
	bud <<-'E'
		FROM bb
		RUN echo before && exit 23
	E
	assert_status 23
	assert_has before
}

@test "bud --layers uses its cache" {
	file=$'FROM bb\nRUN cat /proc/sys/kernel/random/uuid >/uuid\nRUN cat /uuid'
	bud --layers <<<"$file"
	assert_ok
	first=$(tail -n 1 <<<"$output")
	bud --layers <<<"$file"
	assert_has "Using cache"
	assert_eq "$(tail -n 1 <<<"$output")" "$first"
}

@test "bud --squash is one layer" {
	bud --squash <<-'E'
		FROM bb
		RUN echo one >/one
		RUN rm /one; echo two >/two
	E
	assert_ok
	assert_eq "$(buildah_ inspect --type image "$ID-image" | jq '.OCIv1.rootfs.diff_ids | length')" 1
	run_image sh -c 'cat /two; test ! -e /one'
	assert_ok
	assert_output two
}

@test "bud with limits, ulimits and a secret" {
	echo hidden >"$T/secret"
	bud --memory 64m --ulimit nofile=77:77 --ulimit nproc=1000:1000 --shm-size 3m --secret "id=word,src=$T/secret" <<-E
		FROM bb
		RUN --mount=type=secret,id=word cat /run/secrets/word >/out
		RUN $(cgroup_file memory/memory.limit_in_bytes memory.max) >>/out; ulimit -n >>/out; df -k /dev/shm | awk 'NR == 2 { print \$2 }' >>/out
		CMD ["cat", "/out"]
	E
	assert_ok
	run_image
	assert_eq "$(xargs <<<"$output")" "hidden 67108864 77 3072"
}

@test "bud: RUN as a user, with SHELL, ARG and ONBUILD lines" {
	bud --format docker --build-arg NUMBER=9 <<-'E'
		FROM bb
		ARG NUMBER
		SHELL ["/bin/ash", "-ec"]
		USER 1000:1000
		RUN echo $NUMBER >/tmp/n; false; true
	E
	assert_fails
	bud --format docker --build-arg NUMBER=9 <<-'E'
		FROM bb
		ARG NUMBER
		USER 1000:1000
		RUN echo $NUMBER $(id -u) >/tmp/n
		ONBUILD RUN true
		CMD ["cat", "/tmp/n"]
	E
	assert_ok
	run_image
	assert_output "9 1000"
}

@test "an image from scratch" {
	from scratch
	buildah_ copy -q "$C" "$(type -P busybox)" /bin/busybox >"$T/out"
	run_w -- /bin/busybox echo scratch
	assert_output scratch
	buildah_ config --entrypoint '["/bin/busybox","echo","from"]' "$C"
	buildah_ commit -q "$C" "$ID-image" >"$T/out"
	run_image scratch
	assert_output "from scratch"
}

@test "four builds at a time" {
	for n in 1 2 3 4; do
		mkdir "$T/ctx$n"
		printf 'FROM bb\nRUN echo %s >/n\nRUN test "$(cat /n)" = %s\n' "$n" "$n" >"$T/ctx$n/Containerfile"
		buildah_ bud --network none --pull-never "$T/ctx$n" >"$T/out$n" 2>&1 </dev/null 3>&- &
		pids[n]=$!
	done
	for n in 1 2 3 4; do wait "${pids[n]}" || fail "$(cat "$T/out$n")"; done
}

@test "rootless: from, run, commit" {
	as_user
	from bb
	run_w -- sh -c 'id -u; echo made >/made; chown 5 /made; cat /proc/self/uid_map | xargs'
	assert_ok
	assert_eq "$(head -n 1 <<<"$output")" 0
	run_w --user 1000 -- sh -c 'id -u; stat -c %u /made'
	assert_output $'1000\n5'
	buildah_ commit -q "$C" "$ID-image" >"$T/out"
}

@test "rootless: bud of several stages, and its failing RUN" {
	as_user
	bud <<-'E'
		FROM bb AS first
		RUN echo one >/one && chown 7:8 /one
		FROM bb
		COPY --from=first /one /
		USER user
		RUN stat -c %u:%g /one >/tmp/owner
	E
	assert_ok
	bud <<-'E'
		FROM bb
		RUN exit 23
	E
	assert_status 23
}

@test "rootless: unshare and mount" {
	as_user
	from bb
	try "$ROOM/bin/user" buildah unshare sh -c "dir=\$(buildah mount $C) && echo outside >\$dir/made && stat -c %u \$dir/made"
	assert_ok
	assert_output 0
	run_w -- cat /made
	assert_output outside
}

@test "rootless: --isolation rootless, which is its default" {
	as_user
	from bb
	try buildah_ run --isolation rootless --runtime "$(runtime_path)" --network none "$C" sh -c 'echo ran; id -u'
	assert_ok
	assert_output $'ran\n0'
}
