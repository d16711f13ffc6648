#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes an image as `docker save` writes it, without a registry or an engine.
#
#   images.sh busybox | pause FILE
set -euo pipefail
here=$(dirname "$(realpath "$0")")
what=${1:?"usage: images.sh busybox | pause FILE"} file=$(realpath "${2:?"to which file?"}")
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
mkdir "$new/image"
case $what in
busybox)
	cp "$("$here/../rootfs.sh" busybox)" "$new/image/layer.tar"
	name=localhost/bb:1 command='["sh"]'
	;;
pause)
	mkdir "$new/root"
	gcc -Os -static -s -o "$new/root/pause" "$here/pause.c"
	tar -C "$new/root" --numeric-owner --owner 0 --group 0 -cf "$new/image/layer.tar" .
	name=localhost/pause:1 command='["/pause"]'
	;;
*)
	echo "images.sh: what is $what?" >&2
	exit 2
	;;
esac
layer=sha256:$(sha256sum "$new/image/layer.tar" | cut -d' ' -f1)
arch=$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')
jq -n --arg arch "$arch" --arg layer "$layer" --argjson command "$command" \
	'{architecture: $arch, os: "linux", config: {Cmd: $command, Env: ["PATH=/bin"]}, rootfs: {type: "layers", diff_ids: [$layer]}}' >"$new/image/config.json"
jq -n --arg name "$name" '[{Config: "config.json", RepoTags: [$name], Layers: ["layer.tar"]}]' >"$new/image/manifest.json"
tar -C "$new/image" -cf "$file" manifest.json config.json layer.tar
