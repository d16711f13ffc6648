#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The second kernel: runs a command in a small Debian with systemd and cgroup v2,
# emulated by QEMU, with this tree at /src. Its output is ours, as it comes, and
# its exit code is ours.
#
#   tests/vm/run.sh [-k 6.12|6.1] [-1] [-t SECONDS] [-p PACKAGES]… [-f FILE]… COMMAND…
#
#   -k K          the kernel: 6.12, or 6.1 ($KERNEL)
#   -1            systemd on cgroup v1; only 6.1 has all of its controllers
#   -t SECONDS    the machine's time, 1500 by default; then the exit code is 124
#   -p PACKAGES   builds these packages (./tests/...), for `go test` or `go run` inside
#   -f FILE       a file of this machine's, in /src/.vm/files
#
# One word is a line for bash, several are a command and its arguments. It runs
# as root in /src, where it can write; nothing is kept. The exit code is 125 if
# the machine ended without a verdict; $BERTH_VM_CONSOLE keeps its console.
set -euo pipefail
PATH=$PATH:/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
here=$(dirname "$(realpath "$0")")
root=$(realpath "$here/../..")
. "$root/tests/setup/build.env"
export GOEXPERIMENT=$EXPERIMENT

usage() {
	sed -n 's/^#   \(tests.*\)/usage: \1/p' "$0" >&2
	exit 2
}

# tree DIR: the sources, bin/, and the programs that tests build themselves.
tree() {
	local dir=$1 name programs="integration/recvtty"
	mkdir -p "$dir/.vm/go" "$dir/.vm/files"
	((${#files[@]} == 0)) || cp "${files[@]}" "$dir/.vm/files/"
	tar -C "$root" --exclude=./.git --exclude=./.go -cf - . | tar -C "$dir" -xf -
	export CGO_ENABLED=0
	cd "$root"
	((${#tests[@]} == 0)) || programs+=" tests/payload examples/embed $(mains)"
	for name in $programs; do
		go build -trimpath -tags "$TAGS" -ldflags '-s -w' -o "$dir/.vm/go/$name/program" "./$name"
	done
	((${#tests[@]})) || return 0
	go list -tags "$TAGS" -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "${tests[@]}" |
		while read -r name; do
			go test -c -trimpath -tags "$TAGS" -ldflags '-s -w' -o "$dir/.vm/go/${name#berth/}/test" "$name"
		done
}

# mains: those of the packages that are programs.
mains() {
	go list -tags "$TAGS" -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' "${tests[@]}" | sed 's|^berth/||' | xargs
}

# command_line WORD…: what bash in the guest reads.
command_line() {
	if (($# == 1)); then
		printf '%s\n' "$1"
	else
		printf '%q ' "$@"
	fi
}

# boot IMAGE: in the background, as $machine.
boot() {
	local append="root=/dev/vda rw console=ttyS0 quiet panic=-1 apparmor=1 security=apparmor hugepages=4 nowatchdog net.ifnames=0"
	append+=" systemd.show_status=0 rcupdate.rcu_cpu_stall_suppress=1"
	[[ ! $v1 ]] || append+=" systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"
	local drive="if=virtio,format=raw,cache=unsafe" options
	options=(
		# Without cx16: QEMU 7.2 leaves garbage in the flags after a cmpxchg16b, and an
		# interrupt that comes before the next comparison ends in a double fault.
		-accel "tcg,thread=multi,tb-size=512" -smp 2 -cpu "max,-cx16" -m 2048
		-nodefaults -no-user-config -no-reboot -display none
		-kernel "$1/vmlinuz-$kernel" -initrd "$1/initrd-$kernel" -append "$append"
		# What the guest writes to the image goes to a file that has no name any more.
		-drive "file=$1/root.ext4,$drive,snapshot=on"
		-drive "file=$work/src.ext4,$drive"
		-drive "file=$work/spare1,$drive" -drive "file=$work/spare2,$drive"
		# An eth0 that leads nowhere.
		-nic "user,restrict=on,model=virtio-net-pci"
		-device virtio-rng-pci -device virtio-serial-pci
		-chardev "file,id=console,path=$work/console" -serial chardev:console
		-chardev "file,id=output,path=$work/output" -device "virtserialport,chardev=output,name=berth.output"
		-chardev "file,id=status,path=$work/status" -device "virtserialport,chardev=status,name=berth.status"
	)
	qemu-system-x86_64 "${options[@]}" </dev/null &
	machine=$!
}

# shellcheck disable=SC2317 # a trap calls it
clean_up() {
	if [[ $machine ]]; then
		kill -9 "$machine" 2>/dev/null || true
		wait "$machine" 2>/dev/null || true
	fi
	[[ ! ${BERTH_VM_CONSOLE:-} || ! -e $work/console ]] || cp "$work/console" "$BERTH_VM_CONSOLE"
	rm -rf "$work"
}

kernel=${KERNEL:-6.12} v1='' limit=1500 tests=() files=() machine=''
while getopts k:1t:p:f: option; do
	case $option in
	k) kernel=$OPTARG ;;
	1) v1=1 ;;
	t) limit=$OPTARG ;;
	p) tests+=("$OPTARG") ;;
	f) files+=("$OPTARG") ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
(($#)) || usage
if [[ $v1 && $kernel != 6.1 ]]; then
	echo "vm: Debian's $kernel has no memory and cpuset controllers for cgroup v1: give -k 6.1" >&2
	exit 2
fi
[[ -x $root/bin/berth ]] || {
	echo "vm: no bin/berth: run make build" >&2
	exit 1
}

image=$("$here/image.sh")
[[ -e $image/vmlinuz-$kernel ]] || {
	echo "vm: no kernel $kernel in the image: $(cd "$image" && echo vmlinuz-*)" >&2
	exit 2
}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/berth-vm.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

(tree "$work/tree")
command_line "$@" >"$work/tree/.vm/command"
truncate -s 2G "$work/src.ext4"
mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$work/tree" "$work/src.ext4"
rm -rf "$work/tree"
truncate -s 64M "$work/spare1" "$work/spare2"
# QEMU would make a terminal or a pipe that others read non-blocking, this one is ours.
mkfifo "$work/output"
cat "$work/output" &
reader=$!
boot "$image"
# A signal waits until a program in the foreground has ended, but not for `wait`.
timeout "$limit" tail -s 0.2 -f /dev/null --pid="$machine" &
watch=$!
wait "$watch" || {
	echo "vm: killed after $limit s" >&2
	exit 124
}
wait "$machine" || true
machine=
wait "$reader"
status=$(<"$work/status")
[[ $status =~ ^[0-9]+$ ]] || {
	echo "vm: the machine ended without a verdict; the end of its console:" >&2
	tail -n 30 "$work/console" >&2
	exit 125
}
exit "$status"
