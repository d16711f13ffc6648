#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gofmt, go vet, shellcheck (where it is installed) and the architecture test.
# Prints what is wrong and fails; prints nothing when all is well.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup/build.env
export GOEXPERIMENT=$EXPERIMENT
status=0

# sources ARG…: the files that find's ARGs choose, without what is built.
sources() {
	find . \( -name .git -o -path ./bin -o -path ./.go -o -name testdata \) -prune -o -type f \( "$@" \) -print
}

unformatted=$(sources -name '*.go' | xargs gofmt -l)
if [[ $unformatted ]]; then
	printf 'not as gofmt writes it: %s\n' $unformatted
	status=1
fi

# Composite literals without field names: host.Version{5, 12} says it all.
go vet -tags "$TAGS" -composites=false ./... || status=1
go vet -tags "$TAGS,reference" -composites=false ./cmd/... ./shim/conmon/options || status=1
rules=$(go test -count=1 ./internal/archtest 2>&1) || {
	echo "$rules"
	status=1
}

if command -v shellcheck >/dev/null; then
	# bats files get errors only: what
	# bats sets and reads is out of the checker's sight.
	mapfile -t scripts < <(sources -path './.ci/*' -o -name '*.sh')
	shellcheck -x -S warning "${scripts[@]}" || status=1
	mapfile -t suites < <(sources -name '*.bats' -o -name '*.bash')
	((${#suites[@]} == 0)) || shellcheck -S error "${suites[@]}" || status=1
fi
exit $status
