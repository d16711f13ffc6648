#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# podman build: each RUN is a container of the runtime's.

load helpers
setup() {
	podman_setup
	mkdir "$T/ctx"
}
teardown() {
	podman_teardown || return
	podman_ rmi -f "$ID-image" >/dev/null 2>&1 || true
}

# build ARG…: of the Containerfile on stdin, with $T/ctx as context, as $ID-image.
build() {
	cat >"$T/ctx/Containerfile"
	try podman_ build --network none --pull=never -t "$ID-image" "$@" "$T/ctx"
}

@test "build of several RUN layers" {
	build <<-'E'
		FROM bb
		RUN echo one >/one
		RUN cat /one >/two && echo two >>/two
		RUN ["/bin/sh", "-c", "rm /one; mkdir -p /dir/deep; chown 5:6 /dir/deep"]
		ENV WORD=env
		WORKDIR /dir
		CMD cat /two; test ! -e /one && stat -c %u:%g deep; echo $WORD $PWD
	E
	assert_ok
	run_c "$ID-image"
	assert_output $'one\ntwo\n5:6\nenv /dir'
}

@test "build runs the runtime that --runtime names" {
	printf 'FROM bb\nRUN true\n' >"$T/ctx/Containerfile"
	cat >"$T/runtime" <<-SH
		#!/bin/sh
		echo "\$*" >>$T/calls
		exec $(runtime_path) "\$@"
	SH
	chmod +x "$T/runtime"
	try podman_ --runtime "$T/runtime" build --no-cache --network none --pull=never "$T/ctx"
	assert_ok
	grep -q create "$T/calls"
}

@test "build of several stages copies between them" {
	echo 'int unused;' >"$T/ctx/source.c"
	build <<-'E'
		FROM bb AS first
		COPY source.c /src/
		RUN wc -c </src/source.c >/result
		FROM bb AS second
		ARG WHAT=default
		RUN echo $WHAT >/arg
		FROM bb
		COPY --from=first /result /
		COPY --from=second --chown=7:8 --chmod=600 /arg /
		CMD cat /result /arg; stat -c "%u:%g %a" /arg; test ! -e /src
	E
	assert_ok
	run_c "$ID-image"
	assert_output $'12\ndefault\n7:8 600'
}

@test "build: a RUN that fails ends it with its exit status" {
	build <<-'E'
		FROM bb
		RUN echo before; exit 23
	E
	assert_fails "exit status 23"
}

@test "build as another user, with variables, labels and a volume" {
	build --build-arg NUMBER=9 --label made=here <<-'E'
		FROM bb
		ARG NUMBER
		USER user
		RUN id -u >/tmp/id; echo $NUMBER >>/tmp/id
		VOLUME /data
		ENTRYPOINT ["/bin/cat"]
		CMD ["/tmp/id"]
	E
	assert_ok
	run_c "$ID-image"
	assert_output $'1000\n9'
	assert_eq "$(podman_ image inspect --format '{{.Labels.made}}' "$ID-image")" here
}

@test "build: the cache is used, and --no-cache runs again" {
	file=$'FROM bb\nRUN date +%N >/stamp; cat /proc/sys/kernel/random/uuid >>/stamp'
	build <<<"$file"
	first=$(podman_ image inspect --format '{{.Id}}' "$ID-image")
	build <<<"$file"
	assert_eq "$(podman_ image inspect --format '{{.Id}}' "$ID-image")" "$first"
	build --no-cache <<<"$file"
	[[ $(podman_ image inspect --format '{{.Id}}' "$ID-image") != "$first" ]]
	podman_ rmi -f "$first" >/dev/null 2>&1 || true
}

@test "build: RUN --mount of a secret, a cache, a tmpfs and another stage" {
	echo hidden >"$T/secret"
	build --secret "id=word,src=$T/secret" <<-'E'
		FROM bb AS other
		RUN echo other >/other
		FROM bb
		RUN --mount=type=secret,id=word cat /run/secrets/word >/out
		RUN --mount=type=tmpfs,target=/scratch touch /scratch/f && grep -q ' /scratch .* tmpfs' /proc/self/mountinfo
		RUN --mount=type=bind,from=other,target=/from cat /from/other >>/out
		RUN --mount=type=cache,target=/cache echo x >/cache/f
		RUN test ! -e /scratch/f && test ! -e /cache/f && test ! -s /run/secrets/word
		CMD ["cat", "/out"]
	E
	assert_ok
	run_c "$ID-image"
	assert_output $'hidden\nother'
}

@test "build with limits, capabilities, hosts and a device" {
	build --memory 64m --cap-add SYS_TIME --cap-drop CHOWN --shm-size 3m --ulimit nofile=77:77 --ulimit nproc=1000:1000 <<-E
		FROM bb
		RUN awk '/CapEff/ { print \$2 }' /proc/self/status >/out; df -k /dev/shm | tail -n 1 | awk '{ print \$2 }' >>/out; ulimit -n >>/out
		RUN $(cgroup_file memory/memory.limit_in_bytes memory.max) >>/out
		CMD ["cat", "/out"]
	E
	assert_ok
	run_c "$ID-image"
	(((0x$(head -n 1 <<<"$output") & 1 << 25) != 0 && (0x$(head -n 1 <<<"$output") & 1) == 0))
	assert_eq "$(tail -n +2 <<<"$output" | xargs)" "3072 77 67108864"
}

@test "build --squash-all is one layer" {
	build --squash-all <<-'E'
		FROM bb
		RUN echo one >/one
		RUN echo two >/two
	E
	assert_ok
	assert_eq "$(podman_ image inspect --format '{{len .RootFS.Layers}}' "$ID-image")" 1
	run_c "$ID-image" cat /one /two
	assert_output $'one\ntwo'
}

@test "build with a network reaches a server of the room's" {
	cat >"$T/ctx/Containerfile" <<-'E'
		FROM bb
		RUN wget -q -O /got http://127.0.0.1:18095/ && cat /got
	E
	mkdir "$T/www"
	echo served >"$T/www/index.html"
	"$ROOM/bin/enter" busybox httpd -f -p 127.0.0.1:18095 -h "$T/www" >/dev/null 2>&1 </dev/null 3>&- &
	wait_for "$ROOM/bin/enter" curl -sf http://127.0.0.1:18095/
	try podman_ build --network host --pull=never -t "$ID-image" "$T/ctx"
	assert_ok
	assert_has served
}
