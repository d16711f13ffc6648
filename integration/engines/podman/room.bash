# SPDX-License-Identifier: Apache-2.0
# A room for Podman and Buildah, which have no daemon: configuration, storage,
# state and a view of the machine of their own, for root and for an ordinary user.
#
#   $ROOM/bin/podman, buildah     as root
#   $ROOM/bin/user COMMAND…       as the user berth-it, who has subordinate ids
#
#   ENGINE_PODMAN=PATH     another Podman than the one in PATH
#   ENGINE_CGROUPS=systemd the other cgroup manager; cgroupfs
#   USER_CGROUPS=systemd   the ordinary user's, who then needs a session of systemd's; cgroupfs

source "$(dirname "${BASH_SOURCE[0]}")/../engines.bash"
PODMAN_DIR=$ENGINES/podman
ENGINE_CGROUPS=${ENGINE_CGROUPS:-cgroupfs}
USER_CGROUPS=${USER_CGROUPS:-cgroupfs}
export PODMAN_DIR ENGINE_CGROUPS USER_CGROUPS
# Seconds for a command of an engine's. Emulated machines are slow.
LIMIT=${BERTH_VM:+600}
LIMIT=${LIMIT:-60}

# podman_room NAME
podman_room() {
	make_room "$1"
	[[ $ENGINE_CGROUPS != systemd ]] || ROOM_CGROUP=$(tr -d - <<<"${ROOM##*/}").slice
	export ROOM_CGROUP
	mkdir -p "$ROOM"/{bin,dev,tmp,root,user/run,user/home/.config/containers}
	chmod 1777 "$ROOM/tmp"
	user_of_room
	room_view
	root_config >"$ROOM/containers.conf"
	sed "s|@ROOM@|$ROOM|" "$PODMAN_DIR/storage.conf" >"$ROOM/storage.conf"
	user_config >"$ROOM/user/home/.config/containers/containers.conf"
	# Podman's choice of a user's would be vfs, unless it finds itself in a new store
	printf '[storage]\ndriver = "overlay"\n' >"$ROOM/user/home/.config/containers/storage.conf"
	chmod 700 "$ROOM/user/run"
	chown -R berth-it: "$ROOM/user"
	room_commands
}

# room_view: a process holds the mount namespace of the room. In it the devices that
# rootless engines need are everybody's, as udev has them, and hugetlb is mounted on
# a hybrid hierarchy, without which crun refuses that.
room_view() {
	local view=$ROOM/view.sh
	cat >"$view" <<-SH
		set -e
		if [ -d /sys/fs/cgroup/unified ] && ! mountpoint -q /sys/fs/cgroup/hugetlb; then
			mkdir $ROOM/hugetlb
			mount -t cgroup -o hugetlb hugetlb $ROOM/hugetlb
		fi
		# netavark's state and Podman's network namespaces have one place for all of the machine.
		mkdir -p /run/containers /run/netns $ROOM/run-containers
		mount --bind $ROOM/run-containers /run/containers
		mount -t tmpfs netns /run/netns
		for node in fuse:10:229 net/tun:10:200; do
			name=\${node%%:*} numbers=\${node#*:}
			[ -e /dev/\$name ] || continue
			mknod -m 666 $ROOM/dev/\${name##*/} c \${numbers%:*} \${numbers#*:}
			mount --bind $ROOM/dev/\${name##*/} /dev/\$name
		done
		# Whose ids "podman run --userns auto" gives out, as root.
		for file in subuid subgid; do
			cp /etc/\$file $ROOM/\$file
			echo containers:1000000:1048576 >>$ROOM/\$file
			mount --bind $ROOM/\$file /etc/\$file
		done
		touch $ROOM/view
		exec sleep infinity
	SH
	start_daemon holder sh "$view"
	wait_for test -e "$ROOM/view"
}

# its_config: the user's configuration, with what is here in place of /usr/local/bin,
# or Debian's conmon with another runtime. Limits need no CAP_SYS_RESOURCE to be set,
# and a proxy of the machine's is no business of a container's.
its_config() {
	sed "s|/usr/local/bin|$BIN|" "$PODMAN_DIR/containers.conf" |
		if ours; then cat; else sed -e "s|^runtime = .*|runtime = \"$ENGINE_RUNTIME\"|" -e '/^conmon_path/d'; fi |
		sed -e '/^\[containers\]/a default_ulimits = ["nofile=1024:1024", "nproc=4000:4000"]\nhttp_proxy = false\nlog_driver = "k8s-file"' \
			-e "/^\[engine\]/a cgroup_manager = \"$1\"\nevents_logger = \"file\"\ninfra_image = \"localhost/infra:latest\"" \
			-e '/^\[network\]/a network_backend = "netavark"'
}
root_config() {
	its_config "$ENGINE_CGROUPS" |
		sed -e "/^\[engine\]/a tmp_dir = \"$ROOM/run\"\nstatic_dir = \"$ROOM/root/libpod\"\nvolume_path = \"$ROOM/root/volumes\"" \
			-e "/^\[network\]/a network_config_dir = \"$ROOM/net\""
}
user_config() { its_config "$USER_CGROUPS"; }

# user_of_room: as in ../../runtime, and kept as there.
user_of_room() {
	id berth-it >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin berth-it
	grep -q '^berth-it:' /etc/subuid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subuid
	grep -q '^berth-it:' /etc/subgid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subgid
}

room_commands() {
	local name enter
	enter="exec nsenter --net=/run/netns/$ROOM_NETNS --mount=/proc/$(daemon_pid holder)/ns/mnt --wdns=\"\$PWD\" --"
	for name in podman buildah; do
		cat >"$ROOM/bin/$name" <<-SH
			#!/bin/sh
			export CONTAINERS_CONF=$ROOM/containers.conf CONTAINERS_STORAGE_CONF=$ROOM/storage.conf TMPDIR=$ROOM/tmp
			$enter $(command_of $name) "\$@"
		SH
	done
	cat >"$ROOM/bin/user" <<-SH
		#!/bin/sh
		export HOME=\${ROOM_HOME:-$ROOM/user}/home XDG_RUNTIME_DIR=\${ROOM_HOME:-$ROOM/user}/run TMPDIR=$ROOM/tmp
		cd \$HOME
		unset CONTAINERS_CONF DBUS_SESSION_BUS_ADDRESS
		$(into_session)
		[ "\$1" != podman ] || { shift; set -- $(command_of podman) "\$@"; }
		$enter setpriv --reuid berth-it --regid berth-it --init-groups --inh-caps=-all -- "\$@"
	SH
	cat >"$ROOM/bin/enter" <<-SH
		#!/bin/sh
		$enter "\$@"
	SH
	chmod 755 "$ROOM"/bin/*
}
# into_session: the lines that bring a process into the user's session, as a login does.
into_session() {
	local uid session
	[[ $USER_CGROUPS == systemd ]] || return 0
	uid=$(id -u berth-it)
	session=/sys/fs/cgroup/user.slice/user-$uid.slice/user@$uid.service/${ROOM##*/}
	mkdir -p "$session"
	chown -R berth-it: "$session"
	cat <<-SH
		export XDG_RUNTIME_DIR=/run/user/$uid DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus
		echo 0 >$session/cgroup.procs
	SH
}
command_of() {
	if [[ $1 == podman && ${ENGINE_PODMAN:-} ]]; then echo "$ENGINE_PODMAN"; else command -v "$1"; fi
}

# room_images: bb is a busybox, infra what a pod's own container is made of; it ends
# when it is asked to.
room_images() {
	local tar path='ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin' infra='ENTRYPOINT ["/bin/sh","-c","trap exit TERM INT; sleep 100000 & wait"]'
	tar=$("$ENGINES/rootfs.sh" busybox)
	chmod 644 "$tar"
	"$ROOM/bin/podman" import -q --change "$path" "$tar" bb >/dev/null &&
		"$ROOM/bin/podman" import -q --change "$infra" "$tar" infra >/dev/null &&
		"$ROOM/bin/user" podman import -q --change "$path" "$tar" bb >/dev/null 2>&1 &&
		"$ROOM/bin/user" podman import -q --change "$infra" "$tar" infra >/dev/null 2>&1
}

# leave_podman: ends what the room's storage and the user's namespaces hold.
leave_podman() {
	"$ROOM/bin/podman" system reset --force >/dev/null 2>&1 </dev/null
	"$ROOM/bin/user" podman system reset --force >/dev/null 2>&1 </dev/null
	leave_room
}
