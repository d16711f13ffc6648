# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# What the fetch.sh of an engine needs to build it from the Go module proxy.

cache=${BERTH_ENGINES_CACHE:-/var/cache/berth-engines}
unset GOEXPERIMENT
export GOFLAGS='' GOTOOLCHAIN=${GOTOOLCHAIN:-local} CGO_ENABLED=0
PATH=$PATH:/usr/local/go/bin

# new_cache_dir: $new is a directory in the cache that goes with the script.
new_cache_dir() {
	mkdir -p "$cache"
	new=$(mktemp -d "$cache/.new-XXXX")
	trap 'chmod -R u+w "$new"; rm -rf "$new"' EXIT
}

# source_of MODULE VERSION SUM DIR: its files, if they have Go's sum of them.
source_of() {
	local found
	found=$(cd "$new" && go mod download -json "$1@$2")
	[[ $(jq -r .Sum <<<"$found") == "$3" ]] || {
		echo "fetch.sh: $1@$2 is not what it was: $(jq -r '.Sum // .Error' <<<"$found"), want $3" >&2
		exit 1
	}
	cp -r --no-preserve=mode "$(jq -r .Dir <<<"$found")" "$4"
	rm -rf "$4/vendor" # what the proxy has of it is only the list
}
