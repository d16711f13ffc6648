#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes sure that what a make target needs is on this machine:
#
#   tests/setup/packages.sh build|demo|test|vm|engines    installs what is missing (Debian, Ubuntu)
#   tests/setup/packages.sh --check build|…       only says what is missing
#
# Each need is a probe and the Debian package that fulfils it. When nothing is
# missing this takes a few milliseconds and asks no network. Installing takes
# root, or sudo that asks no password; without them it says in one line what to
# install and fails.
set -euo pipefail
PATH=$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin

# probe and package, one need a line. Probes: a command's name, lib:ARCHIVE for
# a static library that the C compiler finds, static:COMMAND for a command that
# must be a static executable, file:PATH. Any Go will do: tests/setup/go.sh
# fetches a new enough one with it. What is optional is installed where that is
# possible: without it a part is left out, which says so.
needs_build="
gcc                gcc
lib:libc.a         libc6-dev
lib:libseccomp.a   libseccomp-dev
pkg-config         pkg-config
readelf            binutils
go                 golang-go
file:/etc/ssl/certs/ca-certificates.crt ca-certificates
"
needs_demo="
static:busybox     busybox-static
newuidmap          uidmap
ip                 iproute2
jq                 jq
docker-registry    docker-registry  optional
"
needs_test="
bats               bats
parallel           parallel
runc               runc
crun               crun
strace             strace
setpriv            util-linux
useradd            passwd
ps                 procps
qemu-aarch64       qemu-user
shellcheck         shellcheck
containerd         containerd
podman             podman
conmon             conmon
socat              socat
script             bsdutils
docker-registry    docker-registry
skopeo             skopeo
umoci              umoci
buildah            buildah
setfattr           attr
setcap             libcap2-bin
openssl            openssl
zstd               zstd
file:/usr/lib/cni/bridge containernetworking-plugins
iptables           iptables
man                man-db
zsh                zsh              optional
fish               fish             optional
mandoc             mandoc           optional
"
needs_engines="
dockerd            docker.io
/usr/bin/docker    docker-cli       optional
docker-compose     docker-compose
mmdebstrap         mmdebstrap
fuse-overlayfs     fuse-overlayfs
slirp4netns        slirp4netns
nsenter            util-linux
file:/usr/lib/podman/netavark netavark
file:/usr/lib/podman/aardvark-dns aardvark-dns
catatonit          catatonit
curl               curl
"
needs_vm="
qemu-system-x86_64 qemu-system-x86
mmdebstrap         mmdebstrap
mke2fs             e2fsprogs
"

# needs TARGET: the table of the target and of all that it builds on.
needs() {
	case $1 in
	build) echo "$needs_build" ;;
	demo) echo "$needs_build$needs_demo" ;;
	test) echo "$needs_build$needs_demo$needs_test" ;;
	vm) echo "$needs_build$needs_vm" ;;
	engines) echo "$needs_build$needs_demo$needs_test$needs_engines" ;;
	*)
		echo "packages.sh: what is $1? One of: build demo test vm engines" >&2
		exit 2
		;;
	esac
}

# present PROBE: the machine has it.
present() {
	local path
	case $1 in
	lib:*)
		# gcc prints a path when it knows the file, and the bare name otherwise
		path=$(gcc -print-file-name="${1#lib:}" 2>/dev/null) || return 1
		[[ $path == /* ]]
		;;
	static:*)
		path=$(command -v "${1#static:}") || return 1
		readelf -lW "$path" 2>/dev/null | grep -q '^Elf file' || return 1
		! readelf -lW "$path" | grep -q ' INTERP '
		;;
	file:*) [[ -e ${1#file:} ]] ;;
	*) command -v "$1" >/dev/null ;;
	esac
}

# missing TARGET [optional]: the packages to install, one a line: those that the
# target cannot do without, or the others.
missing() {
	local probe package kind
	needs "$1" | while read -r probe package kind; do
		[[ -n $probe && $kind == "${2:-}" ]] || continue
		present "$probe" || echo "$package"
	done
}

# as_root COMMAND…: the command with root's rights.
as_root() {
	if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o APT::Install-Recommends=false "$@"
}

# install PACKAGE…: quiet unless it fails.
install() {
	local log
	log=$(mktemp)
	echo "setup: installing $*"
	if ! { apt update && apt install -y "$@"; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		rm -f "$log"
		echo "setup: cannot install $*" >&2
		return 1
	fi
	rm -f "$log"
}

# can_install: there is a way to, for this user.
can_install() {
	command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# install_optional TARGET: what it can do without.
install_optional() {
	local list
	mapfile -t list < <(missing "$1" optional)
	((${#list[@]})) || return 0
	if ! can_install || ! install "${list[@]}"; then
		echo "setup: goes on without ${list[*]}"
	fi
}

main() {
	local check=
	if [[ ${1:-} == --check ]]; then
		check=1
		shift
	fi
	local target=${1:?"usage: packages.sh [--check] build|demo|test|vm|engines"} list
	needs "$target" >/dev/null
	mapfile -t list < <(missing "$target")
	if ((${#list[@]} == 0)); then
		[[ $check ]] || install_optional "$target"
		return 0
	fi
	if [[ $check ]]; then
		echo "missing packages: ${list[*]} (on Debian or Ubuntu: apt-get install ${list[*]})" >&2
		return 1
	fi
	if ! command -v apt-get >/dev/null; then
		echo "setup: missing, and no apt-get here to install them: ${list[*]} (Debian's names)" >&2
		return 1
	fi
	if ((EUID != 0)) && ! sudo -n true 2>/dev/null; then
		echo "setup: missing packages; ask root for: apt-get install ${list[*]}" >&2
		return 1
	fi
	install "${list[@]}"
	mapfile -t list < <(missing "$target")
	((${#list[@]} == 0)) || {
		echo "setup: installed, but still not usable: ${list[*]}" >&2
		return 1
	}
	install_optional "$target"
}

main "$@"
