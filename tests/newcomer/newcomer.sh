#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Does what the README and docs/docker.md tell a newcomer to do, on a Debian that
# has nothing but make, git and sudo: the commands are those of the pages' code
# blocks. As root; the machine is a directory with mount, pid and cgroup namespaces
# of its own, and a network namespace for dockerd.
#
#   tests/newcomer/newcomer.sh            all of it
#   tests/newcomer/newcomer.sh install    steps: demo install docker deb
#   BERTH_NEWCOMER_ROOT=FILE.tar          a root file system, instead of making one
set -euo pipefail
here=$(dirname "$(realpath "$0")")
source "$here/machine.sh"
repo=$(realpath "$here/../..")

# blocks FILE HEADING: its code blocks without a language, separated by NUL.
blocks() {
	awk -v heading="$2" '
		/^```/ { if (code) { if (here && plain) printf "%c", 0; code = 0 } else { code = 1; plain = $0 == "```" } next }
		/^#/ && !code { here = $0 ~ "^#+ " heading "$" }
		here && code && plain' "$repo/$1"
}

# block FILE HEADING NUMBER: one of them; that there is none is an error.
block() {
	local list
	mapfile -d '' list < <(blocks "$1" "$2")
	[[ ${list[$3 - 1]:-} ]] || {
		echo "newcomer: $1 has no code block $3 under $2" >&2
		return 1
	}
	printf '%s' "${list[$3 - 1]}"
}

# say TEXT: what comes now.
say() { printf '\n== newcomer: %s\n' "$*"; }

# The others of that block are the tests themselves.
step_demo() {
	say "README, Try it"
	block README.md 'Try it' 1 | grep '^make demo' | on_machine
}

step_install() {
	say "README, Install"
	block README.md Install 1 | on_machine
	on_machine <<<'berth --version && berth-image --version && cd / && ls /usr/local/share/man/man8/berth.8'
	say "README, Use it"
	# top would stay until a person leaves it.
	{
		block README.md 'Use it' 1
		block README.md 'Use it' 2 | grep -v '^sudo berth top'
	} | on_machine exit
	on_machine <<<'[[ $(sudo berth list -q) == "" ]]; sudo make uninstall; [[ ! -e /usr/local/bin/berth ]]'
}

step_deb() {
	say "README, the Debian package"
	block README.md Install 2 | on_machine
	on_machine <<<'[[ $(command -v berth) == /usr/bin/berth ]]; sudo apt-get remove -y -qq berth; [[ ! -e /usr/bin/berth ]]'
}

# The page is for a machine with Docker and Berth, and busybox from the Hub.
step_docker() {
	say "Docker's page"
	on_machine <<'END'
sudo apt-get install -y -qq --no-install-recommends docker.io iptables busybox-static >/dev/null
sudo systemctl start docker
mkdir -p busybox/bin
cp /bin/busybox busybox/bin
/bin/busybox --list | sed 's|^|busybox/bin/|' | grep -v /busybox$ | xargs -n1 ln -sf busybox
tar -C busybox -c bin | docker import --change 'CMD ["sh"]' - busybox >/dev/null
END
	block docs/docker.md "$(first_heading docs/docker.md)" 1 | on_machine
	on_machine <<<'[[ $(docker ps -aq) == "" ]]; sudo systemctl stop docker; sudo make uninstall'
}

# first_heading FILE: that over its first code block.
first_heading() { awk '/^#/ { sub(/^#+ /, ""); last = $0 } /^```/ { print last; exit }' "$repo/$1"; }

((EUID == 0)) || {
	echo "newcomer: must be started as root, to make a machine" >&2
	exit 1
}
(($#)) || set -- demo install docker deb
trap stop_machine EXIT
start_machine "$repo"
for name; do "step_$name"; done
say "done: $*"
