#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes sure that a Go toolchain new enough for this module can be run:
#
#   tests/setup/go.sh
#
# A new enough go in PATH (or /usr/local/go) is used as it is. Otherwise the
# older one (Debian's, say) fetches the right one as the module
# golang.org/toolchain through the Go module proxy, checked against the
# checksum database, and .go/bin is linked to it; the Makefile puts that
# directory first in PATH.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/local/go/bin
wanted=1.26.8 # what is fetched
least=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' go.mod)

# release GO: its version as 1.26.8, nothing if it does not run. GOTOOLCHAIN
# keeps it from answering for another one.
release() {
	GOTOOLCHAIN=local "$1" version 2>/dev/null | sed -n 's/^go version go\([0-9.]*\).*/\1/p'
}

# at_least A B: release A is B or newer.
at_least() {
	[[ -n $1 && $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1) == "$2" ]]
}

# fetch GO: prints the GOROOT of the wanted toolchain, fetched by an older go.
fetch() {
	local dir
	if at_least "$(release "$1")" 1.21; then
		GOTOOLCHAIN=go$wanted "$1" env GOROOT
		return
	fi
	# Before 1.21 Go knows no toolchains, but it is a module like any other;
	# only the execute bits, which a module's files never have, are left to do.
	local arch
	arch=$("$1" env GOARCH)
	dir=$(cd / && GOFLAGS=-mod=mod "$1" mod download -json "golang.org/toolchain@v0.0.1-go$wanted.linux-$arch" |
		sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
	[[ -n $dir ]] || return 1
	chmod u+w "$dir/bin" "$dir/bin"/* "$dir/pkg/tool"/*/*
	chmod a+x "$dir/bin"/* "$dir/pkg/tool"/*/*
	echo "$dir"
}

if at_least "$(release .go/bin/go)" "$least" || at_least "$(release go)" "$least"; then
	exit 0
fi
old=$(command -v go || true)
if [[ -z $old ]]; then
	echo "setup: no Go toolchain: install Go $least or newer, or run tests/setup/packages.sh build" >&2
	exit 1
fi
echo "setup: fetching Go $wanted through the module proxy (here: Go $(release "$old"), needed: $least)"
root=$(fetch "$old") || {
	echo "setup: cannot fetch Go $wanted; install Go $least or newer by hand" >&2
	exit 1
}
mkdir -p .go/bin
ln -sfn "$root/bin/go" .go/bin/go
ln -sfn "$root/bin/gofmt" .go/bin/gofmt
at_least "$(release .go/bin/go)" "$least"
