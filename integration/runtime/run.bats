#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

@test "run: passes output on and leaves nothing" {
	set_args echo hello world
	run_ct
	assert_ok
	assert_output "hello world"
	assert_nothing_left
}

@test "run: returns the exit status of the program" {
	for n in 0 1 7 125 255; do
		set_args sh -c "exit $n"
		run_ct
		assert_status "$n"
	done
}

@test "run: returns 128 + n when signal n killed the program" {
	set_script 'sh -c "kill -KILL \$\$"; exit $?'
	run_ct
	assert_status 137
	# init itself, which only the host can kill
	set_args sleep 1000
	rt run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 3>&- &
	runtime=$!
	wait_status running
	kill -9 "$(state_of pid)"
	code=0
	wait $runtime || code=$?
	assert_eq $code 137
}

@test "run: standard input reaches the program" {
	set_args cat
	try rt run --bundle "$BUNDLE" "$ID" <<<"from outside"
	assert_ok
	assert_output "from outside"
}

@test "run: standard output and error stay apart" {
	set_script 'echo out; echo err >&2'
	rt run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>"$T/err"
	assert_eq "$(cat "$T/out")" out
	assert_eq "$(cat "$T/err")" err
}

@test "run: output to a file that was opened for appending" {
	echo first >"$T/log"
	set_args echo second
	rt run --bundle "$BUNDLE" "$ID" </dev/null >>"$T/log"
	assert_eq "$(cat "$T/log")" $'first\nsecond'
}

@test "run: SIGTERM to the runtime reaches the program" {
	set_script 'trap "echo got it; exit 5" TERM; echo ready; while :; do sleep 0.05; done'
	"$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 3>&- &
	runtime=$!
	wait_output ready
	kill -TERM $runtime
	code=0
	wait $runtime || code=$?
	assert_eq $code 5
	grep -q "got it" "$T/out"
}

@test "run: SIGUSR1, SIGHUP and SIGINT are forwarded too" {
	# a background job of a shell ignores SIGINT; env resets that
	set_script 'trap "echo usr1" USR1; trap "echo hup" HUP; trap "echo int; exit 6" INT; echo ready; while :; do sleep 0.05; done'
	env --default-signal=INT "$RUNTIME" --root "$ROOT" run --bundle "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1 3>&- &
	runtime=$!
	wait_output ready
	kill -USR1 $runtime
	wait_output usr1
	kill -HUP $runtime
	wait_output hup
	kill -INT $runtime
	code=0
	wait $runtime || code=$?
	assert_eq $code 6
}

@test "run --detach: returns while the program runs" {
	idle_ct
	assert_eq "$(status_of)" running
	assert_eq "$(cat "$T/out" "$T/err")" ""
}

@test "run -d: the short form" {
	set_args sleep 1000
	rt run -d -b "$BUNDLE" "$ID" </dev/null >"$T/out" 2>&1
	assert_eq "$(status_of)" running
}

@test "run --detach: the program ends by itself, delete clears up" {
	set_args true
	detach_ct
	wait_status stopped
	assert_eq "$(state_of pid)" 0
	rt delete "$ID"
	assert_nothing_left
}

@test "run --keep: the stopped container stays" {
	lacks crun 1.9 "--keep is new there"
	set_script 'exit 3'
	run_ct --keep
	assert_status 3
	assert_eq "$(status_of)" stopped
	rt delete "$ID"
	assert_nothing_left
}

@test "run: daemons of the container die with its init" {
	only_v1 "a hierarchy per controller"
	n=$((1000000 + $$))
	set_script "setsid sleep $n & exit 0"
	run_ct
	assert_ok
	! grep -lz "^$n\$" /proc/[0-9]*/cmdline 2>/dev/null || fail "a daemon lives on"
}

@test "run --no-subreaper, --no-new-keyring and --no-pivot are accepted" {
	set_args echo fine
	for flag in --no-subreaper --no-new-keyring --no-pivot; do
		run_ct $flag
		assert_ok
		assert_output fine
	done
}

@test "run --no-pivot: the host's files are not reachable" {
	echo secret >"$T/witness"
	set_script "ls /; ls $T/witness /../..$T/witness 2>&1; true"
	run_ct --no-pivot
	assert_ok
	assert_lacks $'\n'"$T/witness"$'\n'
	assert_has "No such file"
}

@test "run: arguments keep spaces, quotes, newlines and empty strings" {
	set_args printf '[%s]' 'a b' "it's" '"q"' $'two\nlines' '' '*' '$HOME'
	run_ct
	assert_output "[a b][it's][\"q\"]["$'two\nlines'"][][*][\$HOME]"
}

@test "run: a failure is exit status 1 and leaves nothing" {
	set_args /no/such/program
	run_ct
	assert_fails
	case $RT in
	crun) ;;
	*) assert_status 1 ;;
	esac
	assert_nothing_left
}

@test "run: twice with the same id, one after another" {
	set_args echo again
	run_ct
	assert_output again
	run_ct
	assert_output again
}
