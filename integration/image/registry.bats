#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Registries: TLS, credentials, mirrors, and what others make of what we push.

load helpers
load registry

# sbi ARG…: with the authority of the closed registry.
sbi() { bi --ca "$CA" "$@"; }

@test "push: the digest stays the same, and skopeo reads it" {
	get app
	try bi -q push app "$REG/pushed/app:1"
	assert_ok
	assert_output "$(layout_digest "$IMG/app")"
	try skopeo inspect --tls-verify=false "docker://$REG/pushed/app:1"
	assert_ok
	assert_eq "$(jq -r .Digest <<<"$output")" "$(layout_digest "$IMG/app")"
	skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$REG/pushed/app:1" "oci:$T/copy:latest"
	assert_eq "$(layout_digest "$T/copy")" "$(layout_digest "$IMG/app")"
}

@test "push: under its own name" {
	bi -q pull "oci:$IMG/bb:latest" "$REG/own/name:1"
	try bi -q push "$REG/own/name:1"
	assert_ok
	try skopeo inspect --tls-verify=false "docker://$REG/own/name:1"
	assert_ok
}

@test "push: docker schema 2 and zstd layers stay what they are" {
	bi -q pull "$REG/docker2"
	get mixed
	bi -q push "$REG/docker2" "$REG/pushed/docker2"
	bi -q push mixed "$REG/pushed/mixed"
	assert_eq "$(skopeo inspect --tls-verify=false "docker://$REG/pushed/docker2" | jq -r .Digest)" "$(digest_of "$REG/docker2")"
	assert_eq "$(skopeo inspect --tls-verify=false --raw "docker://$REG/pushed/mixed" | sha256sum | cut -d' ' -f1)" "$(layout_digest "$IMG/mixed" | cut -d: -f2)"
}

@test "push: a second time sends nothing" {
	get bb
	bi -q push bb "$REG/pushed/twice"
	try bi push bb "$REG/pushed/twice:other"
	assert_ok
	assert_eq "$(grep -c 'is there already' <<<"$err")" 4
	[[ $err != *"done"* ]] || fail "sent again"
}

@test "push: --json and --quiet" {
	get bb
	try bi --json push bb "$REG/pushed/json"
	assert_eq "$(jq -r .digest <<<"$out")" "$(layout_digest "$IMG/bb")"
	assert_eq "$(jq -rs '.[].action' <<<"$err" | sort -u)" push
	try bi --quiet push bb "$REG/pushed/quiet"
	assert_output "$(layout_digest "$IMG/bb")"
}

@test "push: a layout or an archive is refused, with the command for it" {
	get bb
	for to in oci:lay oci-archive:lay.tar docker-archive:lay.tar:x; do
		refused "push is for registries (hint: berth-image export bb $to)" push bb "$to"
	done
	absent lay lay.tar
}

@test "push: what is not in the store" {
	refused "not in the store" push nosuch "$REG/pushed/nosuch"
}

@test "tls: an unknown authority is refused, with what to do" {
	refused "--ca" --creds user:secret pull "$SREG/private/bb"
}

@test "tls: --ca" {
	try bi -q --ca "$CA" --creds user:secret pull "$SREG/private/bb"
	assert_ok
	assert_has "$(layout_digest "$IMG/bb")"
}

@test "tls: --insecure, only when asked for" {
	try bi -q --insecure --creds user:secret pull "$SREG/private/bb"
	assert_ok
}

@test "tls: a file of no certificates" {
	echo nothing >"$T/ca"
	refused "$T/ca" --ca "$T/ca" --creds user:secret pull "$SREG/private/bb"
	refused "no such file" --ca "$T/nosuch" --creds user:secret pull "$SREG/private/bb"
}

@test "credentials: none" {
	refused "berth-image login $SREG" --ca "$CA" pull "$SREG/private/bb"
}

@test "credentials: wrong ones" {
	refused "401" --ca "$CA" --creds user:wrong pull "$SREG/private/bb"
	refused "user and password" --ca "$CA" --creds user:wrong login "$SREG"
	absent "$HOME/.config/containers/auth.json"
}

@test "credentials: login, pull, push, logout" {
	sbi login "$SREG" -u user --password-stdin <<<secret
	assert_eq "$(stat -c %a "$HOME/.config/containers/auth.json")" 600
	try sbi -q pull "$SREG/private/bb"
	assert_ok
	try sbi -q push "$SREG/private/bb" "$SREG/private/again"
	assert_ok
	sbi logout "$SREG"
	refused "login" --ca "$CA" pull "$SREG/private/bb"
	refused "not logged in" --ca "$CA" logout "$SREG"
}

@test "credentials: login asks on a terminal, and shows no password" {
	{ sleep 0.5; echo user; sleep 0.5; echo secret; sleep 0.5; } |
		script -qec "$BIN/berth-image --root $STORE --ca $CA login $SREG" "$T/typescript" >/dev/null 3>&-
	grep -q "Password:" "$T/typescript"
	! grep -q secret "$T/typescript" || fail "the password is there"
	try sbi -q pull "$SREG/private/bb"
	assert_ok
}

@test "credentials: login writes what skopeo reads, and the other way round" {
	sbi --authfile "$T/ours.json" --creds user:secret login "$SREG"
	skopeo inspect --authfile "$T/ours.json" --tls-verify=false "docker://$SREG/private/bb" >"$T/inspected"
	skopeo login --authfile "$T/theirs.json" --tls-verify=false -u user -p secret "$SREG" >/dev/null
	try sbi -q --authfile "$T/theirs.json" pull "$SREG/private/bb"
	assert_ok
}

@test "credentials: login keeps what others have in the file" {
	echo '{"auths":{"example.com":{"auth":"eDp5"}},"own":{"x":1}}' >"$T/auth.json"
	sbi --authfile "$T/auth.json" --creds user:secret login "$SREG"
	sbi --authfile "$T/auth.json" logout "$SREG"
	assert_eq "$(jq -c . "$T/auth.json")" '{"auths":{"example.com":{"auth":"eDp5"}},"own":{"x":1}}'
}

@test "credentials: docker's config.json, and REGISTRY_AUTH_FILE" {
	mkdir "$HOME/.docker"
	echo "{\"auths\":{\"$SREG\":{\"auth\":\"$(printf user:secret | base64)\"}}}" >"$HOME/.docker/config.json"
	try sbi -q pull "$SREG/private/bb"
	assert_ok
	mv "$HOME/.docker/config.json" "$T/elsewhere"
	refused login --ca "$CA" pull "$SREG/private/bb"
	REGISTRY_AUTH_FILE=$T/elsewhere try sbi -q pull "$SREG/private/bb"
	assert_ok
}

@test "credentials: a helper" {
	mkdir "$T/bin" "$HOME/.docker"
	cat >"$T/bin/docker-credential-case" <<-SH
		#!/bin/sh
		read -r host
		echo "\$1 \$host" >>"$T/asked"
		echo '{"ServerURL":"x","Username":"user","Secret":"secret"}'
	SH
	chmod +x "$T/bin/docker-credential-case"
	echo "{\"credHelpers\":{\"$SREG\":\"case\"}}" >"$HOME/.docker/config.json"
	PATH=$T/bin:$PATH try sbi -q pull "$SREG/private/bb"
	assert_ok
	assert_eq "$(sort -u "$T/asked")" "get $SREG"
}

@test "credentials: an auth file that is none" {
	echo '{' >"$T/auth.json"
	refused "$T/auth.json" --ca "$CA" --authfile "$T/auth.json" pull "$SREG/private/bb"
	refused "$T/nosuch" --ca "$CA" --authfile "$T/nosuch" pull "$SREG/private/bb"
}

@test "mirror: asked first" {
	get app
	bi -q push app "$REG/mirrored/private/bb"
	try bi -q --mirror "$SREG=$REG/mirrored" pull "$SREG/private/bb"
	assert_ok
	assert_output "$SREG/private/bb:latest@$(layout_digest "$IMG/app")"
}

@test "mirror: of docker.io" {
	get app
	bi -q push app "$REG/library/busybox:1"
	try bi -q --mirror "docker.io=$REG" pull busybox:1
	assert_ok
	assert_output "docker.io/library/busybox:1@$(layout_digest "$IMG/app")"
}

@test "mirror: one that is down or lacks the image is passed over" {
	try bi --mirror "$REG=127.0.0.1:1" pull "$REG/bb"
	assert_ok
	assert_has "127.0.0.1:1"
	try bi -q --mirror "$REG=$REG/nothing" pull "$REG/app"
	assert_ok
}

@test "registry: not there" {
	refused "connection refused" pull 127.0.0.1:1/bb
	get bb
	refused "connection refused" push bb 127.0.0.1:1/bb
	refused "connection refused" --creds x:y login 127.0.0.1:1
}

@test "registry: unknown repository, unknown tag" {
	refused "not found" pull "$REG/nosuch"
	refused "not found" pull "$REG/bb:nosuch"
	try bi -q list
	assert_output ""
}

@test "registry: loses a blob" {
	start_registry "$T/lossy"
	PIDS+=("$(<"$T/lossy/pid")")
	lossy=$(<"$T/lossy/address")
	skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$IMG/bb:latest" "docker://$lossy/bb:latest"
	layer=$(layout_layer bb 0)
	rm -r "$T/lossy/data/docker/registry/v2/blobs/sha256/${layer:7:2}/${layer#*:}"
	refused "${layer:7:12}" pull "$lossy/bb"
	try bi -q list
	assert_output ""
}

@test "registry: answers with other bytes" {
	start_registry "$T/lying"
	PIDS+=("$(<"$T/lying/pid")")
	lying=$(<"$T/lying/address")
	skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$IMG/bb:latest" "docker://$lying/bb:latest"
	layer=$(layout_layer bb 0)
	printf 'X' | dd of="$T/lying/data/docker/registry/v2/blobs/sha256/${layer:7:2}/${layer#*:}/data" bs=1 seek=100 conv=notrunc status=none
	refused "${layer:7:12}" pull "$lying/bb"
	try bi -q list
	assert_output ""
	absent "$STORE/blobs/sha256/${layer#*:}"
}
