#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The whole test runs in a network namespace of its own, so that devices made
# here never meet the host's.

load helpers

setup() {
	setup_bundle
	lacks runc 1.4 "netDevices came with 1.4"
	lacks crun 1.20 "netDevices came later"
	requires unshare_net
	DEV=bit$BATS_SUITE_TEST_NUMBER
	unshare -n sleep 1000 3>&- &
	keeper=$!
	wait_for sh -c "[ \$(readlink /proc/$keeper/ns/net) != \$(readlink /proc/self/ns/net) ]"
	AS=(nsenter --net=/proc/$keeper/ns/net)
}
teardown() {
	teardown_bundle || bad=1
	[[ -z ${keeper:-} ]] || kill "$keeper"
	return ${bad:-0}
}
in_net() { "${AS[@]}" "$@"; }
device() { update_config --arg d "$DEV" --argjson n "$1" '.linux.netDevices = {($d): $n}'; }

@test "netDevices: moved, with its name" {
	in_net ip link add "$DEV" type veth peer name "${DEV}p"
	device '{}'
	set_args ip -o link show
	run_ct
	assert_ok
	assert_has "$DEV"
}

@test "netDevices: renamed" {
	in_net ip link add "$DEV" type veth peer name "${DEV}p"
	device '{"name":"inside0"}'
	set_args ip -o link show
	run_ct
	assert_has inside0
	assert_lacks "$DEV"
}

@test "netDevices: keeps MTU, MAC and global addresses, and is up" {
	in_net ip link add "$DEV" mtu 1234 address 02:00:00:00:00:42 type veth peer name "${DEV}p"
	in_net ip addr add 10.99.0.7/24 dev "$DEV"
	in_net ip link set "$DEV" up
	device '{"name":"inside0"}'
	set_args ip addr show inside0
	run_ct
	assert_has "mtu 1234"
	assert_has "02:00:00:00:00:42"
	assert_has 10.99.0.7/24
	assert_has UP
}

@test "netDevices: veth keeps its peer outside" {
	in_net ip link add "$DEV" type veth peer name "$DEV-p"
	device '{"name":"eth0"}'
	set_args sleep 1000
	detach_ct
	in_net ip -o link show "$DEV-p"
	! in_net ip link show "$DEV" 2>/dev/null || fail "still outside"
}

@test "netDevices: one that is missing is an error that names it" {
	device '{}'
	create_fails
	assert_has "$DEV"
}

@test "netDevices: without a network namespace is refused" {
	in_net ip link add "$DEV" type veth peer name "${DEV}p"
	device '{}'
	update_config '.linux.namespaces |= map(select(.type != "network")) | .mounts |= map(select(.type != "sysfs"))'
	create_fails
}

@test "netDevices: bad names are refused" {
	in_net ip link add "$DEV" type veth peer name "${DEV}p"
	for n in 'a/b' 'much-too-long-a-name' '..' 'a b'; do
		device "{\"name\":\"$n\"}"
		create_fails
	done
	in_net ip link show "$DEV"
}
