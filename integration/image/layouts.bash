# SPDX-License-Identifier: Apache-2.0
# Image layouts made by hand, of tars that GNU tar wrote: nothing of ours is in
# them, and every media type, compression and platform can be.

# put LAYOUT FILE: adds a blob, and prints "DIGEST SIZE".
put() {
	local sum
	sum=$(sha256sum <"$2")
	sum=${sum%% *}
	mkdir -p "$1/blobs/sha256"
	cp "$2" "$1/blobs/sha256/$sum"
	echo "sha256:$sum $(stat -c %s "$2")"
}
# descriptor MEDIA-TYPE DIGEST SIZE
descriptor() { jq -nc --arg t "$1" --arg d "$2" --argjson s "$3" '{mediaType: $t, digest: $d, size: $s}'; }
# put_json LAYOUT MEDIA-TYPE <JSON: adds a document, and prints its descriptor.
put_json() {
	local file digest size
	file=$(mktemp)
	cat >"$file"
	read -r digest size < <(put "$1" "$file")
	rm "$file"
	descriptor "$2" "$digest" "$size"
}

OCI=application/vnd.oci.image

# compress gzip|zstd|none FILE: to stdout.
compress() {
	case $1 in
	gzip) gzip -nc "$2" ;;
	zstd) zstd -qc "$2" ;;
	none) cat "$2" ;;
	esac
}

# put_image LAYOUT COMPRESSION CONFIG-JSON LAYER.tar…: prints the manifest's
# descriptor. PLATFORM is linux/amd64 if not set otherwise. A COMPRESSION of
# several words is one per layer.
put_image() {
	local dir=$1 kinds config=$3 diffs=() layers=() i=0 kind suffix digest size tar file
	read -ra kinds <<<"$2"
	shift 3
	file=$(mktemp)
	for tar; do
		kind=${kinds[i % ${#kinds[@]}]} i=$((i + 1)) suffix=
		compress "$kind" "$tar" >"$file"
		read -r digest size < <(put "$dir" "$file")
		[[ $kind == none ]] || suffix=+$kind
		layers+=("$(descriptor "$OCI.layer.v1.tar$suffix" "$digest" "$size")")
		diffs+=("sha256:$(sha256sum <"$tar" | cut -d' ' -f1)")
	done
	rm "$file"
	config=$(jq -nc --argjson c "$config" --arg p "${PLATFORM:-linux/amd64}" '($p / "/") as $p
		| {os: $p[0], architecture: $p[1], config: $c, rootfs: {type: "layers", diff_ids: $ARGS.positional}}
		| if $p[2] then .variant = $p[2] else . end' --args "${diffs[@]}" | put_json "$dir" $OCI.config.v1+json)
	printf '%s\n' "${layers[@]}" | jq -sc --argjson c "$config" --arg t $OCI.manifest.v1+json \
		'{schemaVersion: 2, mediaType: $t, config: $c, layers: .}' | put_json "$dir" $OCI.manifest.v1+json
}

# put_index LAYOUT DESCRIPTOR…: an index of images, each a descriptor with platform.
put_index() {
	local dir=$1
	shift
	printf '%s\n' "$@" | jq -sc --arg t $OCI.index.v1+json '{schemaVersion: 2, mediaType: $t, manifests: .}' |
		put_json "$dir" $OCI.index.v1+json
}
# on PLATFORM DESCRIPTOR
on() {
	jq -c --arg p "$1" '($p / "/") as $p | .platform = ({os: $p[0], architecture: $p[1]} + if $p[2] then {variant: $p[2]} else {} end)' <<<"$2"
}

# finish LAYOUT TAG DESCRIPTOR: makes it the layout's image of that name.
finish() {
	local index='{"schemaVersion":2,"manifests":[]}'
	[[ ! -e $1/index.json ]] || index=$(<"$1/index.json")
	echo '{"imageLayoutVersion":"1.0.0"}' >"$1/oci-layout"
	jq --arg n "$2" --argjson d "$3" \
		'.manifests += [$d + {annotations: {"org.opencontainers.image.ref.name": $n}}]' <<<"$index" >"$1/index.json"
}

# layer DIR TAR: as image builders pack it.
layer() { tar -C "$1" --format=pax --sort=name --sparse --numeric-owner --xattrs --xattrs-include='*' -cf "$2" .; }
