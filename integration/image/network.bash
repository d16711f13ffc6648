# SPDX-License-Identifier: Apache-2.0
# Networks that are made in a network and with a /run of the case's own: nothing
# of the machine's bridges, rules and namespaces is touched.

load helpers

setup() {
	setup_case
	local plugin
	for plugin in bridge host-local portmap firewall; do
		[[ -x /usr/lib/cni/$plugin ]] || skip "no CNI plugin $plugin (hint: apt-get install containernetworking-plugins)"
	done
	command -v iptables >/dev/null || skip "no iptables, which the plugins need"
	get bb
	enter_lab
}

teardown() {
	[[ ! ${LAB:-} ]] || kill "$LAB" || true
	teardown_case
}

# enter_lab: a process that keeps the case's namespaces.
enter_lab() {
	mkfifo "$T/lab"
	unshare -nm sh -c "mount --make-rprivate / && mount -t tmpfs lab /run && ip link set lo up && echo ready >$T/lab && exec sleep 1000" \
		>/dev/null 2>&1 3>&- </dev/null &
	LAB=$!
	read -r -t 10 _ <>"$T/lab"
}
# lab COMMAND…: there.
lab() { nsenter -t "$LAB" -n -m --wd="$T" "$@"; }

# run_lab NAME FLAG… IMAGE ARG…: berth-image run there, in the foreground.
run_lab() {
	local name=$1
	shift
	timeout --foreground -k 1 60 nsenter -t "$LAB" -n -m --wd="$T" "$BIN/berth-image" --root "$STORE" -q run --pull never \
		--name "$ID-$name" --runtime-arg=--root --runtime-arg="$T/runtime" "$@" 3>&-
}
# start_lab NAME FLAG… IMAGE ARG…: in the background; it says ready in its own
# way, into $T/NAME.
start_lab() {
	local name=$1
	run_lab "$@" >"$T/$name" 2>&1 </dev/null &
	RUNNING=$!
	wait_for grep -q ready "$T/$name" || fail "$(<"$T/$name")"
}
# run_pid NAME: of the berth-image there, not of those who started it.
run_pid() { pgrep -fo -- "^$BIN/berth-image .*--name $ID-$1 "; }
# end_lab NAME: the container of start_lab gets SIGTERM, and its run ends.
end_lab() {
	kill "$(run_pid "$1")"
	wait "$RUNNING" || true
}

# nothing_left: no attachment, no address, no namespace, no rule, no end of a
# veth pair.
nothing_left() {
	local left
	left=$(lab sh -c 'find /run/berth-image/attachments /run/netns -mindepth 1; find /run/berth-image/addresses -name "10.*"
		iptables-save | grep 10.89.; ip -br link show type veth' 2>/dev/null)
	[[ -z $left ]] || fail "left: $left"
}

# READY: a shell that says ready and waits; SIGTERM ends it.
export READY="trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done"
