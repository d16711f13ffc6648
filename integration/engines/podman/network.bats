#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Networks, by netavark and aardvark-dns, in the room's network namespace.

load helpers
setup() {
	podman_setup
	BASE=(--cgroup-parent "$ROOM_CGROUP")
}
teardown() {
	podman_teardown || return
	podman_ network prune -f >/dev/null 2>&1
}

# serve NAME [ARG…]: a container that answers its name on port 80.
serve() {
	local name=$1
	shift
	podman_ run -d --name "$name" "${BASE[@]}" "$@" bb sh -c "echo from $name >/www/index.html; httpd -f -p 80 -h /www" >"$T/serve" 2>&1 </dev/null || {
		cat "$T/serve" >&2
		return 1
	}
}
# get URL: from the room.
get() { "$ROOM/bin/enter" curl -sf -m 2 "$@" 3>&-; }
gets() { [[ $(get "$1") == "$2" ]]; }
# get_inside NAME URL: from a container. gets_inside NAME URL WORD
get_inside() { timeout 3 "$ROOM/bin/podman" exec "$1" wget -q -O - "$2" 3>&-; }
gets_inside() { [[ $(get_inside "$1" "$2") == "$3" ]]; }

@test "the default network: an address, a route, and the room reaches it" {
	serve "$ID"
	address=$(show '{{.NetworkSettings.IPAddress}}')
	[[ $address == 10.88.* ]]
	wait_for gets "http://$address/" "from $ID"
	exec_c ip route
	assert_has "default via 10.88.0.1"
}

@test "two containers of a network find each other by name" {
	podman_ network create "$ID" >"$T/n"
	serve "$ID-web" --network "$ID"
	NAME=$ID-client detach_c --network "$ID" bb sleep 1000
	wait_for gets_inside "$ID-client" "http://$ID-web/" "from $ID-web"
}

@test "a container has aliases, and a name goes when its container does" {
	podman_ network create "$ID" >"$T/n"
	serve "$ID-web" --network "$ID" --network-alias alias
	NAME=$ID-client detach_c --network "$ID" --dns-opt timeout:1 --dns-opt attempts:1 bb sleep 1000
	wait_for gets_inside "$ID-client" http://alias/ "from $ID-web"
	podman_ rm -f -t 0 "$ID-web" >"$T/out"
	try podman_ exec "$ID-client" wget -q -O - "http://alias/"
	assert_fails
}

@test "containers of different networks do not know each other's names" {
	podman_ network create "$ID-a" >"$T/n"
	podman_ network create "$ID-b" >"$T/n"
	serve "$ID-web" --network "$ID-a"
	NAME=$ID-client detach_c --network "$ID-b" bb sleep 1000
	try podman_ exec "$ID-client" nslookup "$ID-web"
	assert_fails
}

@test "network connect and disconnect while it runs" {
	podman_ network create "$ID-a" >"$T/n"
	podman_ network create "$ID-b" >"$T/n"
	serve "$ID-web" --network "$ID-a"
	NAME=$ID-client detach_c --network "$ID-b" bb sleep 1000
	podman_ network connect "$ID-a" "$ID-client"
	wait_for gets_inside "$ID-client" "http://$ID-web/" "from $ID-web"
	podman_ network disconnect "$ID-a" "$ID-client"
	try podman_ exec "$ID-client" ip -o -4 addr
	assert_eq "$(grep -c eth <<<"$output")" 1
}

@test "a port that is published, on all addresses and on one" {
	serve "$ID" -p 18080:80 -p 127.0.0.1:18081:80
	wait_for gets http://127.0.0.1:18080/ "from $ID"
	wait_for gets http://127.0.0.1:18081/ "from $ID"
	assert_eq "$(podman_ port "$ID" 80 | sort | xargs)" "0.0.0.0:18080 127.0.0.1:18081"
	podman_ rm -f -t 0 "$ID" >"$T/out"
	try get http://127.0.0.1:18080/
	assert_fails
}

@test "a port of UDP" {
	# busybox's nc has no UDP: the host's socat
	detach_c -p 18082:7000/udp -v "$T:/t" -v /usr:/usr:ro -v /usr/lib:/lib:ro -v /usr/lib64:/lib64:ro bb sh -c 'touch /t/up; socat -u UDP-RECV:7000 OPEN:/t/got,creat'
	wait_file up
	arrived() {
		echo packet | "$ROOM/bin/enter" socat -u - UDP4-SENDTO:127.0.0.1:18082
		grep -q packet "$T/got"
	}
	wait_for arrived
}

@test "a port that is taken is an error, and nothing is left of the container" {
	serve "$ID" -p 18083:80
	try podman_ run -d --name "$ID-b" "${BASE[@]}" -p 18083:80 bb sleep 1000
	assert_fails "ddress already in use"
	assert_eq "$(podman_ ps --format '{{.Names}}')" "$ID"
}

@test "--network host is the room's network" {
	run_c --network host bb readlink /proc/self/ns/net
	assert_output "$("$ROOM/bin/enter" readlink /proc/self/ns/net)"
}

@test "--network none has a loopback alone" {
	run_c --network none bb ip -o link
	assert_ok
	assert_eq "$(wc -l <<<"$output")" 1
	assert_has LOOPBACK,UP
}

@test "--network container: and ns: share another's" {
	serve "$ID"
	wait_for gets_inside "$ID" http://127.0.0.1/ "from $ID"
	run_c --network "container:$ID" bb wget -q -O - http://127.0.0.1/
	assert_output "from $ID"
	run_c --network "ns:/proc/$(show '{{.State.Pid}}')/ns/net" bb wget -q -O - http://127.0.0.1/
	assert_output "from $ID"
}

@test "--ip, --mac-address, --dns and --add-host" {
	podman_ network create --subnet 10.77.7.0/24 "$ID" >"$T/n"
	run_c --network "$ID" --ip 10.77.7.77 --mac-address 02:00:00:00:00:07 --dns 10.0.0.1 --dns-search example.net --add-host other:10.9.8.7 bb \
		sh -c 'ip addr show eth0; cat /etc/resolv.conf /etc/hosts'
	assert_ok
	assert_has "inet 10.77.7.77/24"
	assert_has 02:00:00:00:00:07
	assert_has "search example.net"
	assert_has "10.9.8.7"
}

@test "an internal network has no way out" {
	podman_ network create --internal "$ID" >"$T/n"
	run_c --network "$ID" bb ip route
	assert_ok
	[[ $output != *default* ]]
}

@test "a network of IPv6" {
	podman_ network create --ipv6 --subnet fd00:7::/64 "$ID" >"$T/n"
	serve "$ID" --network "$ID"
	address=$(show "{{(index .NetworkSettings.Networks \"$ID\").GlobalIPv6Address}}")
	wait_for gets "http://[$address]/" "from $ID"
}

@test "networks that are gone leave no interface" {
	before=$("$ROOM/bin/enter" ip -o link | wc -l)
	podman_ network create "$ID" >"$T/n"
	serve "$ID-web" --network "$ID"
	podman_ rm -f -t 0 "$ID-web" >"$T/out"
	podman_ network rm "$ID" >"$T/out"
	assert_eq "$("$ROOM/bin/enter" ip -o link | wc -l)" "$before"
}
