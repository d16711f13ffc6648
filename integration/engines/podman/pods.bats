#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Pods, and pods from and to Kubernetes' YAML.

load helpers
setup() { podman_setup; }
teardown() {
	podman_teardown || return
	podman_ volume rm -fa >/dev/null 2>&1
	podman_ network prune -f >/dev/null 2>&1
}

# It ends when it is asked to, as process 1 of a pod that is stopped in time.
WAITS='trap exit TERM; sleep 1000 & wait'

# pod ARG…: one named $ID.
pod() { podman_ pod create --name "$ID" --cgroup-parent "$ROOM_CGROUP" "$@" >"$T/pod" 2>&1 </dev/null || { cat "$T/pod" >&2; return 1; }; }
# in_pod NAME ARG…: a container of it, $ID-NAME, in the background.
in_pod() {
	local name=$1
	shift
	podman_ run -d --pod "$ID" --name "$ID-$name" "$@" >"$T/in_pod" 2>&1 </dev/null || { cat "$T/in_pod" >&2; return 1; }
}
is_pod() { [[ $(podman_ pod inspect --format '{{.State}}' "$ID") == "$1" ]]; }
play() { try podman_ play kube --network none "$@" "$T/pod.yaml"; }

@test "a pod of three containers shares network, IPC and host name" {
	pod --network none --hostname podhost
	for name in a b c; do in_pod $name bb sleep 1000; done
	for kind in net ipc uts; do
		assert_eq "$(for name in a b c; do podman_ exec "$ID-$name" readlink /proc/self/ns/$kind; done | sort -u | wc -l)" 1
	done
	for kind in pid mnt; do
		assert_eq "$(for name in a b c; do podman_ exec "$ID-$name" readlink /proc/self/ns/$kind; done | sort -u | wc -l)" 3
	done
	assert_eq "$(podman_ exec "$ID-b" hostname)" podhost
	assert_eq "$(podman_ pod ps --format '{{.Status}} {{.NumberOfContainers}}')" "Running 4"
}

@test "a pod's containers reach each other on its loopback" {
	pod --network none
	in_pod a bb sh -c 'echo hello >/www/index.html; httpd -f -p 8080 -h /www'
	in_pod b bb sleep 1000
	answers() { [[ $(podman_ exec "$ID-b" wget -q -O - http://127.0.0.1:8080/) == hello ]]; }
	wait_for answers
}

@test "a pod publishes the ports of its containers" {
	pod -p 18090:80
	in_pod a bb sh -c 'echo hello >/www/index.html; httpd -f -p 80 -h /www'
	answers() { [[ $("$ROOM/bin/enter" curl -sf -m 2 http://127.0.0.1:18090/) == hello ]]; }
	wait_for answers
}

@test "a pod that shares its process ids" {
	pod --network none --share pid,net
	in_pod a bb sleep 1001
	in_pod b bb sleep 1002
	try podman_ exec "$ID-b" ps -o args
	assert_has "sleep 1001"
	assert_has "sleep 1002"
}

@test "a pod without an infra container" {
	podman_ pod create --name "$ID" --infra=false --share "" --cgroup-parent "$ROOM_CGROUP" >"$T/pod"
	output=$(podman_ run --rm --network none --pod "$ID" bb echo inside </dev/null)
	assert_output inside
}

@test "a pod's stop, start, restart, pause, kill and rm" {
	pod --network none
	in_pod a bb sh -c "$WAITS"
	podman_ pod pause "$ID" >"$T/out"
	assert_eq "$(show '{{.State.Status}}' "$ID-a")" paused
	podman_ pod unpause "$ID" >"$T/out"
	podman_ pod stop -t 0 "$ID" >"$T/out"
	wait_for is_pod Exited
	podman_ pod start "$ID" >"$T/out"
	wait_for is_pod Running
	podman_ pod restart "$ID" >"$T/out"
	wait_for is_pod Running
	podman_ pod kill "$ID" >"$T/out"
	wait_for is_pod Exited
	podman_ pod rm -f -t 0 "$ID" >"$T/out"
	assert_eq "$(podman_ ps -aq)" ""
}

@test "a pod's stats and top" {
	pod --network none
	in_pod a bb sleep 1001
	in_pod b bb sleep 1002
	try podman_ pod stats --no-stream "$ID"
	assert_ok
	assert_has "$ID-a"
	assert_has "$ID-b"
	try podman_ pod top "$ID" args
	assert_has "sleep 1001"
	assert_has "sleep 1002"
}

@test "a pod's memory and CPU limits hold for all its containers" {
	[[ $ENGINE_CGROUPS != cgroupfs ]] || on_v2 || skip "Podman 4.3 sets a pod's limits on cgroup v2 or with systemd alone"
	pod --network none --memory 100m --cpus 0.5
	in_pod a bb sleep 1000
	dir=$(podman_ pod inspect --format '{{.CgroupPath}}' "$ID")
	grep -rqx 104857600 "/sys/fs/cgroup/$dir"/memory.max
}

@test "init containers run before the others" {
	pod --network none
	podman_ create --pod "$ID" --init-ctr once --name "$ID-init" -v "$T:/t" bb sh -c 'echo init >>/t/order' >"$T/out"
	podman_ create --pod "$ID" --name "$ID-a" -v "$T:/t" bb sh -c 'echo main >>/t/order; sleep 1000' >"$T/out"
	podman_ pod start "$ID" >"$T/out"
	wait_for grep -q main "$T/order"
	assert_eq "$(xargs <"$T/order")" "init main"
}

@test "play kube: two containers with a config map, a volume, limits, and a secret of variables" {
	cat >"$T/pod.yaml" <<-YAML
		apiVersion: v1
		kind: ConfigMap
		metadata: {name: settings}
		data: {word: from-config, file.txt: "a file\n"}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: $ID, labels: {app: kube}}
		spec:
		  restartPolicy: Never
		  hostname: kubehost
		  volumes:
		  - {name: data, emptyDir: {}}
		  - {name: host, hostPath: {path: $T, type: Directory}}
		  - {name: claim, persistentVolumeClaim: {claimName: $ID-claim}}
		  - {name: settings, configMap: {name: settings}}
		  containers:
		  - name: writer
		    image: localhost/bb:latest
		    command: [/bin/sh, -c]
		    args: ["echo \$WORD >/data/f; cat /settings/file.txt >/host/file; echo kept >/claim/f; $WAITS"]
		    env: [{name: WORD, valueFrom: {configMapKeyRef: {name: settings, key: word}}}]
		    resources: {limits: {memory: 64Mi, cpu: 500m}, requests: {memory: 32Mi}}
		    volumeMounts:
		    - {name: data, mountPath: /data}
		    - {name: host, mountPath: /host}
		    - {name: claim, mountPath: /claim}
		    - {name: settings, mountPath: /settings}
		    securityContext: {capabilities: {drop: [ALL]}, runAsUser: 0, readOnlyRootFilesystem: true}
		  - name: reader
		    image: localhost/bb:latest
		    command: [/bin/sh, -c, "until cat /data/f; do usleep 20000; done; $WAITS"]
		    workingDir: /tmp
		    volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
	YAML
	play
	assert_ok
	read_it() { [[ $(podman_ logs "$ID-reader" 2>/dev/null) == from-config ]]; }
	wait_for read_it
	wait_for test -s "$T/file"
	assert_eq "$(<"$T/file")" "a file"
	try podman_ exec "$ID-writer" sh -c "$(cgroup_file memory/memory.limit_in_bytes memory.max); $(cgroup_file cpu/cpu.cfs_quota_us cpu.max); awk '/CapEff/ { print \$2 }' /proc/1/status; hostname"
	assert_eq "$(xargs <<<"$output" | sed 's/50000 100000/50000/')" "67108864 50000 0000000000000000 kubehost"
	play --down
	assert_ok
	assert_eq "$(podman_ ps -aq)$(podman_ pod ps -q)" ""
	# the claim is kept, the pod's own volume is not
	run_c -v "$ID-claim:/v" bb cat /v/f
	assert_output kept
}

@test "play kube: a liveness probe is a health check, and restarts the container" {
	cat >"$T/pod.yaml" <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $ID}
		spec:
		  restartPolicy: Always
		  volumes: [{name: host, hostPath: {path: $T}}]
		  containers:
		  - name: main
		    image: localhost/bb:latest
		    command: [/bin/sh, -c, "echo up >>/t/ups; $WAITS"]
		    livenessProbe: {exec: {command: [test, -e, /t/well]}, periodSeconds: 3600, timeoutSeconds: 60, failureThreshold: 1}
		    volumeMounts: [{name: host, mountPath: /t}]
	YAML
	touch "$T/well"
	play
	assert_ok
	wait_for test -s "$T/ups"
	try podman_ healthcheck run "$ID-main"
	assert_ok
	[[ -d /run/systemd/system ]] || skip "to restart it Podman 4.3 asks systemd to remove the probe's timer, and no systemd runs here"
	rm "$T/well"
	try podman_ healthcheck run "$ID-main"
	assert_status 1
	twice() { [[ $(wc -l <"$T/ups") == 2 ]]; }
	wait_for twice
}

@test "play kube: a deployment with two replicas" {
	cat >"$T/pod.yaml" <<-YAML
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $ID}
		spec:
		  replicas: 2
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata: {labels: {app: web}}
		    spec:
		      containers:
		      - {name: web, image: "localhost/bb:latest", command: [sh, -c, "$WAITS"]}
	YAML
	play
	assert_ok
	assert_eq "$(podman_ ps --filter status=running --format '{{.Names}}' | grep -c -- -web)" 2
	play --down
	assert_ok
}

@test "play kube: init containers, and a restart policy" {
	cat >"$T/pod.yaml" <<-YAML
		apiVersion: v1
		kind: Pod
		metadata: {name: $ID}
		spec:
		  restartPolicy: OnFailure
		  volumes: [{name: host, hostPath: {path: $T}}]
		  initContainers:
		  - {name: init, image: "localhost/bb:latest", command: [sh, -c, "echo init >>/t/order"], volumeMounts: [{name: host, mountPath: /t}]}
		  containers:
		  - {name: main, image: "localhost/bb:latest", command: [sh, -c, "echo main >>/t/order; test -e /t/again || { touch /t/again; exit 1; }"], volumeMounts: [{name: host, mountPath: /t}]}
	YAML
	play
	assert_ok
	twice() { [[ $(xargs <"$T/order") == "init main main" ]]; }
	wait_for twice
}

@test "play kube --replace plays a changed pod" {
	yaml() { printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"%s"},"spec":{"containers":[{"name":"main","image":"localhost/bb:latest","command":["sleep","%s"]}]}}' "$ID" "$1"; }
	yaml 1001 >"$T/pod.yaml"
	play
	assert_ok
	yaml 1002 >"$T/pod.yaml"
	play --replace
	assert_ok
	try podman_ exec "$ID-main" ps -o args
	assert_has "sleep 1002"
}

@test "generate kube, and play of what was generated" {
	pod --network none
	in_pod a -e A=b --memory 64m bb sh -c 'echo $A; sleep 1000'
	podman_ generate kube -f "$T/pod.yaml" "$ID"
	grep -q 'memory: 64Mi' "$T/pod.yaml"
	podman_ pod rm -f -t 0 "$ID" >"$T/out"
	play
	assert_ok
	# newer versions put the pod's name before the container's
	played() { [[ $(podman_ logs "$ID-$ID-a" 2>/dev/null || podman_ logs "$ID-a") == b ]]; }
	wait_for played
}

@test "generate systemd writes units of a pod and its containers" {
	pod --network none
	in_pod a bb sleep 1000
	try podman_ generate systemd --new --name "$ID"
	assert_ok
	assert_has "pod-$ID.service"
	assert_has "container-$ID-a.service"
}
