#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# One store, many at a time; and those that are killed.

load helpers

# each N COMMAND…: N at a time, the last argument with its number; all have to succeed.
each() {
	local n=$1 i pids=() bad=0
	shift
	for ((i = 1; i <= n; i++)); do
		"${@:1:$#-1}" "${!#}$i" >"$T/each$i" 2>&1 3>&- </dev/null &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || bad=1; done
	((bad == 0)) || { cat "$T"/each* >&2; return 1; }
}

@test "parallel: 10 pulls of one image" {
	each 10 bi -q pull "$REG/rich" name
	assert_eq "$(bi -q list | wc -l)" 10
	assert_eq "$(find "$STORE/blobs/sha256" -type f | wc -l)" 7
	bi -q verify
	[[ -z $(ls -A "$STORE/partial") ]] || fail "left: $(ls -A "$STORE/partial")"
}

@test "parallel: 10 unpacks of one image" {
	get rich
	each 10 bi -q unpack rich "$T/b"
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b1/rootfs" "$T/u/rootfs"
	assert_same_tree "$T/b10/rootfs" "$T/u/rootfs"
	assert_eq "$(find "$STORE/layers" -mindepth 1 -maxdepth 1 | wc -l)" 5
}

@test "parallel: 5 unpacks to one place: one wins, and its bundle works" {
	get bb
	won=0 pids=()
	for n in 1 2 3 4 5; do
		bi -q unpack bb "$T/b" >"$T/o$n" 2>&1 3>&- &
		pids+=($!)
	done
	for n in "${pids[@]}"; do
		if wait "$n"; then won=$((won + 1)); fi
	done
	assert_eq "$won" 1
	echo x >"$T/b/rootfs/new"
	bi -q commit "$T/b" x
	bi unmount "$T/b"
	bi -q gc
	bi mount "$T/b"
	assert_eq "$(<"$T/b/rootfs/new")" x
}

@test "parallel: 6 containers of one image" {
	get bb
	one() { bi -q run --name "$ID-$1" --net none --runtime-arg=--root --runtime-arg="$T/state" bb sh -c 'echo $$ >/file; cat /file'; }
	each 6 one ""
	assert_eq "$(cat "$T"/each* | xargs)" "1 1 1 1 1 1"
}

@test "parallel: pushes and tags" {
	get bb app
	# to a repository each: this registry writes its links in place, and in one it
	# fails others that read them meanwhile, skopeo as well
	each 5 bi -q push bb "$REG/parallel/number"
	each 5 bi tag app many:
	assert_eq "$(bi -q list | wc -l)" 7
}

@test "gc: while another process uses the store, says so" {
	get bb
	exec 8<"$STORE/lock"
	flock -s 8
	refused "another process is using the store" gc
	exec 8<&-
	bi -q gc
}

@test "gc: --wait waits" {
	get bb
	exec 8<"$STORE/lock"
	flock -s 8
	bi rm bb
	bi -q gc --wait >"$T/o" 2>&1 3>&- 8<&- &
	pid=$!
	sleep 0.3
	test -e "/proc/$pid"
	test -e "$STORE/blobs/sha256/$(layout_digest "$IMG/bb" | cut -d: -f2)"
	exec 8<&-
	wait "$pid"
	absent "$STORE/blobs/sha256/$(layout_digest "$IMG/bb" | cut -d: -f2)"
}

@test "gc: --wait ends with a signal" {
	get bb
	exec 8<"$STORE/lock"
	flock -s 8
	"$BIN/berth-image" --root "$STORE" -q gc --wait >"$T/o" 2>&1 3>&- 8<&- &
	pid=$!
	sleep 0.3
	kill -TERM "$pid"
	status=0
	wait "$pid" || status=$?
	assert_status 1
	grep -q interrupted "$T/o"
	exec 8<&-
}

@test "gc: pulls and unpacks wait for one that runs" {
	get bb
	exec 8<"$STORE/lock"
	flock -x 8
	bi -q unpack bb "$T/b" >"$T/o" 2>&1 3>&- 8<&- &
	pid=$!
	sleep 0.3
	absent "$T/b"
	exec 8<&-
	wait "$pid"
	test -e "$T/b/config.json"
}

@test "gc: --dry-run only says" {
	get bb app
	bi rm app
	try bi --json gc --dry-run
	assert_ok
	assert_eq "$(jq -r '.[].Kind' <<<"$out" | xargs)" "blob blob"
	test -e "$STORE/blobs/sha256/$(layout_digest "$IMG/app" | cut -d: -f2)"
	try bi gc
	assert_has "2 removed"
	try bi gc
	assert_has "0 removed"
	bi -q unpack bb "$T/b"
}

@test "gc: while pulls and unpacks run, nothing is lost" {
	get rich
	for n in {1..20}; do bi -q gc >/dev/null 2>&1 3>&- || true; done &
	pid=$!
	each 4 bi -q unpack rich "$T/b"
	each 4 bi -q pull "$REG/mixed" name
	wait "$pid" || true
	bi -q verify
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b4/rootfs" "$T/u/rootfs"
}

@test "killed: pull, then it succeeds and gc leaves no orphan" {
	for s in 0.005 0.015 0.03 0.045 0.06; do
		timeout -s KILL $s "$BIN/berth-image" --root "$STORE" -q pull "$REG/rich" >/dev/null 2>&1 3>&- || true
	done
	bi -q pull "$REG/rich"
	bi -q verify
	bi rm "$REG/rich"
	bi -q gc
	[[ -z $(find "$STORE/blobs" "$STORE/partial" -type f) ]] || fail "left: $(find "$STORE/blobs" "$STORE/partial" -type f)"
}

@test "killed: unpack, then it succeeds and gc leaves no orphan" {
	get rich
	for mode in overlay copy; do
		for s in 0.01 0.03 0.05 0.07 0.09; do
			timeout -s KILL $s "$BIN/berth-image" --root "$STORE" -q unpack --mode $mode rich "$T/b-$mode" >/dev/null 2>&1 3>&- || true
			[[ ! -e $T/b-$mode ]] || bi -q unmount --rm "$T/b-$mode"
		done
		wait_for no_users
		bi -q unpack --mode $mode rich "$T/b-$mode"
	done
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b-overlay/rootfs" "$T/u/rootfs"
	assert_same_tree "$T/b-copy/rootfs" "$T/u/rootfs"
	bi -q gc
}
