#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networks of run, by CNI plugins.

load network

@test "network: bridge gives an address, a route and a loopback" {
	try run_lab one --net bridge bb sh -c 'cat /proc/net/route /etc/hosts; ping -c 1 -w 5 127.0.0.1; ping -c 1 -w 5 10.89.0.1'
	assert_ok
	assert_has "eth0	00000000	0100590A" # default via 10.89.0.1
	assert_has "10.89.0.2	"
	nothing_left
}

@test "network: containers of one bridge reach each other" {
	start_lab one --net bridge bb sh -c "$READY"
	try run_lab two --net bridge bb ping -c 1 -w 5 10.89.0.2
	assert_ok
	end_lab one
	nothing_left
}

@test "network: a published port is the host's" {
	start_lab web -p 8080:80 bb sh -c "$READY"
	lab nsenter --net="/run/netns/berth-$ID-web" socat TCP-LISTEN:80,fork,reuseaddr EXEC:"echo hello" >/dev/null 2>&1 3>&- &
	PIDS+=($!)
	wait_for lab socat -u TCP:10.89.0.2:80,shut-none /dev/null
	for host in 127.0.0.1 10.89.0.1; do
		try lab socat -u "TCP:$host:8080" -
		assert_output hello
	done
	end_lab web
	nothing_left
}

@test "network: two containers cannot publish the same port" {
	start_lab web -p 8080:80 bb sh -c "$READY"
	try run_lab two -p 8080:80 bb true
	is_refusal 'network "bridge": port 8080:80/tcp: bind: address already in use'
	end_lab web
	nothing_left
}

@test "network: name servers are the user's, and read-only" {
	try run_lab one --net bridge --dns 192.0.2.1 --dns-search example.com bb sh -c 'cat /etc/resolv.conf; echo x >/etc/resolv.conf'
	assert_status 1
	assert_has $'search example.com\n'
	assert_has $'nameserver 192.0.2.1\n'
	assert_has "Read-only file system"
}

@test "network: the user's own mount of a file stays" {
	echo mine >"$T/hosts"
	try run_lab one --net bridge -v "$T/hosts:/etc/hosts" bb cat /etc/hosts
	assert_output mine
}

@test "network: a conflist by its name" {
	mkdir "$T/net.d"
	jq -n '{cniVersion: "1.0.0", name: "blue", plugins: [{type: "bridge", bridge: "blue0", isGateway: true,
		ipam: {type: "host-local", subnet: "10.77.0.0/24", dataDir: "/run/blue"}}]}' >"$T/net.d/blue.conflist"
	try run_lab one --cni-config "$T/net.d" --net blue bb ping -c 1 -w 5 10.77.0.1
	assert_ok
	try run_lab one --cni-config "$T/net.d" --net red bb true
	is_refusal "(hint: there are bridge, blue, host and none)"
	try run_lab one --cni-config "$T/net.d" --net blue -p 80 bb true
	is_refusal "publishes no ports"
	nothing_left
}

@test "network: without plugins, an error that says what to do" {
	for flags in "--net bridge" "-p 80"; do
		try run_lab one $flags --cni-path "$T/none" bb true
		is_refusal "(install containernetworking-plugins; hint: --net host or --net none)"
	done
	try run_lab one --net host -p 80 bb true
	is_refusal "--net host publishes no ports"
	try run_lab one -p 80-90:80 bb true
	is_refusal 'port "80-90:80": no port of the host'
	nothing_left
}

@test "network: a plugin that fails leaves nothing" {
	mkdir "$T/cni"
	ln -s /usr/lib/cni/* "$T/cni"
	rm "$T/cni/firewall"
	printf '#!/bin/sh\n[ $CNI_COMMAND = DEL ] || { echo "{\\"code\\":7,\\"msg\\":\\"no wall\\"}"; exit 1; }\n' >"$T/cni/firewall"
	chmod 755 "$T/cni/firewall"
	try run_lab one --cni-path "$T/cni" -p 8080:80 bb true
	is_refusal 'network "bridge": CNI plugin firewall: ADD: no wall (code 7)'
	nothing_left
}

@test "network: gc takes away what a killed run left" {
	start_lab web -p 8080:80 bb sh -c "$READY"
	kill -9 "$(run_pid web)"
	wait "$RUNNING" || true
	assert_eq "$(lab ls /run/berth-image/attachments)" "$ID-web"
	lab "$BIN/berth-image" --root "$STORE" gc >/dev/null 2>&1 3>&-
	nothing_left
	try run_lab web -p 8080:80 bb true
	assert_ok
	nothing_left
}
