# SPDX-License-Identifier: Apache-2.0
# Podman with our monitor and our runtime, below a directory of this suite's:
# storage, state, configuration and cgroups. The same cases on others, to see
# that what they want is what conmon does:
#
#   MONITOR=/usr/bin/conmon RUNTIME=/usr/bin/crun integration/run.sh integration/shim/podman.bats

podman_setup_file() {
	local applet
	# short, and open for the rootless case: not below the directories of bats
	P=$(mktemp -d /tmp/berth-podman.XXXX)
	chmod 711 "$P"
	PODMAN_CGROUP=/berth-podman-$BATS_ROOT_PID
	MONITOR=$(realpath "${MONITOR:-$BIN/berth-monitor}") RUNTIME=$(realpath "${RUNTIME:-$BIN/berth}")
	CONTAINERS_CONF=$P/containers.conf
	export P PODMAN_CGROUP MONITOR RUNTIME CONTAINERS_CONF
	# Limits that need no CAP_SYS_RESOURCE to set.
	cat >"$CONTAINERS_CONF" <<-TOML
		[containers]
		default_ulimits = ["nofile=1024:1024", "nproc=10000:10000"]
		[engine]
		events_logger = "file"
		runtime_supports_nocgroups = ["berth", "crun"]
		infra_image = "localhost/infra:latest"
		[network]
		network_config_dir = "$P/net"
	TOML
	mkdir -p "$P"/img/{bin,tmp,etc}
	chmod 1777 "$P/img/tmp"
	cp "$(command -v busybox)" "$P/img/bin/busybox"
	for applet in sh sleep cat echo ls id head tail true false mkdir rm touch ps kill tty stty dd seq usleep yes tr readlink pwd env wc ip; do
		ln -s busybox "$P/img/bin/$applet"
	done
	printf 'root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n' >"$P/img/etc/passwd"
	echo text >"$P/img/etc/plain"
	tar -C "$P/img" -cf "$P/image.tar" .
	podman_ import -q "$P/image.tar" bb >/dev/null
	podman_ import -q --change 'ENTRYPOINT ["/bin/sleep","100000"]' "$P/image.tar" infra >/dev/null
	CGO_ENABLED=0 go build -C "$BATS_TEST_DIRNAME/.." -o "$P/recvtty" ./recvtty
}

podman_teardown_file() {
	local dir
	podman_ pod rm -fa -t 0 >/dev/null 2>&1
	podman_ rm -fa -t 0 >/dev/null 2>&1
	for dir in /sys/fs/cgroup/*"$PODMAN_CGROUP" /sys/fs/cgroup"$PODMAN_CGROUP"; do
		[[ ! -d $dir ]] || find "$dir" -depth -type d -exec rmdir {} \; 2>/dev/null
	done
	rm -rf "$P"
}

podman_setup() {
	ID=p$BATS_TEST_NUMBER # "p": not the beginning of some container's id
	T=$P/$ID
	mkdir "$T"
	chmod 755 "$T"
	cd "$T" || return # conmon 2.1.6 leaves a file where it was started
	EXTRA=() EXEC=() PIDS=()
}

# podman_teardown: removes what the case made, and fails when something is left
# of it then.
podman_teardown() {
	local bad=0 pid left
	for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
	[[ ! -e $T/user ]] || end_user
	[[ ! -e $T/pod && ! -e $T/pod.yaml ]] || podman_ pod rm -fa -t 0 >/dev/null 2>&1 || true
	podman_ rm -fa -t 0 >/dev/null 2>&1 || true
	wait_for no_monitors || { echo "monitors left: $(pgrep -af -- "$P/root" | cut -c1-200)" >&2; bad=1; }
	! mountpoint -q "$T/small" || umount "$T/small"
	left=$(grep -F " $P/" /proc/self/mountinfo || true)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	# Podman itself leaves the parents, and in some hierarchies a pod's.
	left=$(find /sys/fs/cgroup/*"$PODMAN_CGROUP" -type d -name "libpod-*" 2>/dev/null | head -n 3)
	[[ -z $left ]] || { echo "cgroups left: $left" >&2; bad=1; }
	left=$(find "$P/tmp/exits" -type f)
	[[ -z $left ]] || { echo "exit files left: $left" >&2; bad=1; }
	left=$(grep -rlsF "$P/" "/run/$(basename "$RUNTIME")" || true)
	[[ -z $left ]] || { echo "runtime's state left: $left" >&2; bad=1; }
	left=$(find "$P/root/vfs-containers" -mindepth 1 -maxdepth 1 -type d)
	[[ -z $left ]] || { echo "containers left: $left" >&2; bad=1; }
	return $bad
}

# The state is in every command line: the monitors', and the clean-ups' they start.
no_monitors() { ! pgrep -f -- "$P/(root|$ID/user)" >/dev/null; }

# podman_flags [DIR]: the state is below $P, or another directory.
podman_flags() {
	FLAGS=(--root "${1:-$P}/root" --runroot "${1:-$P}/runroot" --tmpdir "${1:-$P}/tmp" --storage-driver vfs
		--cgroup-manager cgroupfs --conmon "$MONITOR" --runtime "$RUNTIME")
}
podman_() {
	local FLAGS
	podman_flags
	timeout --foreground -k 1 30 podman "${FLAGS[@]}" "$@" 3>&-
}
# ours: it is our monitor that is tested, not another as a cross-check.
ours() { [[ $(realpath "$MONITOR") == */berth-monitor ]]; }

# become_user: user_ is Podman of an ordinary user's with subordinate ids, as in ../runtime.
become_user() {
	id berth-it >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin berth-it
	grep -q '^berth-it:' /etc/subuid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subuid
	grep -q '^berth-it:' /etc/subgid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subgid
	mkdir -p "$T/user/home" "$T/user/run"
	sed "s|$P/net|$T/user/net|" "$CONTAINERS_CONF" >"$T/user/containers.conf"
	chmod 700 "$T/user/run"
	chown -R berth-it: "$T/user"
}
user_() {
	local FLAGS
	podman_flags "$T/user"
	(cd "$T/user" && timeout --foreground -k 1 30 setpriv --reuid berth-it --regid berth-it --init-groups --inh-caps=-all -- \
		env -i "PATH=$PATH" "HOME=$T/user/home" "XDG_RUNTIME_DIR=$T/user/run" "CONTAINERS_CONF=$T/user/containers.conf" \
		podman "${FLAGS[@]}" "$@" 3>&-)
}
# end_user: migrate ends the process that holds the user's namespaces.
end_user() {
	user_ rm -fa -t 0 >/dev/null 2>&1
	user_ system migrate >/dev/null 2>&1
}

# podman_line ARG…: the same as a shell's command line, for script(1).
podman_line() {
	local FLAGS
	podman_flags
	printf '%q ' podman "${FLAGS[@]}" "$@"
}

# flags_of_run: what every container of a case is made with.
flags_of_run() { RUN=(--network none --cgroup-parent "$PODMAN_CGROUP/$ID" "${EXTRA[@]}"); }
# run_in ARG…: podman run in the foreground, removed afterwards, streams untouched.
run_in() {
	local RUN
	flags_of_run
	podman_ run --rm "${RUN[@]}" bb "$@"
}
run_c() { try run_in "$@"; }
# keep_c ARG…: in the foreground as $ID, and not removed.
keep_c() {
	local RUN
	flags_of_run
	try podman_ run --name "$ID" "${RUN[@]}" bb "$@"
}
# detach_c ARG…: in the background as $ID, or as $AS_ID.
detach_c() {
	local RUN
	flags_of_run
	podman_ run -d --name "${AS_ID:-$ID}" "${RUN[@]}" bb "$@" >"$T/detach" 2>&1 </dev/null || {
		cat "$T/detach" >&2
		return 1
	}
}
idle_c() { detach_c sleep 1000; }
exec_c() { try podman_ exec "${EXEC[@]}" "$ID" "$@"; }
# on_tty COMMAND-LINE: it runs on a terminal of 33 lines and 77 columns, with the caller's stdin.
on_tty() { timeout -k 1 20 script -qec "stty rows 33 cols 77; $1" /dev/null 3>&- | tr -d '\r'; }

show() { podman_ inspect --format "$1" "${2:-$ID}"; }
is_shown() { [[ $(show "$1") == "$2" ]]; }
wait_exited() { wait_for is_shown '{{.State.Status}}' exited; }
# wait_file NAME: the container, which has $T as /t, has made a file.
wait_file() { wait_for test -e "$T/$1"; }
monitor_pid() { cat "$(show '{{.ConmonPidFile}}')"; }
gone() { [[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status"; }
logged() { podman_ logs "$ID" 2>&1; }
has_logged() { logged | grep -q -- "$1"; }
# events_of: what has happened to the container, a word each.
events_of() { podman_ events --stream=false --filter "container=$ID" --format '{{.Status}}' | xargs; }
md5_of() { md5sum | cut -d' ' -f1; }
