#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the engines' suites, each with Berth and with the runtimes it is compared
# with, and writes the table of docs/engines.md.
#
#   integration/engines/run.sh                     every engine, every runtime
#   integration/engines/run.sh docker podman:crun  some; no table is written then
#   integration/engines/run.sh -k DIR …            keep what bats prints in DIR
#
# berth-shim is an engine whose containerd has our shim, so that no runtime is
# executed.
set -euo pipefail
cd "$(dirname "$0")"
keep=
if [[ ${1:-} == -k ]]; then
	keep=$(realpath -m "$2")
	shift 2
fi
if ((EUID != 0)); then
	echo "run.sh: the engines need root" >&2
	exit 1
fi
declare -A runtimes=(
	[docker]="berth berth-shim runc crun"
	[compose]="berth runc"
	[containerd]="berth runc"
	[podman]="berth runc crun"
	[buildah]="berth runc crun"
	[nested]="berth runc"
	[systemd]="berth runc"
)
order=(docker compose containerd podman buildah nested systemd)

# version ENGINE: what it calls itself, one line.
version() {
	case $1 in
	docker) dockerd --version ;;
	compose) docker-compose --version ;;
	containerd) containerd --version ;;
	podman | nested | systemd) podman --version ;;
	buildah) buildah --version ;;
	esac | head -n 1
}

out=${keep:-$(mktemp -d)}
mkdir -p "$out"
[[ $keep ]] || trap 'rm -rf "$out"' EXIT

# one ENGINE RUNTIME
one() {
	local name=$2 shim='' started=$SECONDS file=$out/$1.$2
	if [[ $2 == berth-shim ]]; then name=berth shim=berth; fi
	echo "== $1 with $2"
	version "$1" >"$out/$1.version"
	ENGINE_RUNTIME=$name ENGINE_SHIM=$shim bats --formatter tap "$1" >"$file.tap" 2>"$file.err" </dev/null || true
	echo $((SECONDS - started)) >"$file.seconds"
	grep -E '^(not ok|#)' "$file.tap" || true
	# What stops a suite before its first case has no line in the TAP.
	grep -qE '^1\.\.' "$file.tap" || tail -n 5 "$file.err"
}

whole=
(($#)) || whole=1
(($#)) || set -- "${order[@]}"
for arg; do
	engine=${arg%%:*}
	list=${runtimes[$engine]:?"no such engine: $engine"}
	[[ $arg == "$engine" ]] || list=${arg#*:}
	for runtime in $list; do one "$engine" "$runtime"; done
done
cd ../..
go run ./tests/enginetable -results "$out" -reasons integration/engines ${whole:+-docs docs/engines.md}
