# SPDX-License-Identifier: Apache-2.0
# Starting and stopping the suite's containerd, also in the middle of a case.

ctr_() { timeout --foreground -k 1 30 ctr --address "$CD/c.sock" "$@"; }

start_containerd() {
	PATH=$CD/bin:$BIN:$PATH setsid containerd --config "$CD/config.toml" >>"$CD/log" 2>&1 </dev/null 3>&- &
	echo $! >"$CD/pid"
	local i
	for ((i = 0; i < 200; i++)); do
		ctr_ version >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	echo "containerd does not start: $(tail -n 3 "$CD/log")" >&2
	return 1
}
stop_containerd() {
	local pid
	pid=$(<"$CD/pid")
	kill "${1:--TERM}" "$pid" 2>/dev/null || return 0
	while [[ -e /proc/$pid ]] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null; do sleep 0.05; done
}
