# SPDX-License-Identifier: Apache-2.0
# What every suite's cases say: waiting, trying, and comparing.

# wait_for COMMAND…: until it is true, five seconds at most, or WAIT seconds.
wait_for() {
	local i
	for ((i = 0; i < ${WAIT:-5} * 50; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.02
	done
	echo "never came true: $*" >&2
	return 1
}
# try COMMAND…: its output and status are in $output and $status. The output goes
# through a file, since a process left behind would hold bats' pipe open.
try() {
	status=0
	"$@" >"$T/try" 2>&1 3>&- </dev/null || status=$?
	output=$(<"$T/try")
}

fail() {
	printf '%s\nstatus: %s\noutput: %s\n' "$1" "${status:-}" "${output:-}" >&2
	return 1
}
assert_ok() { ((status == 0)) || fail "want success"; }
assert_status() { ((status == $1)) || fail "want exit status $1"; }
assert_fails() {
	((status != 0)) || fail "want a failure" || return 1
	(($# == 0)) || [[ $output == *"$1"* ]] || fail "want in output: $1"
}
assert_output() { [[ $output == "$1" ]] || fail "want output: $1"; }
assert_has() { [[ $output == *"$1"* ]] || fail "want in output: $1"; }
assert_eq() { [[ $1 == "$2" ]] || fail "got $(printf %q "$1"), want $(printf %q "$2")"; }
