#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Bridge, host, none, another container's network, published ports, names.

load helpers

# The world outside: a machine at 10.55.0.2, by way of the room.
setup_file() {
	ip netns add "$ROOM_NETNS-out"
	in_room ip link add out type veth peer name in netns "$ROOM_NETNS-out"
	in_room ip addr add 10.55.0.1/24 dev out
	in_room ip link set out up
	nsenter --net="/run/netns/$ROOM_NETNS-out" -- sh -c 'ip addr add 10.55.0.2/24 dev in; ip link set in up; ip link set lo up'
}
teardown_file() { ip netns del "$ROOM_NETNS-out"; }

teardown() {
	local bad=0
	containers_teardown || bad=1
	docker_ network ls -q --filter type=custom | xargs -r "$(client)" -H "unix://$ROOM/docker.sock" network rm >/dev/null 2>&1 3>&-
	return $bad
}

# serve NAME TEXT: a web server, on $NET.
serve() {
	AS_ID=$1 detach_c sh -c "mkdir -p /www && echo $2 >/www/index.html && exec httpd -f -p 80 -h /www"
}
# What busybox's wget would do, which in a static one meets addresses with a SIGSEGV.
readonly GET='printf "GET / HTTP/1.0\r\n\r\n" | busybox nc -w 2 "$0" "$1" | tail -n1 | grep .'
# fetch HOST [PORT]: from the room's side.
fetch() { in_room timeout 3 bash -c "exec 8<>/dev/tcp/$1/${2:-80} || exit; printf 'GET / HTTP/1.0\r\n\r\n' >&8; tail -n1 <&8"; }
# answers HOST[:PORT] TEXT
answers() { [[ $(fetch "${1%:*}" "$(cut -sd: -f2 <<<"$1")") == "$2" ]]; }
# from CONTAINER HOST: what it gets there.
from() { docker_ exec "$1" sh -c "$GET" "$2" 80; }
gets() { [[ $(from "$1" "$2") == "$3" ]]; }
address() { show '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "${1:-$ID}" | xargs; }

@test "network: the default bridge has an address, a route and a way to the outside" {
	run_c sh -c 'ip -4 addr show eth0 | grep inet; ip route; ping -c1 -W2 10.199.0.1'
	assert_has 10.199.0
	assert_has "default via 10.199.0.1 dev eth0"
	assert_has "0% packet loss"
}

@test "network: the outside is reached by way of the machine" {
	run_c ping -c1 -W2 10.55.0.2
	assert_ok
}

@test "network: a container is reached by its address" {
	serve "$ID" hello
	wait_for answers "$(address)" hello
}

@test "network: two containers find each other by name" {
	docker_ network create "$ID-net" >/dev/null
	EXTRA=(--network "$ID-net")
	serve "$ID-a" from-a
	serve "$ID-b" from-b
	wait_for gets "$ID-a" "$ID-b" from-b
	wait_for gets "$ID-b" "$ID-a" from-a
}

@test "network: aliases" {
	docker_ network create "$ID-net" >/dev/null
	EXTRA=(--network "$ID-net" --network-alias web)
	serve "$ID-a" hello
	EXTRA=(--network "$ID-net")
	AS_ID=$ID-b idle_c
	wait_for gets "$ID-b" web hello
}

@test "network: names are not known on the default bridge, but links are" {
	serve "$ID-a" hello
	EXTRA=(--link "$ID-a:linked")
	AS_ID=$ID-b idle_c
	wait_for gets "$ID-b" linked hello
	try docker_ exec "$ID-b" ping -c1 "$ID-c"
	assert_fails "bad address"
}

@test "network: none has a loopback only" {
	EXTRA=(--network none)
	run_c sh -c 'ls /sys/class/net | grep -v bonding_masters | xargs; ip addr show lo | grep -c UP'
	assert_has lo
	never grep -q eth <<<"$output"
}

@test "network: host is the daemon's" {
	EXTRA=(--network host)
	run_c readlink /proc/self/ns/net
	assert_output "$(in_room readlink /proc/self/ns/net)"
}

@test "network: that of another container" {
	idle_c
	run_out=$(docker_ run --rm --network "container:$ID" bb sh -c 'readlink /proc/self/ns/net; hostname')
	assert_eq "$(head -n1 <<<"$run_out")" "$(sh_c 'readlink /proc/self/ns/net')"
}

@test "network: a published port is answered, and shown" {
	EXTRA=(-p 127.0.0.1:18080:80)
	serve "$ID" published
	wait_for answers 127.0.0.1:18080 published
	assert_eq "$(docker_ port "$ID")" "80/tcp -> 127.0.0.1:18080"
	docker_ rm -f "$ID" >/dev/null
	never fetch 127.0.0.1 18080
}

@test "network: a published port of the daemon's choice, and -P" {
	EXTRA=(-p 80)
	serve "$ID" chosen
	wait_for answers "127.0.0.1:$(docker_ port "$ID" 80/tcp | head -n1 | sed 's/.*://')" chosen
	docker_ rm -f "$ID" >/dev/null
	EXTRA=(-P --expose 80)
	serve "$ID" chosen
	wait_for answers "127.0.0.1:$(docker_ port "$ID" 80/tcp | head -n1 | sed 's/.*://')" chosen
}

@test "network: a published UDP port" {
	EXTRA=(-p 127.0.0.1:18053:53/udp)
	load_debian
	IMAGE=deb detach_c perl -MSocket -e 'socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(53, INADDR_ANY)); while (defined($peer = recv(S, $m, 99, 0))) { chomp $m; send(S, "<$m>\n", 0, $peer) }'
	echoed() { [[ $(in_room timeout 1 bash -c 'exec 8<>/dev/udp/127.0.0.1/18053; echo word >&8; head -n1 <&8') == "<word>" ]]; }
	wait_for echoed
}

@test "network: a port that is taken is 125 and leaves nothing" {
	EXTRA=(-p 127.0.0.1:18080:80)
	serve "$ID-a" first
	run_c true
	assert_status 125
	assert_has "port is already allocated"
}

@test "network: an internal one has no way out" {
	docker_ network create --internal "$ID-net" >/dev/null
	EXTRA=(--network "$ID-net")
	idle_c
	exec_c ping -c1 -W1 10.55.0.2
	assert_fails
	serve "$ID-b" inside
	wait_for gets "$ID" "$ID-b" inside
}

@test "network: disconnect and connect, while it runs" {
	docker_ network create "$ID-net" >/dev/null
	idle_c
	docker_ network connect --alias late "$ID-net" "$ID"
	assert_eq "$(sh_c 'ls /sys/class/net | grep -c eth')" 2
	docker_ network disconnect bridge "$ID"
	assert_eq "$(sh_c 'ls /sys/class/net | grep -c eth')" 1
	EXTRA=(--network "$ID-net")
	AS_ID=$ID-b idle_c
	docker_ exec "$ID-b" ping -c1 -W2 late >/dev/null
}

@test "network: two networks do not see each other" {
	docker_ network create "$ID-one" >/dev/null
	docker_ network create "$ID-two" >/dev/null
	EXTRA=(--network "$ID-one")
	serve "$ID-a" hello
	EXTRA=(--network "$ID-two")
	AS_ID=$ID-b idle_c
	try docker_ exec "$ID-b" ping -c1 -W1 "$(address "$ID-a")"
	assert_fails "100% packet loss"
	try docker_ exec "$ID-b" ping -c1 -W1 "$ID-a"
	assert_fails "bad address"
}

@test "network: a subnet, and a chosen address" {
	docker_ network create --subnet 10.77.0.0/24 "$ID-net" >/dev/null
	EXTRA=(--network "$ID-net" --ip 10.77.0.77)
	run_c ip -4 addr show eth0
	assert_has 10.77.0.77/24
}

@test "network: inspect lists its containers, and rm wants it empty" {
	docker_ network create "$ID-net" >/dev/null
	EXTRA=(--network "$ID-net")
	idle_c
	assert_eq "$(docker_ network inspect -f '{{range .Containers}}{{.Name}}{{end}}' "$ID-net")" "$ID"
	try docker_ network rm "$ID-net"
	assert_fails "active endpoints"
}

@test "network: the address is kept over a restart of the container, and its port" {
	EXTRA=(-p 127.0.0.1:18081:80)
	serve "$ID" again
	docker_ restart -t 0 "$ID" >/dev/null
	wait_for answers 127.0.0.1:18081 again
}

@test "network: no namespace and no device of an ended container is left" {
	for _ in 1 2 3; do run_c true; done
	assert_eq "$(in_room ip -o link | grep -c docker0)" 1
	assert_eq "$(in_room ip -o link | grep -c veth)" 0
	assert_eq "$(mounts_of_containers)" ""
}
