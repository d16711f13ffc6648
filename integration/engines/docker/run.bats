#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# docker run: streams, terminals, exit codes, signals, and what the process is.

load helpers

@test "run: standard output and standard error come apart" {
	docker_ run --rm bb sh -c 'echo out; echo err >&2' >"$T/out" 2>"$T/err"
	assert_eq "$(<"$T/out")" out
	assert_eq "$(<"$T/err")" err
}

@test "run: the exit code of the process is that of docker" {
	run_c true
	assert_status 0
	run_c false
	assert_status 1
	run_c sh -c 'exit 42'
	assert_status 42
}

@test "run: a mistake of the daemon's is 125" {
	idle_c
	run_c true
	assert_status 125
	assert_has "already in use"
}

@test "run: a process that is killed is 137" {
	run_c sh -c 'kill -KILL $$ & sleep 1; kill -0 1 && sh -c "kill -KILL \$\$"; exit $?'
	assert_status 137
}

@test "run: a container that is killed from outside is 137" {
	idle_c
	docker_ kill "$ID" >/dev/null
	assert_eq "$(docker_ wait "$ID")" 137
	assert_eq "$(show '{{.State.ExitCode}} {{.State.OOMKilled}}')" "137 false"
}

@test "run: -i hands on standard input, all of it" {
	head -c 3000000 /dev/urandom >"$T/data"
	docker_ run --rm -i bb md5sum <"$T/data" >"$T/sum"
	assert_eq "$(cut -c1-32 "$T/sum")" "$(md5sum <"$T/data" | cut -c1-32)"
}

@test "run: without -i standard input is empty" {
	assert_eq "$(echo hello | docker_ run --rm bb sh -c 'wc -c')" 0
}

@test "run: a large output arrives whole" {
	assert_eq "$(docker_ run --rm bb sh -c 'seq 1000000' | md5sum)" "$(seq 1000000 | md5sum)"
}

@test "run: -t is a terminal of the container's own" {
	output=$(on_tty run --rm -t bb sh -c 'tty; test -t 0 && test -t 1 && test -t 2 && echo all' </dev/null)
	assert_has /dev/pts/0
	assert_has all
}

@test "run: the terminal gets the size of the client's" {
	output=$(on_tty run --rm -t bb sh -c 'for i in 1 2 3 4 5 6 7 8 9; do stty size | grep -q "33 77" && break; usleep 100000; done; stty size' </dev/null)
	assert_has "33 77"
}

@test "run: what is typed on -it is read, and echoed" {
	output=$({ sleep 1; echo word; } | on_tty run --rm -it bb sh -c 'read x; echo "<$x>"')
	assert_has "<word>"
}

@test "run: control-C on a terminal interrupts" {
	output=$({ sleep 1.5; printf '\003'; sleep 1; } | on_tty run --rm -it bb sh -c 'trap "echo interrupted; exit 3" INT; while :; do usleep 50000; done'; echo "code ${PIPESTATUS[1]}")
	assert_has interrupted
}

@test "run: -d prints the id and does not wait" {
	detach_c sleep 1000
	assert_eq "$(<"$T/detach")" "$(full_id)"
	assert_eq "$(show '{{.State.Running}}')" true
}

@test "run: --rm removes the container, and its anonymous volumes" {
	EXTRA=(-v /data)
	before=$(docker_ volume ls -q | wc -l)
	run_c true
	assert_ok
	wait_for no_container "$ID"
	assert_eq "$(docker_ volume ls -q | wc -l)" "$before"
}
no_container() { ! docker_ inspect "$1"; }

@test "run: -d --rm removes it when it ends" {
	EXTRA=(--rm)
	detach_c sh -c 'exit 3'
	wait_for no_container "$ID"
}

@test "run: --init is pid 1 and reaps" {
	EXTRA=(--init)
	idle_c
	assert_eq "$(sh_c 'cat /proc/1/comm')" docker-init
	sh_c '(usleep 1000 &) ; usleep 300000'
	assert_eq "$(sh_c 'grep -l "^State:.Z" /proc/[0-9]*/status | wc -l')" 0
}

@test "run: --init hands on signals" {
	EXTRA=(--init)
	detach_c sh -c 'trap "exit 7" TERM; echo ready; while :; do usleep 50000; done'
	wait_for has_logged ready
	docker_ stop -t 10 "$ID" >/dev/null
	assert_eq "$(show '{{.State.ExitCode}}')" 7
}

@test "run: the client hands on the signals that it gets" {
	docker_ run --name "$ID" bb sh -c 'trap "exit 9" TERM; echo ready; while :; do usleep 50000; done' >"$T/out" 2>&1 </dev/null &
	client=$!
	wait_for grep -q ready "$T/out"
	# timeout(1) hands it to docker
	kill -TERM "$(pgrep -P "$client" | head -n1)" || kill -TERM "$client"
	status=0
	wait "$client" || status=$?
	assert_eq "$(docker_ wait "$ID")" 9
}

@test "run: the environment is the image's, --env's and --env-file's" {
	printf 'B=file\n' >"$T/env"
	EXTRA=(-e A=flag --env-file "$T/env")
	run_c sh -c 'echo $A $B $HOME $HOSTNAME; echo $PATH'
	assert_has "flag file /root"
	assert_has /usr/bin
}

@test "run: --user by name, by numbers, and with groups" {
	EXTRA=(--user user)
	run_c id
	assert_has "uid=1000(user) gid=1000(user)"
	EXTRA=(--user 1234:99 --group-add 77 --group-add user)
	run_c id
	assert_has "uid=1234 gid=99"
	assert_has 77
	assert_has "1000(user)"
}

@test "run: a user that is not in the image is refused" {
	EXTRA=(--user nobodyknows)
	run_c true
	assert_status 125
	assert_has "unable to find user nobodyknows"
}

@test "run: --workdir is made if it is missing" {
	EXTRA=(--workdir /a/b/c)
	run_c pwd
	assert_output /a/b/c
}

@test "run: --entrypoint" {
	EXTRA=(--entrypoint /bin/echo)
	run_c one two
	assert_output "one two"
}

@test "run: --cidfile, --label and --name" {
	EXTRA=(--cidfile "$T/cid" --label kind=test)
	idle_c
	assert_eq "$(<"$T/cid")" "$(full_id)"
	assert_eq "$(docker_ ps -q --no-trunc --filter label=kind=test)" "$(full_id)"
}

@test "run: create, then start -a" {
	docker_ create --name "$ID" bb sh -c 'echo made; exit 5' >/dev/null
	assert_eq "$(show '{{.State.Status}}')" created
	try docker_ start -a "$ID"
	assert_status 5
	assert_output made
}

@test "run: an invalid flag is 125 and starts nothing" {
	EXTRA=(--memory 1k)
	run_c true
	assert_status 125
	assert_has "Minimum memory limit"
}

@test "run: the default file systems are there, and the masked are not" {
	run_c sh -c 'mount | cut -d" " -f3 | sort | xargs; wc -c </proc/keys; echo x >/proc/sys/kernel/panic'
	mounts=" $(grep '^/ ' <<<"$output") "
	for dir in /proc /dev /dev/pts /sys /sys/fs/cgroup /dev/mqueue /dev/shm /etc/resolv.conf /etc/hostname /etc/hosts /proc/sys; do
		[[ $mounts == *" $dir "* ]] || fail "no mount of $dir"
	done
	grep -qx 0 <<<"$output"
	assert_has "Read-only file system"
}
