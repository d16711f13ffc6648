#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Copies what `make build` has made to where it belongs, or takes it away again.
# Builds nothing and asks no network.
#
#   packaging/install.sh install|uninstall
#   PREFIX=/usr/local DESTDIR= ZSHDIR=share/zsh/site-functions
set -euo pipefail
cd "$(dirname "$0")/.."
root=${DESTDIR:-} prefix=${PREFIX:-/usr/local} zshdir=${ZSHDIR:-share/zsh/site-functions}
share=$prefix/share doc=$prefix/share/doc/berth
# What was installed, for uninstall: another version may have other files.
record=$root$doc/installed

# list: mode, source and destination of each file, one a line.
list() {
	local name file
	for name in berth berth-image berth-monitor containerd-shim-berth-v2; do
		echo "755 bin/$name $prefix/bin/$name"
	done
	while read -r file; do
		case $file in
		zsh/*) echo "644 out/share/$file $prefix/$zshdir/${file##*/}" ;;
		*) echo "644 out/share/$file $share/$file" ;;
		esac
	done < <(cd out/share && find . -type f -printf '%P\n' | LC_ALL=C sort)
	for file in README.md ARCHITECTURE.md CONTRIBUTING.md LICENSE docs/*; do
		echo "644 $file $doc/$file"
	done
	for file in packaging/examples/*; do
		echo "644 $file $doc/examples/${file##*/}"
	done
	# A profile is for the administrator to choose, see docs/troubleshooting.md.
	for name in berth berth-image; do
		echo "644 packaging/apparmor/$name $share/apparmor/extra-profiles/$name"
	done
	# An ordinary user's PREFIX cannot have it, and nobody needs it without AppArmor.
	if [[ $root || -w /etc/apparmor.d ]]; then
		echo "644 packaging/apparmor/abstractions/berth /etc/apparmor.d/abstractions/berth"
	fi
}

# What users would paste names the directory that programs are in.
install_files() {
	local mode from to text
	while read -r mode from to; do
		case $from in
		packaging/*)
			text=$(sed "s|/usr/local/bin/|$prefix/bin/|g" "$from")
			install -D -m "$mode" /dev/null "$root$to"
			printf '%s\n' "$text" >"$root$to"
			;;
		*) install -D -m "$mode" "$from" "$root$to" ;;
		esac
	done < <(list)
	list | cut -d' ' -f3 >"$record"
}

# Directories that are ours alone go with their files.
uninstall_files() {
	local file
	[[ -e $record ]] || {
		echo "install.sh: $record is not there, so nothing is installed" >&2
		exit 1
	}
	while read -r file; do
		rm -f "$root$file"
	done <"$record"
	rm "$record"
	rmdir "$root$doc/docs" "$root$doc/examples" "$root$doc" || true # may have other files
}

case ${1:-} in
install)
	[[ -x bin/berth && -d out/share/man ]] || {
		echo "install.sh: nothing is built; make build does that" >&2
		exit 1
	}
	install_files
	;;
uninstall) uninstall_files ;;
*)
	echo "usage: packaging/install.sh install|uninstall" >&2
	exit 2
	;;
esac
