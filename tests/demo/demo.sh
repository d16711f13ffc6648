#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a container from a bundle made on the spot and shows what happens, and
# then sends the same files as an image through a registry on 127.0.0.1:
#
#   tests/demo/demo.sh bin/berth
#
# berth-image is the one beside it. As an ordinary user it runs rootless. It
# checks what it shows, so it fails when Berth does; everything it makes is in one
# temporary directory. Without docker-registry the image goes through a file.
set -euo pipefail
berth=$(realpath "${1:?usage: demo.sh BERTH}")
image=$(dirname "$berth")/berth-image
work=$(mktemp -d "${TMPDIR:-/tmp}/berth-demo.XXXXXX")
bundle=$work/bundle id=demo-$$
spec_flags=() registry_pid=''
((EUID == 0)) || spec_flags=(--rootless)

cleanup() {
	"$berth" --root "$work/state" delete --force "$id" >/dev/null 2>&1 || true
	[[ ! -d $work/web ]] || "$image" --root "$work/there" unmount --rm "$work/web" >/dev/null 2>&1 || true
	[[ ! $registry_pid ]] || {
		kill "$registry_pid" 2>/dev/null || true
		wait "$registry_pid" 2>/dev/null || true
	}
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

# images STORE ARG…: berth-image on one of two stores.
images() {
	local store=$1
	shift
	"$image" --root "$work/$store" --quiet --insecure "$@"
}

# start_registry: Debian's, on a free port; $registry is its name.
start_registry() {
	local config=$work/registry.yml _
	printf '%s\n' 'version: 0.1' 'http: {addr: "127.0.0.1:0"}' \
		"storage: {filesystem: {rootdirectory: $work/registry}}" >"$config"
	docker-registry serve "$config" >"$work/registry.log" 2>&1 &
	registry_pid=$!
	for _ in {1..100}; do
		registry=$(sed -nE 's/.*listening on (127\.0\.0\.1:[0-9]+).*/\1/p' "$work/registry.log")
		[[ ! $registry ]] || return 0
		kill -0 "$registry_pid" 2>/dev/null || break
		sleep 0.1
	done
	fail "docker-registry does not start: $(tail -n 3 "$work/registry.log")"
}

# make_image: busybox is one layer, and the script is another.
make_image() {
	tar -C "$bundle/rootfs" -cf "$work/busybox.tar" bin
	tar -C "$bundle/rootfs" -cf "$work/hello.tar" hello
	say berth-image import busybox.tar demo/busybox
	images here import "$work/busybox.tar" demo/busybox --image-cmd /bin/sh >/dev/null
	say berth-image import --base demo/busybox hello.tar demo/hello
	images here import --base demo/busybox --image-cmd '["sh", "/hello"]' --image-env PATH=/bin "$work/hello.tar" demo/hello >/dev/null
	images here list | indent
}

# send_image: from one store to another, through a registry if there is one.
send_image() {
	local sent got
	if [[ $registry ]]; then
		say berth-image --insecure push demo/hello "$registry/demo/hello"
		sent=$(images here push demo/hello "$registry/demo/hello")
		say berth-image --insecure --root OTHER pull "$registry/demo/hello"
		got=$(images there pull "$registry/demo/hello" demo/hello)
	else
		say berth-image export demo/hello oci-archive:hello.tar
		images here export demo/hello "oci-archive:$work/sent.tar:hello"
		say berth-image --root OTHER import hello.tar demo/hello
		sent=$(images here inspect demo/hello | jq -r .descriptor.digest)
		got=$(images there import "oci-archive:$work/sent.tar:hello" demo/hello)
	fi
	[[ ${got##*@} == "${sent##*@}" ]] || fail "sent $sent, got $got"
	echo "     ${sent##*@}" | cut -c1-40 | sed 's/$/… in both stores/'
}

# unpack_image: what an ordinary user's overlay is seen in is one process only: a copy.
unpack_image() {
	local mode=()
	((EUID == 0)) || mode=(--mode copy)
	say berth-image --root OTHER unpack "${mode[@]}" demo/hello web
	images there unpack "${mode[@]}" --hostname hello-image demo/hello "$work/web"
	(cd "$work/web" && ls -d config.json rootfs rootfs/bin/busybox rootfs/hello) | indent
}

run_image() {
	local code=0
	say berth run --bundle web demo
	runtime run --bundle "$work/web" "$id" </dev/null >"$work/out" 2>&1 || code=$?
	indent <"$work/out"
	echo "     exit code: $code"
	grep -q 'host name hello-image' "$work/out" || fail "the container of the image did not say hello"
	((code == 7)) || fail "exit code $code, not the 7 that the container ended with"
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

title "An image of two layers: busybox, and a script on top of it"
make_image
registry=''
if command -v docker-registry >/dev/null; then
	start_registry
	title "Push it to a registry on 127.0.0.1, and pull it into another store"
else
	title "Save it, and import it into another store (no docker-registry here, so no push and pull)"
fi
send_image
title "Unpack it: a root file system, and config.json by what the image says"
unpack_image
title "And run that"
run_image
printf '\n%sAll of it worked, and nothing is left behind.%s\n' "$bold" "$plain"
