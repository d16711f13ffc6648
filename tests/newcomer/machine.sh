# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A machine for newcomer.sh: a fresh Debian in namespaces.

# start_machine DIR: with a copy of DIR as /home/newcomer/berth. $MACHINE is its
# root, $machine_pid its first process.
start_machine() {
	local archive=${BERTH_NEWCOMER_ROOT:-}
	MACHINE=$(mktemp -d /tmp/newcomer.XXXX)
	chmod 755 "$MACHINE"
	if [[ $archive ]]; then
		tar -C "$MACHINE" -xf "$archive"
	else
		mmdebstrap --quiet --variant=minbase --include=ca-certificates,git,make,sudo bookworm "$MACHINE"
	fi
	mkdir -p "$MACHINE/home/newcomer/berth"
	# With what is not committed yet, without what is built.
	git -C "$1" ls-files -z --cached --others --exclude-standard | (cd "$1" && xargs -0 ls -d 2>/dev/null | tar -c -T -) |
		tar -C "$MACHINE/home/newcomer/berth" -x
	# It reaches the network as this machine does.
	cp /etc/resolv.conf "$MACHINE/etc/resolv.conf"
	cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$MACHINE/etc/ssl/certs/ca-certificates.crt"
	echo '127.0.0.1 localhost newcomer' >"$MACHINE/etc/hosts"
	install -m 755 "$(dirname "${BASH_SOURCE[0]}")/systemctl.sh" "$MACHINE/usr/local/sbin/systemctl"
	make_cgroups
	unshare --mount --pid --fork --uts --ipc -- bash -ec "$(declare -f furnish place cgroups); furnish $MACHINE" </dev/null &
	machine_shell=$!
	until [[ -e $MACHINE/ready ]]; do
		kill -0 "$machine_shell"
		sleep 0.1
	done
	machine_pid=$(pgrep -P "$machine_shell")
}

# cgroups: mount point and our path below it, of each hierarchy.
cgroups() {
	local controllers path at
	while IFS=: read -r _ controllers path; do
		if [[ $controllers ]]; then
			at=/sys/fs/cgroup/${controllers#name=}
		else
			at=/sys/fs/cgroup
			[[ ! -d /sys/fs/cgroup/unified ]] || at=/sys/fs/cgroup/unified
		fi
		mountpoint -q "$at" || continue
		echo "$at ${path%/}/${MACHINE##*/}"
	done </proc/self/cgroup
}

# make_cgroups: one of our own in each hierarchy, so that what dockerd makes is below.
make_cgroups() {
	local at path file
	while read -r at path; do
		mkdir "$at$path"
		for file in cpuset.cpus cpuset.mems; do
			[[ ! -e $at$path/$file ]] || cat "$at${path%/*}/$file" >"$at$path/$file"
		done
	done < <(cgroups)
}

# place: this process in them.
place() {
	local at path
	while read -r at path; do
		echo 0 >"$at$path/cgroup.procs"
	done
}

# furnish ROOT: the first process of the machine makes its mounts, and stays.
furnish() {
	MACHINE=$1
	local at path list
	list=$(cgroups)
	place <<<"$list"
	mount --make-rprivate /
	mount --bind "$MACHINE" "$MACHINE"
	mount -t proc proc "$MACHINE/proc"
	mount -t sysfs sysfs "$MACHINE/sys"
	mount --bind /dev "$MACHINE/dev"
	mount -t devpts -o ptmxmode=666,gid=5 devpts "$MACHINE/dev/pts"
	mount --bind "$MACHINE/dev/pts/ptmx" "$MACHINE/dev/ptmx"
	mount -t tmpfs run "$MACHINE/run"
	mount -t tmpfs tmp "$MACHINE/tmp"
	mount -t tmpfs cgroup "$MACHINE/sys/fs/cgroup"
	while read -r at path; do
		mkdir -p "$MACHINE$at"
		mount --bind "$at$path" "$MACHINE$at"
	done <<<"$list"
	mkdir -p "$MACHINE/var/lib/docker"
	mount -t tmpfs docker "$MACHINE/var/lib/docker" # no overlay on an overlay
	hostname newcomer
	touch "$MACHINE/ready"
	cd "$MACHINE" || return
	pivot_root . .
	umount -l .
	# bash takes the exit status of whoever is left to it, as an init does.
	exec unshare --cgroup -- bash -c 'sleep infinity & wait'
}

# on_machine [LINE]: executes the commands on stdin in the repository, with a
# terminal, and shows them as they come. LINE is typed at the first prompt of a shell.
on_machine() {
	cat >"$MACHINE/home/newcomer/commands"
	: >"$MACHINE/transcript"
	nsenter --target "$machine_pid" --mount --pid --uts --ipc --cgroup --root -- \
		env -i HOME=/root TERM=linux LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
		script -qec 'cd /home/newcomer/berth && bash -eux /home/newcomer/commands' /dev/null < <(type_line "$@") |
		tee "$MACHINE/transcript"
}

# type_line [LINE]: when there is a prompt; then nothing more, while the machine lives.
type_line() {
	(($#)) || return 0
	until grep -aqs '^/ # ' "$MACHINE/transcript"; do
		[[ -e $MACHINE/transcript ]] || return 0
		sleep 0.5
	done
	echo "$1"
	while [[ -e $MACHINE/transcript ]]; do sleep 1; done
}

stop_machine() {
	local at path
	# The first process waits for its sleep, and takes all others with it.
	[[ ! ${machine_pid:-} ]] || pkill -P "$machine_pid" -x sleep || true
	[[ ! ${machine_shell:-} ]] || wait "$machine_shell" || true
	while read -r at path; do
		find "$at$path" -depth -type d -exec rmdir {} + 2>/dev/null || true
	done < <(cgroups)
	rm -rf --one-file-system "$MACHINE"
}
