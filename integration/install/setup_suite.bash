# SPDX-License-Identifier: Apache-2.0

setup_suite() {
	export TREE=$BATS_SUITE_TMPDIR/tree
	make --no-print-directory -C "$(dirname "${BASH_SOURCE[0]}")/../.." install DESTDIR="$TREE" PREFIX=/opt
}
