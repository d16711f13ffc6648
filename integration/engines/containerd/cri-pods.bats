#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pods of the CRI plugin: their life, their shim, namespaces and networks.

load helpers

# ns_of NAMESPACE [CONTAINER]
ns_of() { readlink "/proc/$(pid_of_c "${2:-$C}")/ns/$1"; }
ns_of_pod() { readlink "/proc/$(info_p .pid "${2:-$P}")/ns/$1"; }

@test "pods: ready, stopped, removed, and each can be asked for again" {
	pod a
	assert_eq "$(status_p .state)" SANDBOX_READY
	stopp
	assert_eq "$(status_p .state)" SANDBOX_NOTREADY
	stopp
	rmp
	rmp
	assert_eq "$(cri ListPodSandbox | jq '.items | length')" 0
}

@test "pods: listed by name, labels and state" {
	pod a '.labels = {app: "web"} | .annotations = {note: "one"}'
	pod b
	try cri ListPodSandbox '{"filter": {"label_selector": {"app": "web"}, "state": {"state": "SANDBOX_READY"}}}'
	assert_eq "$(jq -c '[.items[] | [.metadata.name, .annotations.note]]' <<<"$output")" '[["a","one"]]'
}

@test "pods: a runtime handler that is not configured is refused" {
	HANDLER=other MAY_FAIL=1 pod a
	assert_fails 'no runtime for "other" is configured'
}

@test "pods: status and info have the handler, the process and the configuration" {
	pod a
	assert_eq "$(status_p .runtime_handler)" "$ENGINE_RUNTIME"
	assert_eq "$(info_p .runtimeType)" "io.containerd.$(ours && echo berth || echo runc).v2"
	assert_eq "$(info_p .runtimeSpec.hostname)" a
	[[ $(cat "/proc/$(info_p .pid)/comm") == pause ]] || fail "want the pause process"
}

@test "pods: the options of the handler are the runtime's" {
	pod a
	[[ -e $ROOM/runtime/k8s.io/$P ]] || fail "want the state where Root says"
}

@test "pods: the default runtime is used when no handler is asked for" {
	HANDLER='' pod a
	assert_eq "$(info_p .runtimeType)" "io.containerd.$(ours && echo berth || echo runc).v2"
}

@test "pods: a sandbox and its four containers share one shim" {
	pod a
	local i
	for i in 1 2 3 4; do container "c$i" . sleep 1000; done
	assert_eq "$(shims | wc -l)" 1
	assert_eq "$(shims "$P" | wc -l)" 1
	for i in $(cri ListContainers | jq -r '.containers[].id'); do
		assert_eq "$(awk '/^PPid/ { print $2 }' "/proc/$(pid_of_c "$i")/status")" "$(shims)"
	done
}

@test "pods: two pods have two shims" {
	pod a
	pod b
	assert_eq "$(shims | wc -l)" 2
}

@test "pods: hostname and /etc/hostname" {
	pod a '.hostname = "web-0"'
	once . sh -c 'hostname; cat /etc/hostname'
	assert_output $'web-0\nweb-0'
}

@test "pods: containers share network, IPC and hostname, and not their processes" {
	pod a
	container one . sleep 1000
	local one=$C kind
	container two . sleep 1000
	for kind in net ipc uts; do
		assert_eq "$(ns_of $kind)" "$(ns_of $kind "$one")"
		assert_eq "$(ns_of $kind)" "$(ns_of_pod $kind)"
	done
	[[ $(ns_of pid) != "$(ns_of pid "$one")" ]] || fail "want two pid namespaces"
	[[ $(ns_of mnt) != "$(ns_of mnt "$one")" ]] || fail "want two mount namespaces"
}

@test "pods: with shared processes, the pause process is the first of all" {
	pod a '.linux.security_context.namespace_options.pid = "POD"'
	container one . sleep 1000
	container two . sleep 1001
	in_c ps -o pid,args
	assert_has "1 /pause"
	assert_has "sleep 1000"
	assert_has "sleep 1001"
}

@test "pods: with shared processes, a container's end is not the other's" {
	pod a '.linux.security_context.namespace_options.pid = "POD"'
	container one . sleep 1000
	local one=$C
	container two . sh -c 'sleep 1001 & sleep 1002'
	stop_c 0
	wait_for is_c CONTAINER_EXITED
	is_c CONTAINER_RUNNING "$one"
	C=$one in_c ps -o args
	[[ $output != *"sleep 1001"* ]] || fail "want all processes of the container ended"
}

@test "pods: a container in another's process namespace" {
	pod a
	container one . sleep 1000
	local one=$C
	container two ".linux.security_context.namespace_options = {pid: \"TARGET\", target_id: \"$one\"}" sleep 1001
	assert_eq "$(ns_of pid)" "$(ns_of pid "$one")"
}

@test "pods: on the host's network, IPC and processes" {
	pod a '.linux.security_context.namespace_options = {network: "NODE", pid: "NODE", ipc: "NODE"} | del(.hostname)'
	container one . sleep 1000
	assert_eq "$(ns_of net)" "$(in_room readlink /proc/self/ns/net)"
	assert_eq "$(ns_of pid)" "$(readlink /proc/self/ns/pid)"
	assert_eq "$(ns_of ipc)" "$(readlink /proc/self/ns/ipc)"
}

@test "pods: an address, which the container has on eth0" {
	pod a
	once . sh -c 'ip -4 -o addr show eth0'
	assert_has "inet $(status_p .network.ip)/16"
	[[ $(status_p .network.ip) == 10.88.* ]] || fail "want an address of the bridge's"
}

@test "pods: two pods reach each other, and the host reaches them" {
	pod a '.hostname = "server"'
	container web . sh -c 'while :; do echo hello | nc -l -p 8000; done'
	local address
	address=$(status_p .network.ip)
	wait_for eval "[[ \$(in_room timeout 2 busybox nc $address 8000 </dev/null) == hello ]]"
	pod b
	once . sh -c "until nc $address 8000 </dev/null; do sleep 0.05; done"
	assert_output hello
}

@test "pods: containers of one pod reach each other on the loopback" {
	pod a
	container web . sh -c 'while :; do echo hello | nc -l -p 8000; done'
	once . sh -c "until nc 127.0.0.1 8000 </dev/null; do sleep 0.05; done"
	assert_output hello
}

@test "pods: a port of the host is mapped" {
	pod a '.port_mappings = [{protocol: "TCP", container_port: 8000, host_port: 18000}]'
	container web . sh -c 'while :; do echo hello | nc -l -p 8000; done'
	local host
	host=$(in_room ip -4 -o addr show cni0 | grep -o '10\.88\.[0-9.]*' | head -n1)
	wait_for eval "[[ \$(in_room timeout 2 busybox nc $host 18000 </dev/null) == hello ]]"
}

@test "pods: DNS servers, searches and options" {
	pod a '.dns_config = {servers: ["10.0.0.10"], searches: ["svc.example", "example"], options: ["ndots:5"]}'
	once . cat /etc/resolv.conf
	assert_output $'search svc.example example\nnameserver 10.0.0.10\noptions ndots:5'
}

@test "pods: sysctls of the pod, and not of the host" {
	pod a '.linux.sysctls = {"net.ipv4.ip_unprivileged_port_start": "80", "kernel.shm_rmid_forced": "1"}'
	once . cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced
	assert_output $'80\n1'
	assert_eq "$(</proc/sys/kernel/shm_rmid_forced)" 0
}

@test "pods: shared memory is shared" {
	pod a
	container one . sh -c 'echo word >/dev/shm/file; sleep 1000'
	wait_for eval 'cri execsync "$C" test -s /dev/shm/file'
	once . cat /dev/shm/file
	assert_output word
}

@test "pods: the cgroup is the container's parent's" {
	pod a
	container one . sleep 1000
	grep -q ":$ROOM_CGROUP/$C\$" "/proc/$(pid_of_c)/cgroup"
	grep -q ":$ROOM_CGROUP/$P\$" "/proc/$(info_p .pid)/cgroup"
}

@test "pods: stopping ends its containers and its address" {
	pod a
	container one . sleep 1000
	local address
	address=$(status_p .network.ip)
	[[ -e $ROOM/ipam/pods/$address ]] || fail "want an address"
	stopp
	is_c CONTAINER_EXITED
	assert_eq "$(status_c .exit_code)" 137
	[[ ! -e $ROOM/ipam/pods/$address ]] || fail "want no address"
}

@test "pods: removing one removes its containers" {
	pod a
	container one . sleep 1000
	stopp
	rmp
	assert_eq "$(cri ListContainers | jq '.containers | length')" 0
}

@test "pods: when the pause process dies, the pod is not ready" {
	pod a
	container one . sleep 1000
	kill -9 "$(info_p .pid)"
	wait_for eval '[[ $(status_p .state) == SANDBOX_NOTREADY ]]'
	is_c CONTAINER_RUNNING
}

@test "pods: statistics are of the whole pod" {
	pod a
	container one . sleep 1000
	wait_for eval 'cri PodSandboxStats "{\"pod_sandbox_id\": \"$P\"}" >"$T/stats" && (($(jq -r ".stats.linux.memory.usage_bytes.value" "$T/stats") > 0))'
	assert_eq "$(jq -r '.stats.attributes.metadata.name' "$T/stats")" a
	assert_eq "$(jq -r '.stats.linux.containers[0].attributes.metadata.name' "$T/stats")" one
	assert_eq "$(jq -r '.stats.linux.network.default_interface.name' "$T/stats")" eth0
}

@test "pods: a user namespace for the pod" {
	since 2.0 "no user namespaces for pods"
	ours || [[ $(runc --version | grep -oE '1\.[0-9]+' | head -n1) != 1.1 ]] || skip "runc 1.1 has no idmapped mounts, without which containerd refuses"
	! ours || HANDLER=berth-userns # containerd reads no other options than runc's for these
	pod a '.linux.security_context.namespace_options.userns_options =
		{mode: "POD", uids: [{host_id: 100000, container_id: 0, length: 65536}], gids: [{host_id: 100000, container_id: 0, length: 65536}]}'
	echo text >"$T/file"
	container one ".mounts = [{host_path: \"$T\", container_path: \"/data\", uidMappings: [], gidMappings: []}]" sleep 1000
	in_c sh -c 'tr -s " " </proc/self/uid_map; id -u; stat -c %u /etc/passwd'
	assert_output $' 0 100000 65536\n0\n0'
	assert_eq "$(awk '/^Uid/ { print $2 }' "/proc/$(pid_of_c)/status")" 100000
}
