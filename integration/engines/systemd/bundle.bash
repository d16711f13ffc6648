# SPDX-License-Identifier: Apache-2.0
# A bundle in which systemd boots. docs/systemd.md says why each of these is needed.

source "$(dirname "${BASH_SOURCE[0]}")/../engines.bash"

systemd_tar() { "$ENGINES/rootfs.sh" debian systemd systemd-sysv dbus; }

# make_rootfs DIR
make_rootfs() {
	mkdir -p "$1"
	tar -C "$1" --numeric-owner -xf "$(systemd_tar)"
	# Each container is a machine of its own.
	: >"$1/etc/machine-id"
}

# make_bundle DIR ROOTFS CGROUP [FILTER]: config.json for the runtime that is tested,
# and what a jq filter makes of it.
make_bundle() {
	mkdir -p "$1"
	rm -f "$1/config.json"
	"$(runtime_path)" spec --bundle "$1"
	jq --arg root "$2" --arg cgroup "$3" -f "$ENGINES/systemd/config.jq" "$1/config.json" | jq "${4:-.}" >"$1/config.new"
	mv "$1/config.new" "$1/config.json"
}
