#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Builds by BuildKit inside of dockerd: it executes the `runc` of the daemon's PATH,
# whatever the default runtime is. So Berth stands there under that name.

load helpers

setup_file() {
	make_docker_room buildkit
	ln -s "$(runtime_path)" "$ROOM/bin/runc.real"
	# A witness: that it is called says that no other runtime is.
	printf '#!/bin/sh\necho "$*" >>%s/called\nexec %s "$@"\n' "$ROOM" "$ROOM/bin/runc.real" >"$ROOM/bin/runc"
	chmod 755 "$ROOM/bin/runc"
	configure
	start_docker
	load_busybox
}
teardown_file() { end_docker_room; }

BUILDER=/usr/bin/docker # newer clients want a plugin for it

# build LINE…
build() {
	mkdir -p "$T/context"
	printf '%s\n' "$@" >"$T/context/Dockerfile"
	try env DOCKER_BUILDKIT=1 DOCKER_CONFIG="$ROOM/cli" timeout 60 "$BUILDER" -H "unix://$ROOM/docker.sock" build --progress plain "${BUILD[@]}" -t "$ID" "$T/context"
}

@test "buildkit: several RUN layers by the runc of the daemon's PATH" {
	: >"$ROOM/called"
	build 'FROM bb' 'RUN echo one >/a' 'RUN cat /a >/b; echo two >>/b'
	assert_ok
	assert_eq "$(docker_ run --rm "$ID" cat /b | xargs)" "one two"
	assert_eq "$(grep -c ' run ' "$ROOM/called")" 2
}

@test "buildkit: a RUN that fails says its exit code" {
	build 'FROM bb' 'RUN echo seen; exit 37'
	assert_fails "exit code: 37"
	assert_has seen
}

@test "buildkit: a program that is missing is 127" {
	build 'FROM bb' 'RUN no-such-program'
	assert_fails "exit code: 127"
	build 'FROM bb' 'RUN ["/no/such/program"]'
	assert_fails
}

@test "buildkit: stages that do not need each other are built at a time" {
	build 'FROM bb AS one' 'RUN usleep 400000; echo 1 >/x' 'FROM bb AS two' 'RUN usleep 400000; echo 2 >/x' \
		'FROM bb' 'COPY --from=one /x /one' 'COPY --from=two /x /two' 'RUN cat /one /two >/both'
	assert_ok
	assert_eq "$(docker_ run --rm "$ID" cat /both | xargs)" "1 2"
}

@test "buildkit: USER, WORKDIR, ARG, COPY --chown" {
	BUILD=(--build-arg WHO=world)
	mkdir -p "$T/context"
	echo x >"$T/context/x"
	build 'FROM bb' 'ARG WHO' 'WORKDIR /tmp/work' 'COPY --chown=1000:1000 x x' 'USER user' 'RUN echo "$WHO $(id -un) $PWD $(stat -c %u x)" >/tmp/out'
	assert_ok
	assert_eq "$(docker_ run --rm "$ID" cat /tmp/out)" "world user /tmp/work 1000"
}

@test "buildkit: mounts of RUN: cache, bind, tmpfs and secret" {
	echo hidden >"$T/secret"
	mkdir -p "$T/context"
	echo bound >"$T/context/file"
	BUILD=(--secret "id=s,src=$T/secret")
	build 'FROM bb' 'RUN --mount=type=cache,target=/cache echo kept >/cache/x' \
		'RUN --mount=type=cache,target=/cache --mount=type=bind,source=file,target=/file --mount=type=tmpfs,target=/t --mount=type=secret,id=s cat /cache/x /file /run/secrets/s >/out; touch /t/x'
	assert_ok
	assert_eq "$(docker_ run --rm "$ID" cat /out | xargs)" "kept bound hidden"
}

@test "buildkit: a build that is given up leaves no process" {
	mkdir -p "$T/context"
	printf 'FROM bb\nRUN sleep 4444\n' >"$T/context/Dockerfile"
	DOCKER_BUILDKIT=1 "$BUILDER" -H "unix://$ROOM/docker.sock" build "$T/context" >"$T/out" 2>&1 </dev/null 3>&- &
	wait_for pgrep -fx 'sleep 4444'
	kill -INT $!
	WAIT=15 wait_for eval "! pgrep -fx 'sleep 4444'"
	wait || true
}

@test "buildkit: a variable of the daemon's environment names the runtime" {
	never old || skip "dockerd 20.10 does not know the variable"
	stop_daemon dockerd
	mv "$ROOM/bin/runc" "$ROOM/bin/other"
	DOCKER_BUILDKIT_RUNC_COMMAND=$ROOM/bin/other start_docker
	: >"$ROOM/called"
	build 'FROM bb' 'RUN echo by-variable >/a'
	assert_ok
	assert_eq "$(grep -c ' run ' "$ROOM/called")" 1
}
