#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A registry of Debian's in the room, on 127.0.0.1.

load helpers

setup_file() {
	mkdir "$ROOM/registry"
	cat >"$ROOM/registry.yml" <<-YAML
		version: 0.1
		log: { level: warn }
		storage: { filesystem: { rootdirectory: $ROOM/registry }, delete: { enabled: true } }
		http: { addr: "127.0.0.1:5000" }
	YAML
	start_daemon registry docker-registry serve "$ROOM/registry.yml"
	wait_for in_room bash -c 'exec 8<>/dev/tcp/127.0.0.1/5000'
}
teardown_file() {
	stop_daemon registry
	rm -rf "$ROOM/registry" "$ROOM/registry.yml"
}

readonly HUB=127.0.0.1:5000
teardown() {
	local bad=0
	containers_teardown || bad=1
	docker_ images --format '{{.Repository}}:{{.Tag}}' | grep "^$HUB" | xargs -r "$(client)" -H "unix://$ROOM/docker.sock" rmi -f >/dev/null 2>&1 3>&-
	return $bad
}

@test "registry: push, remove, pull, run" {
	docker_ tag bb "$HUB/bb:1"
	docker_ push -q "$HUB/bb:1" >/dev/null
	docker_ rmi "$HUB/bb:1" >/dev/null
	docker_ pull -q "$HUB/bb:1" >/dev/null
	assert_eq "$(docker_ run --rm "$HUB/bb:1" echo pulled)" pulled
}

@test "registry: run pulls what is missing" {
	docker_ tag bb "$HUB/some/bb:2"
	docker_ push -q "$HUB/some/bb:2" >/dev/null
	docker_ rmi "$HUB/some/bb:2" >/dev/null
	try docker_ run --rm "$HUB/some/bb:2" echo here
	assert_ok
	assert_has "Unable to find image"
	assert_has here
}

@test "registry: a built image, layer by layer, by its digest" {
	printf 'FROM bb\nRUN echo one >/1\nRUN echo two >/2\n' | docker_ build -q -t "$HUB/built" - >/dev/null
	digest=$(docker_ push "$HUB/built" | grep -o 'sha256:[0-9a-f]*' | tail -n1)
	docker_ rmi "$HUB/built" >/dev/null
	docker_ pull -q "$HUB/built@$digest" >/dev/null
	assert_eq "$(docker_ run --rm "$HUB/built@$digest" cat /1 /2 | xargs)" "one two"
	docker_ rmi "$HUB/built@$digest" >/dev/null
}

@test "registry: FROM an image there" {
	docker_ tag bb "$HUB/base"
	docker_ push -q "$HUB/base" >/dev/null
	docker_ rmi "$HUB/base" >/dev/null
	printf 'FROM %s/base\nRUN echo on >/top\n' "$HUB" | docker_ build -q -t "$HUB/top" - >/dev/null
	assert_eq "$(docker_ run --rm "$HUB/top" cat /top)" on
}

@test "registry: a name that is missing there is 125" {
	try docker_ run --rm "$HUB/none" true
	assert_status 125
	assert_has "not found"
}

@test "registry: docker load takes what berth-image has committed" {
	local name=example/committed:$BATS_SUITE_TEST_NUMBER image=("$BIN/berth-image" -q --root "$T/store")
	"${image[@]}" import --image-cmd '["sh"]' "$("$ENGINES/rootfs.sh" busybox)" example/base >/dev/null
	"${image[@]}" unpack --mode copy example/base "$T/bundle"
	echo changed >"$T/bundle/rootfs/etc/changed"
	"${image[@]}" commit "$T/bundle" "$name" >/dev/null
	"${image[@]}" export "$name" "docker-archive:$T/image.tar"
	docker_ load -i "$T/image.tar" >/dev/null
	try docker_ run --rm "$name" cat /etc/changed
	docker_ rmi "$name" >/dev/null
	assert_ok
	assert_output changed
}
