# SPDX-License-Identifier: Apache-2.0
# What `make install` puts into a tree of its own, which setup_suite makes as $TREE.

ROOT=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../..")
SHARE=$TREE/opt/share
source "$ROOT/integration/cases.bash"

setup() {
	T=$BATS_TEST_TMPDIR
	cd "$T" || return
	PATH=$TREE/opt/bin:$PATH
}

# needs PROGRAM PACKAGE: skips where it is not installed.
needs() { command -v "$1" >/dev/null || skip "no $1 here (package $2)"; }

# make_ ARG…: of the repository, without what makes us a part of another make.
make_() { env -u MAKEFLAGS -u MAKELEVEL make --no-print-directory -C "$ROOT" "$@"; }
