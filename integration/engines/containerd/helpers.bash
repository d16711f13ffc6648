# SPDX-License-Identifier: Apache-2.0
# Tasks by ctr, pods and containers by the CRI plugin, and a teardown that fails
# when a shim, a mount, a network namespace or a cgroup is left.

bats_require_minimum_version 1.5.0
source "$BATS_TEST_DIRNAME/room.bash"

setup() {
	ID=c$BATS_SUITE_TEST_NUMBER T=$BATS_TEST_TMPDIR
	PIDS=() EXTRA=()
	RUNTIME=(--runtime io.containerd.berth.v2)
	ours || RUNTIME=(--runtime io.containerd.runc.v2 --runc-binary "$ENGINE_RUNTIME")
}

teardown() {
	local bad=0 id left
	[[ -n ${BATS_TEST_COMPLETED:-} ]] || tail -n 5 "$ROOM/containerd.log" | cut -c1-400 >&2
	for id in "${PIDS[@]}"; do kill "$id" 2>/dev/null || true; done
	for id in $(cri ListPodSandbox | jq -r '.items[].id'); do
		stopp "$id" >/dev/null 2>&1 || true
		rmp "$id" >/dev/null || bad=1
	done
	remove_all default || bad=1
	remove_all k8s.io || bad=1
	wait_for no_shims || { echo "shims left: $(shims)" >&2; bad=1; }
	left=$(in_cd grep -F " $ROOM/state/" /proc/self/mountinfo || true)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	wait_for no_cgroups || { echo "cgroups left: $(cgroups)" >&2; bad=1; }
	((bad == 0)) || sweep
	return $bad
}

# sweep: what a case has left is not the next one's.
sweep() {
	local each
	for each in $(shims); do kill -9 "$each" || true; done
	for each in $(cgroups); do xargs -r kill -9 2>/dev/null <"$each/cgroup.procs" || true; done
	wait_for no_shims
	in_cd awk -v r="$ROOM/state/" 'index($5, r) == 1 { print $5 }' /proc/self/mountinfo | tac | while read -r each; do in_cd umount -l "$each"; done
	wait_for sweep_cgroups
}
sweep_cgroups() { cgroups | tac | xargs -r rmdir && no_cgroups; }

# shims [ID]: pids of the room's shims, or of that container's or pod's.
shims() { pgrep -f "containerd-shim-[a-z]*-v2 .*-id ${1:-.*} .*-address $ROOM/" || true; }
no_shims() { [[ -z $(shims) ]]; }
cgroups() { find /sys/fs/cgroup/*"$ROOM_CGROUP" /sys/fs/cgroup"$ROOM_CGROUP" -mindepth 1 -type d 2>/dev/null || true; }
no_cgroups() { [[ -z $(cgroups) ]]; }
# cgroup_file CONTROLLER V1-NAME V2-NAME [PID]: a limit as the kernel has it.
cgroup_file() {
	local pid=${4:-$(pid_of_c)} path
	path=$(sed -n "s/^[0-9]*:\([^:]*,\)*$1\(,[^:]*\)*://p" "/proc/$pid/cgroup")
	if [[ -n $path ]]; then
		cat "/sys/fs/cgroup/$1$path/$2"
	else
		cat "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/$3"
	fi
}
# left: what the room has at this moment, of what pods and tasks are made of.
left() {
	echo "shims $(shims | wc -l)"
	echo "mounts $(in_cd grep -c " $ROOM/" /proc/self/mountinfo)"
	echo "cgroups $(cgroups | wc -l)"
	echo "sockets $(find "$ROOM" -type s | wc -l)"
	echo "state $(find "$ROOM/state" "$ROOM/runtime" -mindepth 2 -type d 2>/dev/null | wc -l)"
	echo "addresses $(find "$ROOM/ipam" -name '10.*' | wc -l)"
	echo "links $(in_room ip -o link | wc -l)"
	echo "rules $(in_room iptables-save | wc -l)"
}
cgroup_v1() { [[ ! -e /sys/fs/cgroup/cgroup.controllers ]]; }

# --- ctr

# run_t ARG…: ctr run in the foreground, removed afterwards; EXTRA are its flags.
run_t() {
	try ctr_ run --rm "${RUNTIME[@]}" --cgroup "$ROOM_CGROUP/$ID" "${EXTRA[@]}" localhost/bb:1 "$ID" "$@"
}
# detach_t ARG…: in the background, as $ID or $AS_ID.
detach_t() {
	local id=${AS_ID:-$ID}
	try ctr_ run -d "${RUNTIME[@]}" --cgroup "$ROOM_CGROUP/$id" "${EXTRA[@]}" localhost/bb:1 "$id" "$@"
	assert_ok
}
exec_t() { try ctr_ tasks exec --exec-id "e$RANDOM$RANDOM" "${EXTRA[@]}" "$ID" "$@"; }
state_t() { ctr_ tasks ls | awk -v id="${1:-$ID}" '$1 == id { print $3 }'; }
runs_t() { [[ $(state_t "$@") == RUNNING ]]; }
pid_t() { ctr_ tasks ls | awk -v id="${1:-$ID}" '$1 == id { print $2 }'; }
is_state_t() { [[ $(state_t) == "$1" ]]; }
# watch_events: what is published from here on is in $T/events, when it has one of ours.
watch_events() {
	nsenter --net="/run/netns/$ROOM_NETNS" -- ctr events >"$T/events" 2>&1 </dev/null 3>&- &
	PIDS+=($!)
	wait_for seen_events
}
# A label's change is an event, and makes sure that events come.
seen_events() {
	ctr_ namespaces label default "seen=$RANDOM" && [[ -s $T/events ]]
}
events_of() { grep -F "\"${1:-$ID}\"" "$T/events" | grep -o '/tasks/[a-z-]*' | sed 's|/tasks/||' | xargs; }
has_event() { events_of | grep -qw -- "$1"; }

# --- CRI

# pod NAME [JQ]: a pod as a kubelet asks for it, changed by JQ; its id is $P. Its
# containers' logs are in $T/NAME.
pod() {
	POD_CONFIG=$T/$1.pod.json
	jq -n --arg name "$1" --arg uid "$ID-$1" --arg logs "$T/$1" --arg cgroup "$ROOM_CGROUP" '{
		metadata: {name: $name, uid: $uid, namespace: "default"}, hostname: $name, log_directory: $logs,
		linux: {cgroup_parent: $cgroup, security_context: {namespace_options: {pid: "CONTAINER"}}}
	}' | jq "${2:-.}" >"$POD_CONFIG"
	try cri RunPodSandbox "$(jq -c --arg handler "${HANDLER-$ENGINE_RUNTIME}" '{config: ., runtime_handler: $handler}' "$POD_CONFIG")"
	P=
	((status != 0)) || P=$(jq -r .pod_sandbox_id <<<"$output")
	[[ -n $P || -n ${MAY_FAIL:-} ]] || fail "want a pod"
}
# create NAME JQ [COMMAND…]: a container in the last pod; its id is $C.
create() {
	local name=$1 change=$2
	shift 2
	try cri CreateContainer "$(jq -c --arg pod "$P" --arg name "$name" '{
		pod_sandbox_id: $pod, sandbox_config: ., config: ({
			metadata: {name: $name, attempt: 0}, image: {image: "localhost/bb:1"}, command: $ARGS.positional, log_path: "\($name).log",
			linux: {security_context: {namespace_options: .linux.security_context.namespace_options}}
		} | '"$change"')
	}' "$POD_CONFIG" --args -- "$@")"
	C=
	((status != 0)) || C=$(jq -r .container_id <<<"$output")
}
# of ID: the field that most calls have.
of() { echo "{\"container_id\": \"${1:-$C}\"}"; }
start_c() { try cri StartContainer "$(of "$@")"; }
# container NAME JQ COMMAND…: created and started.
container() {
	create "$@"
	assert_ok
	start_c
	assert_ok
}
# once JQ COMMAND…: one that ends; its output and exit code are $output and $status.
once() {
	local name=once$RANDOM
	container "$name" "$@"
	wait_for is_c CONTAINER_EXITED
	output=$(logged "$name")
	status=$(status_c .exit_code)
}
stop_c() { try cri StopContainer "{\"container_id\": \"${2:-$C}\", \"timeout\": $1}"; }
rm_c() { try cri RemoveContainer "$(of "$@")"; }
stopp() { cri StopPodSandbox "{\"pod_sandbox_id\": \"${1:-$P}\"}"; }
rmp() { cri RemovePodSandbox "{\"pod_sandbox_id\": \"${1:-$P}\"}"; }
# in_c COMMAND…: execsync in the last container.
in_c() { try cri execsync "$C" "$@"; }
status_c() { cri ContainerStatus "$(of "${2:-$C}")" | jq -r ".status | $1"; }
status_p() { cri PodSandboxStatus "{\"pod_sandbox_id\": \"${2:-$P}\"}" | jq -r ".status | $1"; }
info_c() { cri ContainerStatus "{\"container_id\": \"${2:-$C}\", \"verbose\": true}" | jq -r ".info.info | fromjson | $1"; }
info_p() { cri PodSandboxStatus "{\"pod_sandbox_id\": \"${2:-$P}\", \"verbose\": true}" | jq -r ".info.info | fromjson | $1"; }
pid_of_c() { info_c .pid "$@"; }
is_c() { [[ $(status_c .state "${2:-$C}") == "$1" ]]; }
# logged NAME: what a container has written, without the log's own words.
logged() { sed -E 's/^[^ ]+ (stdout|stderr) [FP] ?//' "$(jq -r .log_directory "$POD_CONFIG")/$1.log"; }
has_logged() { logged "$1" | grep -q -- "$2"; }
# since VERSION "reason": containerd's.
since() { ! cd_older "$1" || skip "containerd $CD_VERSION: $2"; }
