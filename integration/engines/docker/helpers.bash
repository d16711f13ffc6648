# SPDX-License-Identifier: Apache-2.0
# Containers by the docker client, one name per case, and a teardown that fails
# when a shim, a mount or a cgroup is left.

bats_require_minimum_version 1.5.0
source "$BATS_TEST_DIRNAME/daemon.bash"

setup() {
	ID=d$BATS_SUITE_TEST_NUMBER T=$BATS_TEST_TMPDIR
	EXTRA=() EXEC=()
	chmod 755 "$T"
}

teardown() { containers_teardown; }
containers_teardown() {
	local bad=0 left
	[[ -n ${BATS_TEST_COMPLETED:-} ]] || tail -n 3 "$ROOM/dockerd.log" >&2
	docker_ ps -aq | xargs -r "$(client)" -H "unix://$ROOM/docker.sock" rm -fv >/dev/null 2>&1 3>&-
	wait_for no_shims || { echo "shims left: $(shims)" >&2; bad=1; }
	left=$(find /sys/fs/cgroup/*"$ROOM_CGROUP" /sys/fs/cgroup"$ROOM_CGROUP" -mindepth 1 -type d ! -path '*/buildkit' 2>/dev/null)
	[[ -z $left ]] || { echo "cgroups left: $left" >&2; bad=1; }
	left=$(mounts_of_containers)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	return $bad
}

# Ours has the socket in its command line, runc's shim too.
shims() { pgrep -f -- "containerd-shim.*$ROOM/" || true; }
no_shims() { [[ -z $(shims) ]]; }
mounts_of_containers() {
	awk -v r="$ROOM/" 'index($5, r) == 1 && $5 ~ /overlay2|netns\/|shm|rootfs/ { print $5 }' "/proc/$(daemon_pid mounts)/mountinfo" |
		grep -v '/netns/default$'
}

# run_c ARG…: in the foreground, removed afterwards. EXTRA are flags of docker run.
run_c() { try docker_ run --rm --name "$ID" "${EXTRA[@]}" bb "$@"; }
# keep_c ARG…: the same, but it stays.
keep_c() { try docker_ run --name "$ID" "${EXTRA[@]}" bb "$@"; }
# detach_c ARG…: in the background, as $ID or the name in $AS_ID.
detach_c() {
	docker_ run -d --name "${AS_ID:-$ID}" "${EXTRA[@]}" "${IMAGE:-bb}" "$@" >"$T/detach" 2>&1 </dev/null || {
		cat "$T/detach" >&2
		return 1
	}
}
idle_c() { detach_c sleep 1000; }
exec_c() { try docker_ exec "${EXEC[@]}" "$ID" "$@"; }
# sh_c LINE: its output, read inside the running container.
sh_c() { docker_ exec "$ID" sh -c "$1"; }
# on_tty COMMAND…: on a terminal of 33 lines and 77 columns, with the caller's stdin.
on_tty() {
	local line
	printf -v line '%q ' "$(client)" -H "unix://$ROOM/docker.sock" "$@"
	timeout -k 1 20 script -qec "stty rows 33 cols 77; $line" /dev/null 3>&- | tr -d '\r'
}

show() { docker_ inspect -f "$1" "${2:-$ID}"; }
is_shown() { [[ $(show "$1" "${3:-$ID}") == "$2" ]]; }
wait_status() { wait_for is_shown '{{.State.Status}}' "$1" "${2:-$ID}"; }
logged() { docker_ logs "${1:-$ID}" 2>&1; }
has_logged() { logged "${2:-$ID}" | grep -q -- "$1"; }
full_id() { show '{{.Id}}' "${1:-$ID}"; }

# room_census: a number a line of what containers are made of, here and where the
# daemon is.
room_census() {
	local machine
	machine=/proc/$(daemon_pid mounts)
	census | grep -vE '^(netns|sockets)'
	# A killed dockerd leaves that of its network's controller.
	echo "sockets $(find "$ROOM" -type s ! -path '*/libnetwork/*' | wc -l)"
	echo "mounts inside $(grep -c " $ROOM" "$machine/mountinfo")"
	echo "netns $(grep -c " $ROOM/run/netns/.* - nsfs " "$machine/mountinfo")"
	echo "veth $(in_room ip -o link | grep -c veth)"
	echo "shims $(shims | wc -l)"
	echo "shims' sockets $(find "$machine/root/run/containerd/s" -type s 2>/dev/null | wc -l)"
	echo "runtime's states $(find "$ROOM"/run/runtime-* -mindepth 2 -maxdepth 2 ! -name '.*' 2>/dev/null | wc -l)"
}
# assert_census BEFORE: soon, since docker tidies up after itself for a moment.
assert_census() {
	local i
	for ((i = 0; i < 40; i++)); do
		[[ $(room_census) != "$1" ]] || return 0
		sleep 0.25
	done
	assert_eq "$(room_census)" "$1"
}

# limit V1 V2: a file of the container's cgroup, as seen from outside.
limit() {
	local id dir
	id=$(full_id)
	if [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
		cat "/sys/fs/cgroup$ROOM_CGROUP/$id/$2"
		return
	fi
	for dir in /sys/fs/cgroup/"${1%%/*}" "/proc/$(daemon_pid mounts)/root/mnt/${1%%/*}"; do
		[[ ! -d $dir ]] || { cat "$dir$ROOM_CGROUP/$id/${1#*/}" && return; }
	done
}
on_v2() { [[ -e /sys/fs/cgroup/cgroup.controllers ]]; }
