# SPDX-License-Identifier: Apache-2.0
# berth-image as a user has it, with a store per case, and a teardown that fails
# when a mount, a process, a cgroup or a half-made thing is left.

bats_require_minimum_version 1.5.0
source "$BATS_TEST_DIRNAME/layouts.bash"
source "$BATS_TEST_DIRNAME/../cases.bash"

setup() { setup_case; }
teardown() { teardown_case; }

# setup_case: nothing of the machine's user is read: no store, no credentials.
setup_case() {
	ID=im$BATS_ROOT_PID-$BATS_SUITE_TEST_NUMBER
	T=$(realpath "$BATS_TEST_TMPDIR") STORE=$T/store PIDS=()
	export HOME=$T/home
	unset XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME DOCKER_CONFIG REGISTRY_AUTH_FILE SOURCE_DATE_EPOCH
	mkdir "$HOME"
	cd "$T" || return
}

teardown_case() {
	local bad=0 left pid dir
	cd /
	for pid in "${PIDS[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait_for no_users || { echo "processes left: $(users_of_case)" >&2; users_of_case | xargs -r kill -9; bad=1; }
	# Bundles are the case's own to make: they may be there, and have to go.
	for dir in "$T"/b*/; do
		[[ ! -e $dir/config.json ]] || bi -q unmount --rm "$dir" >/dev/null 2>&1 || true
	done
	left=$(awk -v t="$T/" 'index($5, t) == 1 { print $5 }' /proc/self/mountinfo)
	if [[ -n $left ]]; then
		echo "mounts left: $left" >&2
		tac <<<"$left" | xargs -r -n1 umount -l
		bad=1
	fi
	left=$(find /sys/fs/cgroup -name "*$ID*" 2>/dev/null)
	[[ -z $left ]] || { echo "cgroups left: $left" >&2; bad=1; }
	left=$(halves)
	[[ -z $left ]] || { echo "half-made things left: $left" >&2; bad=1; }
	return $bad
}

# users_of_case: pids of processes that have the case's directory in their
# command line or as their root.
users_of_case() {
	{
		pgrep -f -- "$T/" || true
		find /proc/[0-9]*/root -maxdepth 0 -lname "$T/*" 2>/dev/null | cut -d/ -f3
	} | grep -vxE "$$|$BASHPID" | sort -u
}
no_users() { [[ -z $(users_of_case) ]]; }
# halves: what only a killed process may leave.
halves() {
	find "$T" -maxdepth 2 -name '.*.berth-*' 2>/dev/null
	find "$STORE/layers" -maxdepth 1 -name '.new-*' 2>/dev/null
	find "$STORE/run" "$T/state" -mindepth 1 -maxdepth 1 -not -name .seccomp 2>/dev/null # that is a cache
	find "$STORE/partial" -name '.spool-*' 2>/dev/null
}

# ---- running it --------------------------------------------------------

# bi ARG…: berth-image on the case's store.
bi() { timeout --foreground -k 1 60 "$BIN/berth-image" --root "$STORE" "$@" 3>&-; }
# try COMMAND…: its status in $status, what it printed in $output and in $out and $err.
try() {
	status=0
	"$@" >"$T/.out" 2>"$T/.err" 3>&- </dev/null || status=$?
	out=$(<"$T/.out") err=$(<"$T/.err")
	output=$out${out:+${err:+$'\n'}}$err
}
# get NAME…: images of the suite, from their layouts.
get() {
	local name
	for name; do bi -q pull "oci:$IMG/$name:latest" "$name" >/dev/null || return; done
}
digest_of() { bi inspect "$1" | jq -r .descriptor.digest; }
# layout_digest LAYOUT [TAG]: of the manifest in the index of a layout.
layout_digest() {
	jq -r --arg t "${2:-latest}" '.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $t).digest' "$1/index.json"
}
# layout_layer NAME I: the digest of a layer of an image of the suite.
layout_layer() {
	local digest
	digest=$(layout_digest "$IMG/$1")
	jq -r ".layers[$2].digest" "$IMG/$1/blobs/sha256/${digest#*:}"
}
# config_of NAME JQ: what that gives of the documents.
config_of() { bi inspect "$1" | jq -rc "$2"; }
# spec JQ: of the bundle $T/b.
spec() { jq -c "$1" "$T/b/config.json"; }

# run_image FLAG… IMAGE ARG…: with the runtime's state below the case.
run_image() { try run_plain "$@"; }
run_plain() { bi -q run --name "$ID" --runtime-arg=--root --runtime-arg="$T/state" --net none "$@"; }

# ---- trees -------------------------------------------------------------

# tree DIR: everything that a layer says of files, a line each, sorted. Link
# counts only with LINKS=1: overlayfs shows those of the lower layer.
tree() (
	cd "$1" || exit 1
	export LC_ALL=C
	local n=
	[[ ! ${LINKS:-} ]] || n=%n
	find . -type d -printf '%P\t%y %m %U:%G %Ts\0' -o -type l -printf "%P\t%y %U:%G %Ts $n %l\0" \
		-o -type f -printf "%P\t%y %m %U:%G %Ts $n %s\0" -o -printf "%P\t%y %m %U:%G %Ts $n\0" | sort -z | tr '\n\0' '\1\n'
	find . -type f -print0 | sort -z | xargs -0r sha256sum -z | tr '\n\0' '\1\n'
	find . \( -type b -o -type c \) -print0 | sort -z | xargs -0r stat -c '%n %t:%T'
	find . -print0 | sort -z | xargs -0r getfattr -h -d -m - -e hex --absolute-names | grep -v '^trusted\.' || true
)
# assert_same_tree DIR DIR
assert_same_tree() {
	tree "$1" >"$T/.tree1"
	tree "$2" >"$T/.tree2"
	[[ $(wc -l <"$T/.tree1") -gt 2 ]] || fail "there is nothing in $1" || return 1
	diff -a "$T/.tree1" "$T/.tree2" >&2 || fail "the trees differ"
}
# umoci_tree NAME DIR: the image of the suite as umoci unpacks it.
umoci_tree() { umoci unpack --image "$IMG/$1:latest" "$2" >/dev/null 2>&1; }

# ---- assertions, beside those of ../cases.bash -------------------------

assert_lacks() { [[ $output != *"$1"* ]] || fail "do not want in output: $1"; }
# refused WORDS ARG…: berth-image fails with 1 and one line that has the words.
refused() {
	local words=$1
	shift
	try bi -q "$@"
	is_refusal "$words"
}
is_refusal() {
	assert_status 1 || return 1
	[[ $output == "berth-image: "* && $output != *$'\n'* ]] || fail "want one line of error" || return 1
	assert_has "$1"
}
# absent PATH…: nothing is there.
absent() {
	local path
	for path; do [[ ! -e $path && ! -L $path ]] || fail "there is $path" || return 1; done
}
