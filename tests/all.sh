#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# All tests, in the order in which they tell the most: lint, unit and golden,
# the Go tests that drive a built Berth (as root), the bats suites (as root).
# Runs through all steps and fails at the end if one failed. The last line
# counts tests. `make test` calls it, when everything that it needs is there.
#
#   tests/all.sh             everything
#   tests/all.sh unit bats   some steps: lint unit system bats shim image install
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/setup/build.env
export GOEXPERIMENT=$EXPERIMENT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
counts=$work/counts
: >"$counts"

# go_test ARG…: go test with readable output, its results counted.
go_test() {
	go test -json -tags "$TAGS" "$@" 2>&1 | "$work/report" -counts "$counts"
}

# packages GREP_ARG…: the module's packages that have tests and match; none is an error.
packages() {
	go list -tags "$TAGS" -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | grep "$@"
}

lint() { tests/lint.sh; }

# internal/archtest is a part of lint.
unit() {
	local list
	list=$(packages -vE '^$|^berth/(tests|examples)/|^berth/internal/archtest$')
	# shellcheck disable=SC2086 # one word a package
	go_test $list
}

# The tests of tests/ and examples/ make containers and watch the machine for
# leftovers, so one package at a time, and never from the cache.
system() {
	local list
	list=$(packages -E '^berth/(tests|examples)/')
	# shellcheck disable=SC2086
	go_test -count=1 -p 1 -timeout 15m $list
}

bats() {
	if ((EUID != 0)); then
		echo "needs root: run make test as root for the bats suites"
		return 0
	fi
	integration/run.sh | tee -a "$work/bats"
}

# containerd with our shim: the daemon is the suite's own.
shim() {
	if ((EUID != 0)); then
		echo "needs root: run make test as root for the shim's suite"
		return 0
	fi
	integration/run.sh integration/shim | tee -a "$work/bats"
}

# berth-image against other tools, and a registry that is the suite's own.
image() {
	if ((EUID != 0)); then
		echo "needs root: run make test as root for the image suite"
		return 0
	fi
	integration/run.sh -j 2 integration/image | tee -a "$work/bats"
}

# What make install and make deb give, in trees of their own.
install() {
	if ((EUID != 0)); then
		echo "needs root: run make test as root for the suite of what is installed"
		return 0
	fi
	integration/run.sh integration/install | tee -a "$work/bats"
}

# Each verdict of a bats run is "== NAME: N cases, P passed, S skipped, F failed, T s".
count_bats() {
	[[ ! -e $work/bats ]] || sed -nE \
		's/^== .*: [0-9]+ cases, ([0-9]+) passed, ([0-9]+) skipped, ([0-9]+) failed.*/\1 \3 \2/p' "$work/bats" >>"$counts"
}

failed=()
step() {
	local started=$SECONDS verdict=ok
	echo "=== $1"
	# Not `if "$1"`: that would switch errexit off inside.
	set +e
	(
		set -e
		"$1"
	)
	local status=$?
	set -e
	((status == 0)) || {
		verdict=FAILED
		failed+=("$1")
	}
	echo "=== $1: $verdict, $((SECONDS - started)) s"
}

(($#)) || set -- lint unit system bats shim image install
CGO_ENABLED=0 go build -o "$work/report" ./tests/report
for name; do step "$name"; done
count_bats

((${#failed[@]} == 0)) || echo "failed: ${failed[*]}"
awk '{ p += $1; f += $2; s += $3 } END { printf "test: %d passed, %d failed, %d skipped\n", p, f, s }' "$counts"
((${#failed[@]} == 0))
