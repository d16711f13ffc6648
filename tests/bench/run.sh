#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make bench`: see the package comment of tests/bench/main.go for what it does and
# takes. Arguments go to the program: tests/bench/run.sh -h
set -euo pipefail
cd "$(dirname "$0")/../.."
tests/setup/packages.sh --check test
exec go run ./tests/bench "$@"
