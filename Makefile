# SPDX-License-Identifier: Apache-2.0
# Targets carry their line of help after "##"; `make` prints them.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# .go/bin exists where tests/setup/go.sh had to fetch a toolchain.
export PATH := $(CURDIR)/.go/bin:$(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

VERSION ?= 0.1.0
COMMIT  ?= $(shell git -C "$(CURDIR)" describe --always --abbrev=12 --dirty --exclude '*' 2>/dev/null || echo unknown)
PREFIX  ?= /usr/local
DESTDIR ?=
export VERSION PREFIX DESTDIR

# berth itself needs no cgo and starts faster without; what needs libseccomp is a
# helper that it carries, static like everything else, and the same whatever the
# environment says.
include tests/setup/build.env
VARS     = -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X berth/cmd/berth/verbs.version=$(VERSION) -X berth/cmd/berth/verbs.commit=$(COMMIT) \
	-X berth/libcontainer/seccomp.helperVersion=$$(pkg-config --modversion libseccomp)
PUREGO  := GOEXPERIMENT=$(EXPERIMENT) CGO_ENABLED=0
BUILD    = $(PUREGO) go build -trimpath -buildvcs=false -tags $(TAGS) -ldflags "-s -w $(VARS)"
HELPER  := GOEXPERIMENT= CGO_ENABLED=1 go build -trimpath -buildvcs=false -tags $(TAGS) -ldflags '-s -w -linkmode external -extldflags -static'

.PHONY: help build reference test test-vm newcomer cycles test-unit lint golden integration conformance test-engines bench-engines bench bench-shim bench-image fuzz demo install uninstall deb clean

help: ## print this list
	@echo 'Berth: make demo shows it, make test proves it; both install what they need.'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

# The linker writes through a mapping, which leaves single pages in the page cache;
# a copy gets large folios, and starts a tenth faster (ext4, Linux 6.18):
# BERTH=out/bin/berth go run ./tests/bench -docs - -runtimes berth, and bin/berth.
build: ## build every program of cmd/ into bin/, fully static
	@tests/setup/packages.sh --check build
	@tests/setup/go.sh
	@mkdir -p bin out/bin
	@$(HELPER) -o libcontainer/seccomp/helper/berth-seccomp ./cmd/berth-seccomp
	@for dir in cmd/*/; do name=$$(basename "$$dir"); \
		[[ $$name != berth-seccomp ]] || continue; \
		$(BUILD) -o "out/bin/$$name" "./$$dir"; \
		cmp -s "out/bin/$$name" "bin/$$name" || install "out/bin/$$name" "bin/$$name"; \
		! readelf -lW "bin/$$name" | grep -q ' INTERP ' || { echo "bin/$$name is not static" >&2; exit 1; }; \
		echo "built bin/$$name ($$(du -h --apparent-size "bin/$$name" | cut -f1))"; \
	done
	@$(MAKE) --no-print-directory reference

# With the tag reference a program prints what it is, instead of being it.
reference: ## write the manual pages and completions into out/share, from the programs' own definitions
	@rm -rf out/share
	@for name in berth berth-image berth-monitor containerd-shim-berth-v2; do \
		$(PUREGO) go run -trimpath -buildvcs=false -tags $(TAGS),reference "./cmd/$$name" out/share; \
	done

demo: ## build Berth, run a container from a bundle made on the spot, and one of an image
	@tests/setup/packages.sh demo
	@tests/setup/go.sh
	@$(MAKE) --no-print-directory build
	@tests/demo/demo.sh bin/berth

test: ## install what is missing, build, and run all tests
	@tests/setup/packages.sh test
	@tests/setup/go.sh
	@$(MAKE) --no-print-directory build
	@tests/all.sh

test-vm: ## run suites on a second kernel (cgroup v2, systemd, AppArmor) under QEMU; SUITES='go cycles bats v1'
	@tests/setup/packages.sh vm
	@$(MAKE) --no-print-directory build
	@tests/vm/suites.sh $(SUITES)

newcomer: ## do what the README and the Docker page say, on a fresh Debian in namespaces
	@tests/setup/packages.sh vm
	@tests/newcomer/newcomer.sh $(STEPS)

cycles: ## make and remove 1,000 containers, look for leftovers, and compare the last with the first
	@$(MAKE) --no-print-directory build
	@go run ./tests/cycles -n $(or $(N),1000)

test-unit: ## run the tests that need no root and no built Berth
	@GOEXPERIMENT=$(EXPERIMENT) go test -tags $(TAGS) $$(go list -tags $(TAGS) ./... | grep -v '^berth/tests/')

lint: ## gofmt, go vet, shellcheck, and the rules of internal/archtest
	@tests/lint.sh

golden: ## rewrite the golden files from what the code prints now
	@dirs=$$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -r -n1 dirname | sort -u); \
	for dir in $$dirs; do GOEXPERIMENT=$(EXPERIMENT) go test -tags $(TAGS) -count=1 "$$dir" -update; done
	@git status --short -- '*testdata*' '*golden*'

integration: ## run the bats suites with bin/berth, or with RUNTIME=; FILES= chooses
	@tests/setup/packages.sh test
	@$(MAKE) --no-print-directory build
	@integration/run.sh $(FILES)

conformance: ## run the OCI's validation programs on berth, crun and runc; ARGS='-only cgroups'
	@tests/setup/packages.sh test
	@$(MAKE) --no-print-directory build
	@go run ./tests/conformance $(ARGS)

test-engines: ## run the suites of Docker, Compose, containerd, Podman and Buildah with Berth, runc and crun; SUITES='docker podman:crun'
	@tests/setup/packages.sh engines
	@$(MAKE) --no-print-directory build
	@integration/engines/run.sh $(SUITES)

bench-engines: ## measure docker run and podman run with berth, runc and crun
	@tests/setup/packages.sh engines
	@$(MAKE) --no-print-directory build
	@go run ./tests/enginebench -docs docs/performance-engines.md $(ARGS)

bench-shim: ## measure the shim against containerd-shim-runc-v2, and the monitor against conmon
	@tests/setup/packages.sh test
	@$(MAKE) --no-print-directory build
	@go run ./tests/shimbench -docs docs/performance-shim.md $(ARGS)
	@go run ./tests/monitorbench -docs docs/performance-monitor.md

bench-image: ## measure berth-image against umoci, tar and skopeo; ARGS='-n 3' for a quick look
	@tests/setup/packages.sh test
	@tests/setup/packages.sh vm
	@$(MAKE) --no-print-directory build
	@go run ./tests/imagebench -docs docs/performance-image.md $(ARGS)

bench: ## measure berth against crun, runc and a bare C program; ARGS='-n 20' for a quick look
	@tests/setup/packages.sh test
	@$(MAKE) --no-print-directory build
	@go run ./tests/bench $(ARGS)

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@tests/fuzz.sh $(or $(FUZZTIME),10s)

# What is built is taken as it is: `sudo make install` should not build as root.
install: ## copy programs, manual pages, completions and examples below $(DESTDIR)$(PREFIX)
	@[[ -x bin/berth && -d out/share/man ]] || $(MAKE) --no-print-directory build
	@packaging/install.sh install
	@echo "installed below $(DESTDIR)$(PREFIX)"

uninstall: ## take away what install has copied
	@packaging/install.sh uninstall

deb: ## build a Debian package of all that into out/
	@$(MAKE) --no-print-directory build
	@packaging/deb.sh

clean: ## remove what building and testing made
	rm -rf bin .go out
