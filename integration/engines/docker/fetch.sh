#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a dockerd, docker-proxy and docker from the Go module proxy, with the
# containerd of ../containerd/fetch.sh beside them, and prints their directory:
#
#   ENGINE_DOCKER=$(fetch.sh 28) bats integration/engines/docker
#
# The sums are Go's own, as sum.golang.org has them. What is built is kept in
# $BERTH_ENGINES_CACHE (/var/cache/berth-engines).
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source-path=SCRIPTDIR source=../module.bash
source "$here/../module.bash"

case ${1:-} in
28)
	version=v28.5.2 containerd=1.7
	engine_sum=h1:DBX0Y0zAjZbSrm1uzOkdr1onVghKaftjlSWt4AFexzM=
	cli_sum=h1:XmG99IHcBmIAoC1PPg9eLBZPlTrNUAijsHLm8PjhBlg=
	;;
*)
	echo "usage: fetch.sh 28" >&2
	exit 2
	;;
esac

# docker_source MODULE SUM DIR: its files, with the go.mod that it calls vendor.mod.
docker_source() {
	source_of "$1" "$version+incompatible" "$2" "$3"
	mv "$3/vendor.mod" "$3/go.mod"
	mv "$3/vendor.sum" "$3/go.sum"
}

out=$cache/docker-$version
if [[ ! -x $out/docker ]]; then
	new_cache_dir
	docker_source github.com/docker/docker "$engine_sum" "$new/engine"
	docker_source github.com/docker/cli "$cli_sum" "$new/cli"
	mkdir "$new/out"
	set_version=github.com/docker/docker/dockerversion.Version
	go build -C "$new/engine" -mod=mod -trimpath -tags 'exclude_graphdriver_btrfs no_systemd' \
		-ldflags "-s -w -X $set_version=${version#v}" -o "$new/out" ./cmd/dockerd ./cmd/docker-proxy >&2
	go build -C "$new/cli" -mod=mod -trimpath -ldflags "-s -w -X github.com/docker/cli/cli/version.Version=${version#v}" -o "$new/out" ./cmd/docker >&2
	ln -s "$("$here/../containerd/fetch.sh" "$containerd")"/containerd* "$new/out"
	rm -rf "$out"
	mv "$new/out" "$out"
fi
echo "$out"
