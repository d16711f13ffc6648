#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# podman run, create, start, exec: what a user does all day.

load helpers
setup() { podman_setup; }
teardown() { podman_teardown; }

@test "podman run prints the output and ends with the status" {
	run_c bb echo hello
	assert_ok
	assert_output hello
	run_c bb sh -c 'exit 42'
	assert_status 42
}

@test "podman info names the runtime and the monitor" {
	assert_eq "$(podman_ info --format '{{.Host.OCIRuntime.Name}}')" "$ENGINE_RUNTIME"
	! ours || assert_eq "$(podman_ info --format '{{.Host.OCIRuntime.Path}}')" "$(runtime_path)"
	! ours || assert_eq "$(podman_ info --format '{{.Host.Conmon.Path}}')" "$BIN/berth-monitor"
	assert_eq "$(podman_ info --format '{{.Host.CgroupManager}}')" "$ENGINE_CGROUPS"
}

@test "exit status 125 is for what Podman does not understand, or has no image for" {
	run_c --no-such-flag bb true
	assert_status 125
	run_c --pull never no-such-image true
	assert_status 125
	assert_has no-such-image
}

@test "exit status 126 is for a file that cannot be executed" {
	run_c bb /etc/passwd
	assert_status 126
	output=${output,,}
	assert_has "permission denied"
}

@test "exit status 127 is for a program that is not there" {
	run_c bb no-such-program
	assert_status 127
	assert_has no-such-program
}

@test "exit status 137 is for a container that was killed" {
	idle_c
	podman_ kill "$ID"
	assert_eq "$(podman_ wait "$ID")" 137
	assert_eq "$(show '{{.State.ExitCode}}')" 137
}

@test "a working directory that is missing is an error that names it" {
	run_c --workdir /no/such/directory bb true
	assert_fails /no/such/directory
}

@test "run --rm removes the container, run without it keeps it" {
	run_c --name "$ID" bb true
	is_gone
	keep_c bb true
	assert_ok
	assert_eq "$(show '{{.State.Status}}')" exited
}

@test "run --rm -d removes the container when it has ended" {
	detach_c --rm bb sleep 0.1
	wait_for is_gone
}

@test "run --replace takes the name of another container" {
	idle_c
	first=$(show '{{.Id}}')
	try podman_ run -d --replace --name "$ID" "${BASE[@]}" bb sleep 1001
	assert_ok
	[[ $(show '{{.Id}}') != "$first" ]]
}

@test "run --tty gives a terminal of the caller's size" {
	output=$(on_tty run --rm -it "${BASE[@]}" bb sh -c 'usleep 300000; tty; stty size; exit 9' </dev/null)
	assert_has /dev/pts/
	assert_has "33 77"
	assert_has status=9
}

@test "run -i passes stdin and its end" {
	output=$(printf 'one\ntwo\n' | podman_ run --rm -i "${BASE[@]}" bb sh -c 'cat; echo end')
	assert_output $'one\ntwo\nend'
}

@test "run --init reaps, and passes the status and SIGTERM on" {
	run_c --init bb sh -c 'tr "\0" " " </proc/1/cmdline; echo; exit 3'
	assert_status 3
	[[ $output == *catatonit* || $output == */dev/init* || $output == */podman-init* ]]
	detach_c --init bb sleep 1000
	podman_ stop -t 10 "$ID"
	assert_eq "$(show '{{.State.ExitCode}}')" 143
}

@test "environment, env-file, working directory, host name, entry point, label" {
	echo FROM_FILE=file >"$T/env"
	run_c -e A=b --env-file "$T/env" -w /tmp --hostname berth-host --entrypoint /bin/sh -l k=v bb -c 'echo $A $FROM_FILE $PWD $(hostname)'
	assert_output "b file /tmp berth-host"
}

@test "run --user by number and by name, with further groups" {
	run_c --user user --group-add 77 bb sh -c 'id -u; id -g; id -G'
	assert_output $'1000\n1000\n1000 77'
	run_c --user 5:6 bb sh -c 'id -u; id -g'
	assert_output $'5\n6'
}

@test "run --umask and --tz" {
	run_c --umask 0077 bb sh -c umask
	assert_output 0077
	run_c --tz local bb date +%Z
	assert_ok
}

@test "create and start --attach" {
	podman_ create --name "$ID" "${BASE[@]}" bb sh -c 'echo started; exit 4' >"$T/id"
	assert_eq "$(show '{{.State.Status}}')" created
	try podman_ start --attach "$ID"
	assert_status 4
	assert_output started
}

@test "init makes the container, start runs its program" {
	podman_ create --name "$ID" "${BASE[@]}" -v "$T:/t" bb sh -c 'touch /t/up; sleep 1000' >"$T/id"
	podman_ init "$ID"
	assert_eq "$(show '{{.State.Status}}')" initialized
	[[ ! -e $T/up && $(show '{{.State.Pid}}') != 0 ]]
	podman_ start "$ID"
	wait_file up
	assert_eq "$(show '{{.State.Status}}')" running
}

@test "exec passes output, input and status" {
	idle_c
	exec_c sh -c 'echo out; exit 17'
	assert_status 17
	assert_output out
	assert_eq "$(echo in | podman_ exec -i "$ID" cat)" in
}

@test "exec on a terminal" {
	idle_c
	# Podman 4.3 may lose what is written at once, with runc and conmon too
	output=$(on_tty exec -it "$ID" sh -c 'usleep 300000; tty; exit 8' </dev/null)
	assert_has /dev/pts/
	assert_has status=8
}

@test "exec with user, directory, environment, and in the background" {
	idle_c -v "$T:/t"
	try podman_ exec --user 1000:1000 --workdir /tmp --env A=b "$ID" sh -c 'id -u; pwd; echo $A'
	assert_output $'1000\n/tmp\nb'
	podman_ exec -d "$ID" sh -c 'touch /t/up; sleep 2000' >"$T/out"
	wait_file up
	exec_c ps -o args
	assert_has "sleep 2000"
}

@test "exec --privileged has all capabilities, exec has the container's" {
	idle_c
	few=$(podman_ exec "$ID" grep CapEff /proc/self/status)
	all=$(podman_ exec --privileged "$ID" grep CapEff /proc/self/status)
	[[ $few != "$all" ]]
	assert_eq "$(awk '{ print $2 }' <<<"$all")" "$(podman_ exec --privileged "$ID" awk '/CapBnd/ { print $2 }' /proc/self/status)"
}

@test "exec of what is missing is 127, of what cannot be executed 126" {
	idle_c
	exec_c no-such-program
	assert_status 127
	exec_c /etc/passwd
	assert_status 126
}

@test "attach passes input and output, and ends with the container" {
	detach_c -i -v "$T:/t" bb sh -c 'while read x; do echo got $x; done; exit 6'
	output=$(printf 'a\nb\n' | podman_ attach "$ID")
	assert_output $'got a\ngot b'
	assert_eq "$(podman_ wait "$ID")" 6
}

@test "run --rootfs runs a directory" {
	mkdir "$T/rootfs"
	tar -C "$T/rootfs" -xf "$("$ENGINES/rootfs.sh" busybox)"
	run_c --rootfs "$T/rootfs" sh -c 'echo inside >/made'
	assert_ok
	assert_eq "$(<"$T/rootfs/made")" inside
}

@test "run --rootfs DIR:O leaves the directory as it is" {
	mkdir "$T/rootfs"
	tar -C "$T/rootfs" -xf "$("$ENGINES/rootfs.sh" busybox)"
	run_c --rootfs "$T/rootfs:O" sh -c 'echo inside >/made; cat /made'
	assert_output inside
	[[ ! -e $T/rootfs/made ]]
}

@test "run --systemd=false leaves /run and the stop signal alone" {
	run_c --systemd=false --name "$ID" bb sh -c 'mount | grep -c "on /run type tmpfs"; true'
	assert_output 0
	detach_c --systemd=always bb sleep 1000
	assert_eq "$(show '{{.Config.StopSignal}}')" 37
	exec_c sh -c 'mount | grep -c "on /run type tmpfs"; echo $container'
	assert_has 1
}

@test "run --cidfile, --pidfile and --conmon-pidfile" {
	idle_c --cidfile "$T/cid" --pidfile "$T/pid" --conmon-pidfile "$T/conmon"
	assert_eq "$(<"$T/cid")" "$(show '{{.Id}}')"
	assert_eq "$(<"$T/pid")" "$(show '{{.State.Pid}}')"
	assert_eq "$(<"$T/conmon")" "$(show '{{.State.ConmonPid}}')"
}

@test "a container that another runtime is named for" {
	run_c bb true
	assert_ok
	other=crun
	[[ $ENGINE_RUNTIME != crun ]] || other=runc
	keep_c --name "$ID" bb true
	try podman_ --runtime "$other" run --name "$ID-other" "${BASE[@]}" bb echo other
	assert_output other
	assert_eq "$(show '{{.OCIRuntime}}' "$ID-other")" "$other"
	assert_eq "$(show '{{.OCIRuntime}}')" "$ENGINE_RUNTIME"
}

@test "a runtime that does not exist is named in the error" {
	try podman_ --runtime /no/such/runtime run --rm "${BASE[@]}" bb true
	assert_status 125
	assert_has /no/such/runtime
}
