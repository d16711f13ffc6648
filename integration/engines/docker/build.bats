#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docker build: every RUN is a container of the runtime's.

load helpers

teardown() {
	local bad=0
	containers_teardown || bad=1
	docker_ images -q --filter "label=case" | sort -u | xargs -r "$(client)" -H "unix://$ROOM/docker.sock" rmi -f >/dev/null 2>&1 3>&-
	return $bad
}

# build LINE…: an image $ID of bb and these lines, from $T/context.
build() {
	mkdir -p "$T/context"
	printf '%s\n' "FROM bb" "LABEL case=$ID" "$@" >"$T/context/Dockerfile"
	try env DOCKER_BUILDKIT=0 DOCKER_CONFIG="$ROOM/cli" timeout 60 "$(client)" -H "unix://$ROOM/docker.sock" build "${BUILD[@]}" -t "$ID" "$T/context"
}
in_image() { docker_ run --rm "$ID" "$@"; }

@test "build: several RUN layers, each of the one before" {
	build 'RUN echo one >/a' 'RUN cp /a /b && echo two >>/b' 'RUN rm /a && mkdir /d && mv /b /d/b'
	assert_ok
	assert_eq "$(in_image sh -c 'cat /d/b; ls /a 2>&1' | xargs)" "one two ls: /a: No such file or directory"
	assert_eq "$(docker_ history -q "$ID" | wc -l)" 5
}

@test "build: RUN is executed by the runtime of the daemon" {
	build 'RUN grep -q ^Seccomp:.2 /proc/self/status && cat /proc/self/cgroup >/cgroup' 'RUN hostname >/hostname'
	assert_ok
	[[ $(in_image cat /cgroup) == *"$ROOM_CGROUP/"* ]] || in_image cat /cgroup | grep -q '^0::/$'
	[[ $(in_image cat /hostname) =~ ^[0-9a-f]{12}$ ]]
}

@test "build: a RUN that fails says its exit code" {
	build 'RUN echo before' 'RUN exit 37'
	assert_status 37
	assert_has "The command '/bin/sh -c exit 37' returned a non-zero code: 37"
}

@test "build: a RUN whose program is missing" {
	build 'RUN ["/no/such/program"]'
	assert_fails "no such file or directory"
}

@test "build: multi-stage, and --target" {
	mkdir -p "$T/context"
	cat >"$T/context/Dockerfile" <<-'END'
		FROM bb AS maker
		RUN mkdir /out && echo made >/out/file && echo junk >/junk
		FROM bb AS final
		LABEL case=yes
		COPY --from=maker /out /in
	END
	DOCKER_BUILDKIT=0 docker_ build -q -t "$ID" "$T/context" >/dev/null
	assert_eq "$(in_image sh -c 'cat /in/file; ls /junk 2>/dev/null | wc -l' | xargs)" "made 0"
	DOCKER_BUILDKIT=0 docker_ build -q --target maker -t "$ID-maker" "$T/context" >/dev/null
	assert_eq "$(docker_ run --rm "$ID-maker" cat /junk)" junk
	docker_ rmi "$ID-maker" >/dev/null
}

@test "build: USER, WORKDIR, ENV and ARG count in RUN and in the container" {
	BUILD=(--build-arg WHO=world)
	build 'ARG WHO=nobody' 'ENV GREETING=hello' 'WORKDIR /tmp/work' 'USER user' 'RUN echo "$GREETING $WHO $(id -un) $PWD" >/tmp/out'
	assert_ok
	assert_eq "$(in_image sh -c 'cat /tmp/out; echo "$GREETING <$WHO> $(id -un) $PWD"')" $'hello world user /tmp/work\nhello <> user /tmp/work'
}

@test "build: COPY --chown, ADD of a tar, and .dockerignore" {
	mkdir -p "$T/context/files" "$T/tar"
	echo x >"$T/context/files/x"
	echo no >"$T/context/files/no"
	echo '**/no' >"$T/context/.dockerignore"
	echo tarred >"$T/tar/inner"
	tar -C "$T/tar" -czf "$T/context/some.tgz" inner
	build 'COPY --chown=user:user files /files' 'ADD some.tgz /added/' "RUN stat -c '%u %g' /files/x; ls /files; cat /added/inner"
	assert_ok
	assert_has "1000 1000"
	assert_has $'\nx\n'
	assert_has tarred
}

@test "build: HEALTHCHECK, ENTRYPOINT, CMD, EXPOSE, VOLUME and STOPSIGNAL" {
	build 'HEALTHCHECK --interval=150ms CMD test -e /tmp/up' 'EXPOSE 80' 'VOLUME /data' 'STOPSIGNAL USR1' \
		'ENTRYPOINT ["sh","-c","trap \"exit 5\" USR1; touch /tmp/up; echo $0; while :; do usleep 20000; done"]' 'CMD ["by default"]'
	assert_ok
	docker_ run -d --name "$ID" "$ID" >/dev/null
	wait_for is_shown '{{.State.Health.Status}}' healthy
	has_logged "by default"
	docker_ stop "$ID" >/dev/null
	assert_eq "$(show '{{.State.ExitCode}}')" 5
	assert_eq "$(show '{{len .Mounts}}')" 1
}

@test "build: limits and a network for RUN" {
	BUILD=(--memory 64m --memory-swap 64m --shm-size 3m --network none --ulimit nofile=77:77 --cgroup-parent "$ROOM_CGROUP")
	build "RUN df -k /dev/shm | tail -n1; ulimit -n; ls /sys/class/net | grep -c eth; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true"
	assert_ok
	assert_has " 3072 "
	assert_has $'\n77\n0\n67108864'
}

@test "build: a second time comes from the cache" {
	build 'RUN echo once >/x'
	build 'RUN echo once >/x'
	assert_has "Using cache"
}

@test "build: --squash's like: flattened by export and import" {
	build 'RUN echo flat >/x' 'RUN chmod 600 /x'
	docker_ create --name "$ID" "$ID" true >/dev/null
	docker_ export "$ID" | docker_ import --change "LABEL case=$ID" - "$ID-flat" >/dev/null
	assert_eq "$(docker_ run --rm "$ID-flat" stat -c %a /x)" 600
	assert_eq "$(docker_ history -q "$ID-flat" | wc -l)" 1
}

@test "build: save and load" {
	build 'RUN echo saved >/x'
	docker_ save -o "$T/image.tar" "$ID"
	docker_ rmi -f "$ID" >/dev/null
	docker_ load -q -i "$T/image.tar" >/dev/null
	assert_eq "$(in_image cat /x)" saved
}

@test "build: a Debian of packages, in which apt's own tools run" {
	load_debian
	mkdir -p "$T/context"
	printf 'FROM deb\nLABEL case=yes\nRUN adduser --system --group --no-create-home daemonic && dpkg-query -W libc6 && su -s /bin/sh daemonic -c id\n' >"$T/context/Dockerfile"
	try env DOCKER_BUILDKIT=0 "$(client)" -H "unix://$ROOM/docker.sock" build -t "$ID" "$T/context"
	assert_ok
	assert_has daemonic
	assert_has libc6
}
