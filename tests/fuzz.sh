#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target of the module, one after another:
#
#   tests/fuzz.sh TIME [PATTERN]     e.g. tests/fuzz.sh 30s Verify
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup/build.env
export GOEXPERIMENT=$EXPERIMENT
time=${1:-10s} pattern=${2:-}
status=0
while IFS=: read -r file name; do
	[[ $name == *$pattern* ]] || continue
	echo "== $(dirname "$file") $name"
	go test -tags "$TAGS" -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$(dirname "$file")" || status=1
done < <(grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' cmd image internal libcontainer shim specconv tests |
	sed 's/:func /:/' | sort)
exit $status
