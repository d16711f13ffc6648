#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Where output can go.

load helpers

@test "streams: a file" {
	EXTRA=(-d --log-uri "file://$T/dir/log")
	ctr_ run "${EXTRA[@]}" --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" sh -c 'echo out; echo err >&2' </dev/null 3>&-
	wait_status STOPPED
	assert_eq "$(sort "$T/dir/log")" $'err\nout'
}

@test "streams: a logger" {
	cat >"$T/logger" <<-'SH'
		#!/bin/bash
		exec 5>&-
		{ sed 's/^/1 /' <&3; } >>"${0%/*}/got" &
		{ sed 's/^/2 /' <&4; } >>"${0%/*}/got" &
		wait
		echo "$CONTAINER_ID $CONTAINER_NAMESPACE $*" >>"${0%/*}/got"
	SH
	chmod +x "$T/logger"
	ctr_ run -d --log-uri "binary://$T/logger?key=value" --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" sh -c 'echo out; echo err >&2' </dev/null 3>&-
	logged() { grep -q "key value" "$T/got"; }
	wait_for logged
	assert_eq "$(head -n 2 "$T/got" | sort)" $'1 out\n2 err'
	grep -q "^$ID default key value" "$T/got"
}

@test "streams: a logger that does not exist is an error, and nothing is left" {
	try ctr_ run -d --log-uri "binary://$T/no-logger" --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" true
	assert_fails no-logger
}

@test "streams: none" {
	ctr_ run -d --null-io --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" sh -c 'echo out; readlink /proc/self/fd/0 >/tmp/null; sleep 1000' </dev/null 3>&-
	exec_ct cat /tmp/null
	assert_output /dev/null
	rm -f "$CD/rootfs/tmp/null"
}

@test "streams: an unknown scheme is refused" {
	try ctr_ run -d --log-uri "gopher://x/y" --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" true
	assert_fails
}

@test "streams: a log directory that cannot be made is an error" {
	touch "$T/file"
	try ctr_ run -d --log-uri "file://$T/file/log" --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" true
	assert_fails
}

@test "streams: a full disk does not stop the container" {
	ctr_ run -d --log-uri "file:///dev/full" --runtime "$SHIM" --cgroup "$SUITE_CGROUP/$ID" --rootfs "$CD/rootfs" "$ID" sh -c 'seq 1 100000; exit 3' </dev/null 3>&-
	wait_status STOPPED
	try ctr_ task rm "$ID"
	assert_has "code 3"
}
