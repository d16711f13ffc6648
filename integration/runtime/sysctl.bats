#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "sysctl: network, with dots" {
	update_config '.linux.sysctl = {"net.ipv4.ip_forward":"1","net.core.somaxconn":"123"}'
	before=$(cat /proc/sys/net/ipv4/ip_forward)
	set_script 'cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/core/somaxconn'
	run_ct
	assert_output $'1\n123'
	assert_eq "$(cat /proc/sys/net/ipv4/ip_forward)" "$before"
}

@test "sysctl: with slashes" {
	update_config '.linux.sysctl = {"net/ipv4/ip_default_ttl":"77"}'
	set_args cat /proc/sys/net/ipv4/ip_default_ttl
	run_ct
	assert_output 77
}

@test "sysctl: an interface name with a dot needs slashes" {
	lacks crun "turns the dot into a slash"
	lacks runc "turns the dot into a slash"
	update_config '.linux.sysctl = {"net/ipv4/conf/lo/rp_filter":"2"}'
	set_args cat /proc/sys/net/ipv4/conf/lo/rp_filter
	run_ct
	assert_output 2
}

@test "sysctl: ipc" {
	update_config '.linux.sysctl = {"kernel.msgmax":"4096","kernel.shmmni":"99","kernel.sem":"100 3200 50 64","fs.mqueue.msg_max":"7"}'
	set_script 'cat /proc/sys/kernel/msgmax /proc/sys/kernel/shmmni /proc/sys/fs/mqueue/msg_max; cat /proc/sys/kernel/sem | tr "\t" " "'
	run_ct
	assert_output $'4096\n99\n7\n100 3200 50 64'
}

@test "sysctl: a host-wide one is refused" {
	before=$(cat /proc/sys/vm/swappiness)
	update_config '.linux.sysctl = {"vm.swappiness":"61"}'
	create_fails
	assert_has swappiness
	assert_eq "$(cat /proc/sys/vm/swappiness)" "$before"
}

@test "sysctl: net without an own network namespace is refused" {
	update_config '.linux.namespaces |= map(select(.type != "network")) | .linux.sysctl = {"net.ipv4.ip_default_ttl":"77"} | .mounts |= map(select(.type != "sysfs"))'
	create_fails
	[[ $(cat /proc/sys/net/ipv4/ip_default_ttl) != 77 ]]
}

@test "sysctl: ipc without an own ipc namespace is refused" {
	update_config '.linux.namespaces |= map(select(.type != "ipc")) | .linux.sysctl = {"kernel.msgmax":"4095"} | .mounts |= map(select(.type != "mqueue"))'
	create_fails
	[[ $(cat /proc/sys/kernel/msgmax) != 4095 ]]
}

@test "sysctl: kernel.domainname" {
	update_config '.linux.sysctl = {"kernel.domainname":"by.sysctl"}'
	set_args cat /proc/sys/kernel/domainname
	run_ct
	assert_output by.sysctl
}

@test "sysctl: kernel.hostname is refused, hostname is the way" {
	lacks crun "takes it"
	update_config '.linux.sysctl = {"kernel.hostname":"x"}'
	create_fails
	assert_has hostname
}

@test "sysctl: a value that the kernel refuses names the key" {
	update_config '.linux.sysctl = {"net.ipv4.ip_default_ttl":"nonsense"}'
	create_fails
	assert_matches "ip_default_ttl"
}

@test "sysctl: a name with .. is refused" {
	update_config '.linux.sysctl = {"net/../vm/swappiness":"61"}'
	try rt create --bundle "$BUNDLE" "$ID" </dev/null
	[[ $(cat /proc/sys/vm/swappiness) != 61 ]] || { echo 60 >/proc/sys/vm/swappiness; lacks runc "writes it"; lacks crun "writes it"; false; }
	[[ $RT != berth ]] || assert_fails
}

@test "sysctl: a joined namespace that is the host's own is refused" {
	before=$(cat /proc/sys/net/ipv4/ip_default_ttl)
	update_config '(.linux.namespaces[] | select(.type == "network")).path = "/proc/self/ns/net" | .linux.sysctl = {"net.ipv4.ip_default_ttl":"77"}'
	update_config '.linux.namespaces |= (map(select(.type != "network")) + [{"type":"network","path":"/proc/self/ns/net"}])'
	lacks crun "joins it and sets it"
	create_fails
	[[ $(cat /proc/sys/net/ipv4/ip_default_ttl) == "$before" ]]
}
