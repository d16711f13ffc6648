#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

ns_of() { readlink "/proc/$1/ns/$2"; }

@test "namespaces: each listed one is new, each other one is the caller's" {
	update_config '.linux.namespaces += [{"type":"cgroup"}]'
	idle_ct
	pid=$(state_of pid)
	for n in pid net ipc uts mnt cgroup; do
		[[ $(ns_of "$pid" $n) != "$(ns_of self $n)" ]] || fail "$n is the host's"
	done
	assert_eq "$(ns_of "$pid" user)" "$(ns_of self user)"
	assert_eq "$(ns_of "$pid" time)" "$(ns_of self time)"
}

@test "namespaces: only mount and pid" {
	update_config '.linux.namespaces = [{"type":"mount"},{"type":"pid"}] | del(.hostname) | .mounts |= map(select(.destination != "/sys"))'
	idle_ct
	pid=$(state_of pid)
	for n in net ipc uts; do
		assert_eq "$(ns_of "$pid" $n)" "$(ns_of self $n)"
	done
	[[ $(ns_of "$pid" mnt) != "$(ns_of self mnt)" ]]
}

@test "namespaces: hostname" {
	update_config '.hostname = "a-name"'
	set_args hostname
	run_ct
	assert_output a-name
	[[ $(hostname) != a-name ]]
}

@test "namespaces: hostname without a uts namespace is refused" {
	update_config '.linux.namespaces |= map(select(.type != "uts"))'
	create_fails
	[[ $RT == crun ]] || assert_matches "(uts|UTS)"
	[[ $(hostname) != inside ]]
}

@test "namespaces: domainname" {
	lacks runc 1.2 "domainname came with 1.2"
	update_config '.domainname = "example.test"'
	set_args cat /proc/sys/kernel/domainname
	run_ct
	assert_output example.test
}

@test "namespaces: program is pid 1 of a new pid namespace" {
	set_script 'echo $$; ls -d /proc/[0-9]* | wc -l'
	run_ct
	assert_has $'1\n'
	[[ ${output##*$'\n'} -le 4 ]]
}

@test "namespaces: without a pid namespace the host's processes are seen" {
	update_config '.linux.namespaces |= map(select(.type != "pid"))'
	set_script 'echo $$; test -d /proc/'"$$"' && echo host'
	run_ct
	[[ ${output%%$'\n'*} -gt 1 ]]
	assert_has host
}

@test "namespaces: a new network namespace has loopback, up, and nothing else" {
	set_script 'cat /proc/net/dev | grep -c :; ip -o addr show lo; cat /sys/class/net/lo/flags'
	run_ct
	assert_matches 127.0.0.1/8
	assert_has 0x9
	[[ $(grep -oE '^[0-9]+$' <<<"$output" | head -1) -ge 1 ]]
}

@test "namespaces: join a network namespace" {
	requires unshare_net
	unshare -n sleep 1000 3>&- &
	other=$!
	wait_for test "$(ns_of self net)" != "$(ns_of $other net)"
	wait_for sh -c "[ \$(readlink /proc/$other/ns/net) != \$(readlink /proc/self/ns/net) ]"
	update_config "(.linux.namespaces[] | select(.type == \"network\")).path = \"/proc/$other/ns/net\""
	set_args readlink /proc/self/ns/net
	run_ct
	want=$(ns_of $other net)
	kill $other
	assert_ok
	assert_output "$want"
}

@test "namespaces: join another container's ipc, uts, network and pid" {
	idle_ct
	pid=$(state_of pid)
	other=$(another_bundle b)
	cp "$other/config.json" "$CONFIG"
	update_config --arg p "/proc/$pid/ns/" '.linux.namespaces = [{"type":"mount"},
		{"type":"ipc","path":($p+"ipc")},{"type":"uts","path":($p+"uts")},
		{"type":"network","path":($p+"net")},{"type":"pid","path":($p+"pid")}] | del(.hostname)'
	set_script 'for n in ipc uts net pid; do readlink /proc/self/ns/$n; done; hostname; echo $$'
	cp "$CONFIG" "$other/config.json"
	try rt run --bundle "$other" "$ID-b" </dev/null
	assert_ok
	for n in ipc uts net pid; do
		assert_has "$(ns_of "$pid" $n)"
	done
	assert_has inside
	[[ ${output##*$'\n'} -gt 1 ]]
}

@test "namespaces: listing one twice is refused" {
	lacks crun "takes the last"
	update_config '.linux.namespaces += [{"type":"pid"}]'
	create_fails
	assert_matches "(duplicate|malformed)"
}

@test "namespaces: an unknown type is refused" {
	update_config '.linux.namespaces += [{"type":"nonsense"}]'
	create_fails
	assert_has nonsense
}

@test "namespaces: a path that is missing or of another type is refused" {
	update_config '(.linux.namespaces[] | select(.type == "network")).path = "/nowhere/ns"'
	create_fails
	assert_has /nowhere/ns
	update_config '(.linux.namespaces[] | select(.type == "network")).path = "/proc/self/ns/uts"'
	create_fails
}

@test "namespaces: a new cgroup namespace has the container's cgroup as its root" {
	only_v1 "a hierarchy per controller"
	update_config '.linux.namespaces += [{"type":"cgroup"}]'
	set_args grep -E ':(pids|memory):' /proc/self/cgroup
	run_ct
	assert_matches ':pids:/($|'$'\n'')'
	assert_matches ':memory:/($|'$'\n'')'
}

@test "namespaces: no mount namespace" {
	lacks runc "refuses it"
	lacks crun "differs"
	needs_berth "the spec leaves it open; berth refuses"
	update_config '.linux.namespaces |= map(select(.type != "mount"))'
	create_fails
}
