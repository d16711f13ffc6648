#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds a containerd from the Go module proxy, and prints the directory of its
# programs: containerd, ctr, and containerd-shim-runc-v2 for comparing.
#
#   fetch.sh 1.7 | 2.0 | 2.1 | 2.2 | 2.3 | 2.4
#
# The sums are Go's own, as sum.golang.org has them. What is built is kept in
# $BERTH_ENGINES_CACHE (/var/cache/berth-engines).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../module.bash
source "$(dirname "$(realpath "$0")")/../module.bash"

module=github.com/containerd/containerd/v2
case ${1:-} in
1.7) module=github.com/containerd/containerd version=v1.7.35 sum=h1:7AU2T1qI2OdNBmKkreWZ7kASHUNFItN5Hgejd9sY938= ;;
2.0) version=v2.0.14 sum=h1:f+wIN6XMP+EsDTD8eKc4aCTMxmb184p/ICs0KQYCYBg= ;;
2.1) version=v2.1.9 sum=h1:lOQQ3qVEtauZCHKh8S2Xph5fGXFX2uZxMHmaslOZtW0= ;;
2.2) version=v2.2.9 sum=h1:ddw9THGOXhcKnHORjkKoXtazPjwtcPwmqk8AVyRpfZw= ;;
2.3) version=v2.3.7 sum=h1:7PGbgAVKE4ieQjFPv7+kwAv7f9dCtRpExZwjExHD/Fk= ;;
2.4) version=v2.4.2 sum=h1:p6Qg+xbEz8lvwdhHDx0U469xENvp4LgGBx+E7djXkGw= ;;
*)
	echo "usage: fetch.sh 1.7 | 2.0 | 2.1 | 2.2 | 2.3 | 2.4" >&2
	exit 2
	;;
esac

out=$cache/containerd-$version
if [[ ! -x $out/ctr ]]; then
	new_cache_dir
	source_of "$module" "$version" "$sum" "$new/src"
	mkdir "$new/out"
	go build -C "$new/src" -mod=mod -trimpath -tags 'no_btrfs no_devmapper no_zfs no_aufs' \
		-ldflags "-s -w -X $module/version.Version=$version" -o "$new/out" \
		./cmd/containerd ./cmd/ctr ./cmd/containerd-shim-runc-v2 >&2
	rm -rf "$out"
	mv "$new/out" "$out"
fi
echo "$out"
