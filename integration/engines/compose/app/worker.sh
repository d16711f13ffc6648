#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Takes a word from the list of jobs, and puts it into that of what is done.
trap 'echo stopped; exit 0' TERM
echo "worker $(hostname) is ready"
while :; do
	job=$(redis-cli -h db BLPOP jobs 1 | tail -n1)
	[ -n "$job" ] || continue
	redis-cli -h db RPUSH "done" "$job@$(hostname)" >/dev/null
	echo "did $job"
done
