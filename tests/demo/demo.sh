#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a container from a bundle made on the spot and shows what happens:
#
#   tests/demo/demo.sh bin/berth
#
# As an ordinary user it runs rootless. It checks what it shows, so it fails
# when Berth does; everything it makes is in one temporary directory.
set -euo pipefail
berth=$(realpath "${1:?usage: demo.sh BERTH}")
work=$(mktemp -d "${TMPDIR:-/tmp}/berth-demo.XXXXXX")
bundle=$work/bundle id=demo-$$
spec_flags=()
((EUID == 0)) || spec_flags=(--rootless)

cleanup() {
	"$berth" --root "$work/state" delete --force "$id" >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap cleanup EXIT

bold='' plain=''
if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; fi
number=0

# title TEXT: the heading of the next step.
title() {
	number=$((number + 1))
	printf '\n%s%d. %s%s\n' "$bold" "$number" "$*" "$plain"
}

# say COMMAND…: shows a command line as a person would type it.
say() { printf '   $ %s\n' "$*"; }

indent() { sed 's/^/     /'; }

fail() {
	printf 'demo: %s\n' "$*" >&2
	exit 1
}

runtime() { "$berth" --root "$work/state" "$@"; }

# edit FILTER: changes config.json with jq.
edit() {
	jq "$@" "$bundle/config.json" >"$bundle/config.json.new"
	mv "$bundle/config.json.new" "$bundle/config.json"
}

# The script that runs in the container, and the exit code it ends with.
inside='
echo "hello from $(uname -s) $(uname -r), host name $(hostname)"
id
echo "processes here:"
ps -o pid,user,args
echo "in the root directory: $(echo /*)"
exit 7'

make_bundle() {
	local applet
	mkdir -p "$bundle/rootfs/bin"
	cp "$(command -v busybox)" "$bundle/rootfs/bin/busybox"
	for applet in sh uname hostname ps id ls cat grep wc head sleep true; do
		ln -s busybox "$bundle/rootfs/bin/$applet"
	done
	printf '%s' "$inside" >"$bundle/rootfs/hello"
	runtime spec --bundle "$bundle" "${spec_flags[@]}"
	edit '.process.terminal = false | .hostname = "hello-berth"'
}

show_plan() {
	local lines
	runtime plan --bundle "$bundle" >"$work/plan" || fail "berth plan failed"
	lines=$(wc -l <"$work/plan")
	{
		head -n 8 "$work/plan"
		echo "…"
		tail -n 4 "$work/plan"
	} | cut -c1-110 | indent
	echo "     ($lines lines)"
}

run_container() {
	local code=0
	edit '.process.args = ["sh", "/hello"]'
	runtime run --bundle "$bundle" "$id" </dev/null >"$work/out" 2>&1 || code=$?
	indent <"$work/out"
	echo "     exit code: $code"
	grep -q 'host name hello-berth' "$work/out" || fail "the container did not say hello"
	((code == 7)) || fail "exit code $code, not the 7 that the container ended with"
}

# The life cycle as engines drive it: create, look, start, exec, kill, delete.
life_cycle() {
	local pid
	edit '.process.args = ["sleep", "1000"]'
	say berth create --bundle BUNDLE demo
	runtime create --bundle "$bundle" "$id" </dev/null >"$work/out" 2>&1 || fail "create: $(cat "$work/out")"
	pid=$(runtime state "$id" | jq .pid)
	say berth state demo
	runtime state "$id" | jq -c '{id, status, pid}' | indent
	printf '     set up and waiting for start, its first process has %s of memory\n' \
		"$(awk '/^VmRSS/ { print $2 " " $3 }' "/proc/$pid/status")"
	say berth start demo
	runtime start "$id"
	say berth exec demo ps
	runtime exec "$id" ps -o pid,args </dev/null | indent
	say berth kill demo KILL
	runtime kill "$id" KILL
	wait_stopped
	say berth delete demo
	runtime delete "$id"
	[[ $(runtime list -q) == "" ]] || fail "something is left: $(runtime list)"
}

wait_stopped() {
	local _
	for _ in {1..100}; do
		[[ $(runtime state "$id" | jq -r .status) != stopped ]] || return 0
		sleep 0.05
	done
	fail "the container did not stop"
}

echo "$("$berth" --version | head -n1), as $(id -un)$( ((EUID == 0)) || echo ' (rootless)')"
title "A bundle: a root file system with nothing but a static busybox, and config.json"
say berth spec --bundle BUNDLE "${spec_flags[@]}"
make_bundle
(cd "$bundle" && ls -d config.json rootfs rootfs/bin/busybox) | indent
title "What creating it would do, before anything is done"
say berth plan --bundle BUNDLE
show_plan
title "Run it: output and exit code pass through"
say berth run --bundle BUNDLE demo
run_container
title "The same bundle step by step, as Docker or Podman drive a runtime"
life_cycle
printf '\n%sAll of it worked, and nothing is left behind.%s\n' "$bold" "$plain"
