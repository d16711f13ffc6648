# SPDX-License-Identifier: Apache-2.0
# What every file of the suite uses: a bundle of its own per test, the runtime
# with a state root of its own, assertions, and a teardown that fails when
# something is left behind.

bats_require_minimum_version 1.5.0

case ${RUNTIME##*/} in
runc*) RT=runc ;;
crun*) RT=crun ;;
*) RT=berth ;;
esac

setup() { setup_bundle; }
teardown() { teardown_bundle; }

# ---- what a case needs -------------------------------------------------

# needs_berth REASON: the behaviour is Berth's own.
needs_berth() {
	[[ $RT == berth ]] || skip "needs berth: $1"
}

# lacks NAME [SINCE] REASON: that runtime does not do it (before version SINCE).
lacks() {
	[[ $RT == "$1" ]] || return 0
	if (($# == 3)) && [[ $(printf '%s\n' "$2" "${RT_VERSION%%[-+]*}" | sort -V | head -n1) == "$2" ]]; then
		return 0
	fi
	skip "$1 lacks it: ${*: -1}"
}

# requires FEATURE…: what the machine must have. Our test machines promise all
# of them, so with BERTH_CI=1 an absent one is a failure and not a skip.
requires() {
	local feature
	for feature; do
		"has_$feature" >/dev/null 2>&1 && continue
		if [[ ${BERTH_CI:-} == 1 ]]; then
			echo "this machine promises $feature and does not have it" >&2
			return 1
		fi
		skip "machine lacks $feature"
	done
}
has_cgroupv1() { [[ -d /sys/fs/cgroup/pids ]]; }
has_userns() { [[ $(cat /proc/sys/user/max_user_namespaces) -gt 0 ]]; }
has_timens() { [[ -e /proc/self/ns/time ]]; }
has_subids() { command -v newuidmap && command -v newgidmap && grep -q '^berth-it:' /etc/subuid; }
has_seccomp() { grep -q '^Seccomp:' /proc/self/status; }
has_keyring() { [[ -e /proc/keys ]]; }
has_dummy() { ip link add berthprobe type dummy && ip link del berthprobe; }
has_veth() { ip link add berthprobe type veth peer name berthprobe2 && ip link del berthprobe; }
has_unshare_net() { unshare -n true; }

# ---- bundle ------------------------------------------------------------

setup_bundle() {
	ID=it$BATS_ROOT_PID-$BATS_SUITE_TEST_NUMBER
	T=$BATS_TEST_TMPDIR
	ROOT=$T/root
	BUNDLE=$T/bundle
	ROOTFS=$BUNDLE/rootfs
	CONFIG=$BUNDLE/config.json
	AS=()
	LEAK_OK=
	chmod 711 "$T"
	mkdir "$BUNDLE"
	cp -al "$ROOTFS_TEMPLATE" "$ROOTFS"
	sed "s/@ID@/$ID/" "$BATS_TEST_DIRNAME/config.json" >"$CONFIG"
}

# another_bundle NAME: a second bundle, whose path is printed.
another_bundle() {
	mkdir "$T/$1"
	cp -al "$ROOTFS_TEMPLATE" "$T/$1/rootfs"
	sed "s/@ID@/$ID-$1/" "$BATS_TEST_DIRNAME/config.json" >"$T/$1/config.json"
	echo "$T/$1"
}

# update_config FILTER [jq options]: edits the bundle's config.json.
update_config() {
	jq "$@" "$CONFIG" >"$CONFIG.new" && mv "$CONFIG.new" "$CONFIG"
}
set_args() {
	jq '.process.args = $ARGS.positional' "$CONFIG" --args -- "$@" >"$CONFIG.new" && mv "$CONFIG.new" "$CONFIG"
}
set_script() { set_args sh -c "$1"; }
# add_caps CAP…: to bounding, effective and permitted.
add_caps() {
	local cap
	for cap; do
		update_config ".process.capabilities |= with_entries(.value += [\"$cap\"])"
	done
}
# own_rootfs FILE…: the template's files are hard links; this makes real ones.
own_rootfs() {
	local f
	for f; do
		cp -a "$ROOTFS/$f" "$T/own" && mv "$T/own" "$ROOTFS/$f"
	done
}

# ---- the runtime -------------------------------------------------------

# rt ARG…: the runtime with this test's state root, never longer than 20 s.
rt() {
	timeout --foreground -k 1 20 "${AS[@]}" "$RUNTIME" --root "$ROOT" "$@"
}
# try COMMAND…: sets $status and $output (both streams) as `run` of bats does,
# but through a file: a pipe would stay open as long as a stray process holds it.
try() {
	status=0
	"$@" >"$T/try" 2>&1 3>&- || status=$?
	output=$(<"$T/try")
}
run_ct() { try rt run --bundle "$BUNDLE" "$@" "$ID" </dev/null; }
create_ct() { rt create --bundle "$BUNDLE" "$@" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&-; }
detach_ct() { rt run --detach --bundle "$BUNDLE" "$@" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&-; }
start_ct() { rt start "${1:-$ID}"; }
# idle_ct: a running container that does nothing.
idle_ct() {
	set_args sleep 1000
	detach_ct "$@"
}
exec_ct() { try rt exec "$ID" "$@" </dev/null; }
state_of() { rt state "${2:-$ID}" | jq -r ".$1"; }
status_of() { state_of status "$@"; }
# created_fails: create must fail, with what it printed in $output and $status.
create_fails() {
	try rt create --bundle "$BUNDLE" "$@" "$ID" </dev/null
	assert_fails
	assert_nothing_left
}

# cgroups_of ID: the directories of its cgroup, on v1 or v2, if they are there.
cgroups_of() {
	{
		compgen -G "/sys/fs/cgroup/*/berth-it/$1" || true
		compgen -G "/sys/fs/cgroup/berth-it/$1" || true
	} | xargs -r -d '\n' realpath -- | sort -u # cpu and cpuacct may be links to one
}
# freeze_ct, thaw_ct: as somebody else than the runtime would.
freeze_ct() { freezer_write FROZEN 1; }
thaw_ct() { freezer_write THAWED 0; }
freezer_write() {
	if has_cgroupv1; then
		echo "$1" >"/sys/fs/cgroup/freezer/berth-it/$ID/freezer.state"
	else
		echo "$2" >"/sys/fs/cgroup/berth-it/$ID/cgroup.freeze"
	fi
}

# wait_for COMMAND…: at most five seconds.
wait_for() {
	local i
	for ((i = 0; i < 250; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.02
	done
	echo "never came true: $*" >&2
	return 1
}
gone() { [[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status"; }
wait_gone() { wait_for gone "$1"; }
is_status() { [[ $(rt state "${2:-$ID}" 2>/dev/null | jq -r .status) == "$1" ]]; }
wait_status() { wait_for is_status "$@"; }
wait_output() { wait_for grep -q -- "$1" "${2:-$T/out}"; }

# ---- rootless ----------------------------------------------------------

# become_user: from here on the runtime runs as berth-it, with a bundle of his
# whose ids map to him and, with "subids", to his subordinate ones.
become_user() {
	local uid gid
	uid=$(id -u berth-it) gid=$(id -g berth-it)
	mkdir -p "$T/xdg"
	AS=(setpriv --reuid "$uid" --regid "$gid" --clear-groups --inh-caps=-all --
		env -i "PATH=$PATH" "XDG_RUNTIME_DIR=$T/xdg")
	ROOT=$T/xdg/berth-it
	find "$BUNDLE" -type d -exec chown "$uid:$gid" {} +
	chown "$uid:$gid" "$T/xdg" "$T" "$CONFIG"
	update_config --argjson uid "$uid" --argjson gid "$gid" '
		.linux.namespaces = [{"type":"user"},{"type":"pid"},{"type":"ipc"},{"type":"uts"},{"type":"mount"},{"type":"network"}]
		| .linux.uidMappings = [{"containerID":0,"hostID":$uid,"size":1}]
		| .linux.gidMappings = [{"containerID":0,"hostID":$gid,"size":1}]
		| del(.linux.cgroupsPath)
		| .mounts |= map(.options |= ((. // []) - ["gid=5"]))'
	if [[ ${1:-} == subids ]]; then
		update_config '
			.linux.uidMappings += [{"containerID":1,"hostID":700000,"size":65536}]
			| .linux.gidMappings += [{"containerID":1,"hostID":700000,"size":65536}]'
	fi
}
# with_userns: a rootful container in a user namespace; ids are shifted by 100000.
with_userns() {
	update_config '.linux.namespaces += [{"type":"user"}]
		| .linux.uidMappings = [{"containerID":0,"hostID":100000,"size":65536}]
		| .linux.gidMappings = [{"containerID":0,"hostID":100000,"size":65536}]'
	find "$BUNDLE" -type d -exec chown 100000:100000 {} +
	chmod 755 "$T"
}

# ---- assertions --------------------------------------------------------

fail() {
	printf '%s\n' "$1" "status: ${status-}" "output: ${output-}" >&2
	return 1
}
assert_ok() { ((status == 0)) || fail "want success"; }
assert_status() { ((status == $1)) || fail "want exit status $1"; }
# assert_fails [WORDS]: failed on purpose, not by a time limit, signal or panic.
assert_fails() {
	((status != 0)) || fail "want a failure" || return 1
	[[ ! $status =~ ^(2|124|134|137|139|143)$ ]] || fail "killed, timed out or a panic" || return 1
	[[ $output != *"goroutine "* ]] || fail "stack trace" || return 1
	(($# == 0)) || assert_has "$1"
}
assert_output() { [[ $output == "$1" ]] || fail "want output: $1"; }
assert_has() { [[ $output == *"$1"* ]] || fail "want in output: $1"; }
assert_lacks() { [[ $output != *"$1"* ]] || fail "do not want in output: $1"; }
assert_matches() { [[ $output =~ $1 ]] || fail "want a match of: $1"; }
assert_eq() { [[ $1 == "$2" ]] || fail "got $(printf %q "$1"), want $(printf %q "$2")"; }
# assert_error WORDS…: failed, and one of the texts is in the message.
assert_error() {
	local words
	assert_fails || return 1
	for words; do
		[[ $output == *"$words"* ]] && return 0
	done
	fail "want one of these in the error: $*"
}

# assert_unknown: what engines take for "there is no such container".
assert_unknown() {
	case $RT in
	crun) assert_error "does not exist" "No such file or directory" ;;
	*) assert_fails "does not exist" ;;
	esac
}

# assert_nothing_left [ID]: no state, no cgroup, no mount.
assert_nothing_left() {
	local id=${1:-$ID} left
	[[ ! -e $ROOT/$id ]] || fail "state directory left: $ROOT/$id" || return 1
	left=$(cgroups_of "$id")
	[[ -z $left ]] || fail "cgroups left: $left" || return 1
	left=$(grep -F "$ROOT" /proc/self/mountinfo || true)
	[[ -z $left ]] || fail "mounts left: $left"
}

teardown_bundle() {
	local dir id left bad=0
	for dir in "$ROOT"/*/; do
		[[ -d $dir ]] || continue
		id=${dir%/}
		rt delete --force "${id##*/}" || bad=1
	done
	if [[ -d $ROOT ]]; then
		left=$(find "$ROOT" -mindepth 1 -maxdepth 1 -name "$ID")
		[[ -z $left ]] || { echo "state left: $left" >&2; bad=1; }
	fi
	left=$(grep -F "$T" /proc/self/mountinfo | cut -d' ' -f5 || true)
	if [[ -n $left ]]; then
		echo "mounts left: $left" >&2
		tac <<<"$left" | xargs -r -n1 umount -l
		bad=1
	fi
	left=$(cgroups_of "$ID")
	if [[ -n $left ]]; then
		cgroups_of "$ID" | sed "s|\$|/cgroup.procs|" | xargs -r cat 2>/dev/null | sort -u | xargs -r kill -9 2>/dev/null || true
		sleep 0.1
		# shellcheck disable=SC2086 # one path a word
		find $left -depth -type d -exec rmdir {} + 2>/dev/null || true
		[[ -n $LEAK_OK ]] || { echo "cgroups left: $left" >&2; bad=1; }
	fi
	return $bad
}

# tolerate_leak NAME REASON: that runtime is known to leave a cgroup here.
tolerate_leak() {
	[[ $RT != "$1" ]] || LEAK_OK=1
}

# ---- cgroups -----------------------------------------------------------

# cgroup_version: v2 with a unified hierarchy, else v1; a hybrid is v1.
cgroup_version() {
	if [[ $(stat -f -c %T /sys/fs/cgroup) == cgroup2fs ]]; then echo v2; else echo v1; fi
}
on_v2() { [[ $(cgroup_version) == v2 ]]; }
only_v1() { ! on_v2 || skip "cgroup v1 only: $1"; }
only_v2() { on_v2 || skip "cgroup v2 only: $1"; }
by_version() { if on_v2; then echo "$2"; else echo "$1"; fi; }

# hierarchy CONTROLLER: the mount point that has it, and the cgroup mounted there.
hierarchy() {
	local type=cgroup option=$1
	! on_v2 || type=cgroup2 option=
	awk -v type="$type" -v option="$option" '{
		split($0, half, " - "); split(half[2], fs, " ")
		if (fs[1] == type && (option == "" || ("," fs[3] ",") ~ ("," option ","))) { print $5, $4; exit }
	}' /proc/self/mountinfo
}
# needs_controller V1 [V2]: the names may differ: blkio io.
needs_controller() {
	if on_v2; then
		grep -qw -- "${2:-$1}" /sys/fs/cgroup/cgroup.controllers || skip "machine lacks the ${2:-$1} controller"
	else
		[[ -n $(hierarchy "$1") ]] || skip "machine lacks the $1 controller"
	fi
}
needs_systemd() {
	[[ -d /run/systemd/system && $(</proc/1/comm) == systemd ]] || skip "systemd is not init here"
}

# cgroup_dir CONTROLLER [PID]: the directory of a process' cgroup, init's by
# default. The controller does not matter on v2.
cgroup_dir() {
	local pid=${2:-} mount root path
	: "${pid:=$(state_of pid)}"
	read -r mount root < <(hierarchy "$1")
	if on_v2; then
		path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
	else
		path=$(sed -nE "s/^[0-9]+:([^:]*,)?(name=)?$1(,[^:]*)?:(.*)/\4/p" "/proc/$pid/cgroup")
	fi
	[[ $root == / ]] || path=${path#"$root"}
	echo "$mount${path%/}"
}
# limit_of V1_CONTROLLER V1_FILE V2_FILE: what that file of init's cgroup says.
limit_of() {
	cat "$(cgroup_dir "$1")/$(by_version "$2" "$3")"
}
# assert_limit V1_CONTROLLER V1_FILE V1_VALUE V2_FILE V2_VALUE: seen from
# outside and, after with_cgroup_mount, inside. A file "-" does not exist.
assert_limit() {
	local file want
	file=$(by_version "$2" "$4") want=$(by_version "$3" "$5")
	[[ $file != - ]] || return 0
	assert_eq "$file=$(cat "$(cgroup_dir "$1")/$file")" "$file=$want" || return 1
	[[ -n ${CGROUP_MOUNT:-} ]] || return 0
	on_v2 || file=$1/$file
	exec_ct cat "/sys/fs/cgroup/$file"
	assert_output "$want"
}
# has_limit_file V1_CONTROLLER V1_FILE V2_FILE: does a new cgroup have the file?
# It needs the bundle's container for a moment.
has_limit_file() {
	local found=1
	idle_ct
	[[ ! -e $(cgroup_dir "$1")/$(by_version "$2" "$3") ]] || found=0
	rt delete --force "$ID"
	return $found
}
needs_limit_file() { has_limit_file "$@" || skip "kernel lacks $(by_version "$2" "$3")"; }

# set_resources JSON: put into linux.resources.
set_resources() {
	update_config --argjson r "$1" '.linux.resources += $r'
}
# with_cgroup_mount: the container sees its own cgroup at /sys/fs/cgroup.
with_cgroup_mount() {
	CGROUP_MOUNT=1
	update_config '.linux.namespaces += [{"type":"cgroup"}]
		| .mounts += [{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["nosuid","noexec","nodev","ro"]}]'
}
# limited_ct JSON: an idle container with these limits that sees its cgroup.
limited_ct() {
	set_resources "$1"
	with_cgroup_mount
	idle_ct
}
# warns_limit WORDS JSON: an idle container with these resources, and a warning.
warns_limit() {
	set_resources "$2"
	set_args sleep 1000
	rt --log "$T/log" run --detach --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err" 3>&-
	grep -E 'level=warn' "$T/log" | grep -qF -- "$1" || fail "want a warning about $1: $(cat "$T/log")"
}
# refuses_limit FIELD JSON: create fails with these resources.
refuses_limit() {
	set_resources "$2"
	limit_refused "$1"
}
# limit_refused FIELD: create fails, Berth names the field, nothing is left.
limit_refused() {
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	assert_fails || return 1
	[[ $RT != berth ]] || assert_has "$1" || return 1
	tolerate_leak crun # it leaves the cgroups of every create that fails
	[[ $RT == crun ]] || { assert_nothing_left && assert_no_cgroup; }
}

# cgroups_named ID: every cgroup of that name in any hierarchy, also scopes.
cgroups_named() {
	local mounts
	mapfile -t mounts < <(awk '{ split($0, half, " - "); if (half[2] ~ /^cgroup2? /) print $5 }' /proc/self/mountinfo)
	find "${mounts[@]}" -xdev -type d \( -name "$1" -o -name "*-$1.scope" \) 2>/dev/null || true
}
assert_no_cgroup() {
	local left
	left=$(cgroups_named "${1:-$ID}")
	[[ -z $left ]] || fail "cgroups left: $left"
}
# teardown_cgroup: as teardown_bundle, and no cgroup may be left, v2's neither.
teardown_cgroup() {
	local bad=0 left
	[[ -n ${BATS_TEST_COMPLETED:-} || ! -s $T/err ]] || cat "$T/err" >&2
	teardown_bundle || bad=1
	left=$(cgroups_named "$ID")
	[[ -n $left ]] || return $bad
	# shellcheck disable=SC2086 # one path a word
	remove_cgroups $left
	[[ -n $LEAK_OK ]] || { echo "cgroups left: $left" >&2; bad=1; }
	return $bad
}
# make_cgroup PATH [CONTROLLER]: below the mount points of all, or of one.
make_cgroup() {
	local controller mount
	for controller in ${2:-cpu cpuset memory devices freezer blkio pids}; do
		read -r mount _ < <(hierarchy "$controller")
		[[ -z $mount ]] || mkdir -p "$mount/$1"
		! on_v2 || break
	done
}
# remove_cgroups DIR…: with what is in them.
remove_cgroups() {
	local dir
	for dir; do
		[[ -d $dir ]] || continue
		find "$dir" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -u | xargs -r kill -9 2>/dev/null || true
	done
	sleep 0.1
	find "$@" -depth -type d -exec rmdir {} \; 2>/dev/null || true
}
# block_device: "MAJOR MINOR" of a whole disk.
block_device() {
	local d
	for d in /sys/block/*; do
		[[ $(<"$d/size") -gt 0 ]] || continue
		tr : ' ' <"$d/dev"
		return
	done
	return 1
}
# needs_freezer: v2 has it in every cgroup but the root.
needs_freezer() {
	on_v2 || needs_controller freezer
}
