#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# An ordinary user with subordinate ids, as in ../runtime.

load helpers

# A place that the user may enter, with what they need of the suite.
setup() {
	setup_case
	id berth-it >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin berth-it
	grep -q '^berth-it:' /etc/subuid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subuid
	grep -q '^berth-it:' /etc/subgid 2>/dev/null || echo berth-it:700000:65536 >>/etc/subgid
	U=$(mktemp -d /tmp/berth-image.XXXX)
	mkdir -p "$U"/{home,run,bin}
	cp "$BIN/berth" "$BIN/berth-image" "$U/bin/" # the suite's may be below a closed directory
	skopeo copy -q --insecure-policy "oci:$IMG/app:latest" "oci:$U/images:app"
	skopeo copy -q --insecure-policy "oci:$IMG/bb:latest" "oci:$U/images:bb"
	chmod 700 "$U/run"
	chown -R berth-it: "$U"
	AS=(setpriv --reuid berth-it --regid berth-it --init-groups --inh-caps=-all -- env -i "PATH=$PATH" "HOME=$U/home" "XDG_RUNTIME_DIR=$U/run")
	cd "$U" || return
}

teardown() {
	local bad=0 left
	left=$(pgrep -f -- "$U/" || true)
	[[ -z $left ]] || { echo "processes left: $left" >&2; kill -9 $left; bad=1; }
	left=$(grep -F " $U/" /proc/self/mountinfo || true)
	[[ -z $left ]] || { echo "mounts left: $left" >&2; bad=1; }
	left=$(find "$U" -name '.*.berth-*'; find "$U/home/.local/share/berth-image/run" -mindepth 1 -maxdepth 1 2>/dev/null)
	[[ -z $left ]] || { echo "half-made things left: $left" >&2; bad=1; }
	teardown_case || bad=1
	rm -rf "$U"
	return $bad
}

# ubi ARG…: as the user, on their own store.
ubi() { timeout --foreground -k 1 60 "${AS[@]}" "$U/bin/berth-image" "$@" 3>&-; }
urefused() {
	local words=$1
	shift
	try ubi -q "$@"
	is_refusal "$words"
}

@test "user: the store is below the home directory, for them alone" {
	try ubi -q pull "oci:$U/images:bb" bb
	assert_ok
	assert_eq "$(stat -c '%a %U' "$U/home/.local/share/berth-image")" "700 berth-it"
	try ubi -q list
	assert_output docker.io/library/bb:latest
}

@test "user: pull, push, commit and export of a copy" {
	ubi -q pull "$REG/bb"
	ubi -q unpack --mode copy "$REG/bb" "$U/b"
	assert_eq "$(stat -c %U "$U/b/rootfs/bin/busybox")" berth-it
	"${AS[@]}" sh -c "echo new >'$U/b/rootfs/new'"
	ubi -q commit "$U/b" x
	ubi -q push x "$REG/user/x"
	bi -q pull "$REG/user/x"
	bi -q unpack "$REG/user/x" "$T/b"
	assert_eq "$(stat -c '%u:%g' "$T/b/rootfs/new" "$T/b/rootfs/bin/busybox" | xargs)" "0:0 0:0"
	ubi -q export x "docker-archive:$U/x.tar"
	test -s "$U/x.tar"
}

# ---- with the ids of /etc/subuid ----------------------------------------

# uin COMMAND…: as the user, in unshare.
uin() { ubi unshare "$@"; }
# ulayers: how many unpacked layers the user's store has.
ulayers() { find "$U/home/.local/share/berth-image/layers" -mindepth 1 -maxdepth 1 | wc -l; }
# unothing: neither bundle nor record nor state is left.
unothing() {
	local s=$U/home/.local/share/berth-image
	[[ -z $(find "$s/bundles" "$s/partial" -type f) && -z $(find "$s/run" -mindepth 1 -maxdepth 1 ! -name .state) ]] || fail "left: $(find "$s"/{bundles,partial,run})" || return 1
	[[ -z $(find "$U/run/berth" "$s/run/.state" -mindepth 1 -maxdepth 1 ! -name .seccomp 2>/dev/null) ]] || fail "state is left"
}
# kinds_image: files of every kind, with owners that the user's range has.
kinds_image() {
	local d=$T/kinds
	mkdir -p "$d/dir/gone" "$d/sticky"
	echo suid >"$d/suid" && chown 1:2 "$d/suid" && chmod 6755 "$d/suid"
	echo last >"$d/last" && chown 65536:65536 "$d/last"
	cp "$(command -v busybox)" "$d/ping" && setcap cap_net_raw=ep "$d/ping"
	echo xattr >"$d/xattr" && setfattr -n user.one -v 1 "$d/xattr"
	echo secret >"$d/secret" && chown 7:8 "$d/secret" && chmod 000 "$d/secret"
	echo linked >"$d/first" && chown 1000:1000 "$d/first" && ln "$d/first" "$d/dir/second"
	ln -s first "$d/link" && chown -h 3:4 "$d/link"
	mkfifo -m 640 "$d/fifo" && chown 5:6 "$d/fifo"
	chmod 1777 "$d/sticky" && chown 9:9 "$d/dir" && chmod 700 "$d/dir"
	echo x >"$d/dir/gone/x"
	touch -h -d '2020-03-04 05:06:07Z' "$d"/*
	layer "$d" "$T/kinds.tar"
	mkdir -p "$T/hide/dir"
	: >"$T/hide/dir/.wh.gone"
	chown 9:9 "$T/hide/dir"
	layer "$T/hide" "$T/hide.tar"
	finish "$U/kinds" latest "$(put_image "$U/kinds" gzip '{"Cmd":["/bin/sh"],"Env":["PATH=/bin"]}' "$S/src/bin.tar" "$S/src/etc.tar" "$T/kinds.tar" "$T/hide.tar")"
	chown -R berth-it: "$U/kinds"
}
# its_tree: what the tree function prints in unshare.
its_tree() { uin bash -c "$(declare -f tree); LINKS=${LINKS:-} tree '$1'"; }

@test "user: owners in the container are the image's" {
	ubi -q pull "oci:$U/images:app" app
	try ubi -q run --entrypoint "/bin/stat -c %u:%g:%a" app /data /srv/app /bin/busybox /tmp
	assert_output $'1000:1000:755\n1000:1000:755\n0:0:755\n0:0:1777'
	assert_eq "$(stat -c %u "$(find "$U/home/.local/share/berth-image/layers" -path '*/srv/app')")" 700999
	try ubi -q run --user 0 --entrypoint '["/bin/sh", "-c"]' app 'chown 77:88 /etc/passwd && stat -c %u:%g /etc/passwd; cat /proc/self/uid_map | tr -s " "'
	assert_output $'77:88\n 0 999 1\n 1 700000 65536'
	unothing
}

@test "user: run is an overlay, and a second one unpacks nothing" {
	ubi -q pull "oci:$U/images:bb" bb
	try ubi run bb grep -c '^overlay / overlay' /proc/mounts
	assert_ok
	assert_eq "$out" 1
	assert_lacks "warning"
	assert_eq "$(ulayers)" 2
	try ubi run bb sh -c '! ls /new 2>/dev/null && rm -r /data && echo x >/new && ls /'
	assert_ok
	assert_lacks unpack
	assert_lacks $'\ndata'
	assert_eq "$(ulayers)" 2
	unothing
}

@test "user: files of every kind are what root unpacks" {
	kinds_image
	ubi -q pull "oci:$U/kinds" kinds
	bi -q pull "oci:$U/kinds" kinds
	for mode in copy overlay; do
		bi -q unpack --mode $mode kinds "$T/b$mode"
		LINKS=$([[ $mode != copy ]] || echo 1) tree "$T/b$mode/rootfs" >"$T/want-$mode"
		[[ $(wc -l <"$T/want-$mode") -gt 40 ]] || fail "what is there?"
	done
	ubi -q unpack kinds "$U/copy"
	diff -a "$T/want-copy" <(LINKS=1 its_tree "$U/copy/rootfs")
	uin bash -c "$(declare -f tree); '$U/bin/berth-image' -q unpack kinds '$U/over' && tree '$U/over/rootfs'" | diff -a "$T/want-overlay" -
	assert_eq "$(ulayers)" 4
	# the bundle is for the user's own berth, the one of the overlay for unshare's
	assert_eq "$(jq -c .linux.uidMappings "$U/copy/config.json" "$U/over/config.json" | xargs)" \
		"[{containerID:0,hostID:999,size:1},{containerID:1,hostID:700000,size:65536}] null"
	ubi -q unmount --rm "$U/copy"
	ubi -q unmount --rm "$U/over"
	absent "$U/copy" "$U/over"
}

@test "user: devices are empty files" {
	mkdir "$T/dev"
	mknod -m 666 "$T/dev/null" c 1 3
	layer "$T/dev" "$T/dev.tar"
	chmod 644 "$T/dev.tar"
	cp "$T/dev.tar" "$U/dev.tar"
	ubi -q import "$U/dev.tar" dev >/dev/null
	try ubi unpack dev "$U/b"
	assert_ok
	assert_has "devices cannot be made"
	assert_eq "$(uin stat -c '%F %a' "$U/b/rootfs/null")" "regular empty file 0"
}

@test "user: a plain berth runs a copy, and commit has the container's ids" {
	ubi -q pull "oci:$U/images:bb" bb
	bi -q pull "oci:$IMG/bb:latest" bb
	change='["sh", "-c", "id -u; stat -c %u /data; echo a >/a; chown 1000:2000 /a; chmod 4711 /a; ln /a /b; chown 33:0 /etc/passwd; rm /data/seed; mkdir -m 700 /d; chown 5:5 /d; rm -r /srv; mkdir /srv; echo n >/srv/n"]'
	ubi -q unpack --cmd "$change" bb "$U/b"
	try "${AS[@]}" "$U/bin/berth" run -b "$U/b" c1
	assert_output $'0\n1000'
	assert_eq "$(stat -c %u:%g "$U/b/rootfs/a")" 700999:701999
	bi -q unpack --mode copy --cmd "$change" --net host bb "$T/b"
	try "$BIN/berth" --root "$T/state" run -b "$T/b" "$ID"
	assert_output $'0\n1000'
	try "${AS[@]}" SOURCE_DATE_EPOCH=1 "$U/bin/berth-image" -q commit "$U/b" x
	assert_ok
	assert_eq "$output" "$(SOURCE_DATE_EPOCH=1 bi -q commit "$T/b" x)"
	# and so in an overlay
	try uin sh -c "'$U/bin/berth-image' -q unpack --cmd '$change' bb '$U/o' && '$U/bin/berth' run -b '$U/o' c2"
	assert_output $'0\n1000'
	bi -q unpack --cmd "$change" --net host bb "$T/b2"
	"$BIN/berth" --root "$T/state" run -b "$T/b2" "$ID"
	assert_eq "$("${AS[@]}" SOURCE_DATE_EPOCH=1 "$U/bin/berth-image" -q commit "$U/o" x)" "$(SOURCE_DATE_EPOCH=1 bi -q commit "$T/b2" x)"
	# what was committed is there again, for the same ids
	try ubi -q run x stat -c %u:%g:%a /a /b /etc/passwd /d
	assert_output $'1000:2000:4711\n1000:2000:4711\n33:0:644\n5:5:700'
}

@test "user: an overlay is for unshare" {
	ubi -q pull "oci:$U/images:bb" bb
	urefused "berth-image unshare" unpack --mode overlay bb "$U/b"
	absent "$U/b"
	try ubi unpack bb "$U/copy"
	assert_ok
	assert_lacks warning
	uin sh -c "'$U/bin/berth-image' -q unpack --mode overlay bb '$U/b' && echo new >'$U/b/rootfs/new'"
	assert_eq "$(ls -A "$U/b/rootfs")" ""
	urefused "berth-image unshare" mount "$U/b"
	try uin sh -c "'$U/bin/berth-image' mount '$U/b' && cat '$U/b/rootfs/new' '$U/b/rootfs/etc/group'"
	assert_has $'new\nroot'
	try ubi -q commit "$U/b" x
	assert_ok
	try ubi -q run x cat /new
	assert_output new
}

@test "user: unshare" {
	try uin id -u
	assert_output 0
	try uin sh -c 'echo "$BERTH_IMAGE_ROOT"; exit 7'
	assert_status 7
	assert_output "$U/home/.local/share/berth-image"
	try uin grep -E 'Cap(Inh|Amb)' /proc/self/status
	assert_output $'CapInh:\t0000000000000000\nCapAmb:\t0000000000000000'
	try uin nosuch
	assert_status 127
	try uin /etc/passwd
	assert_status 126
	try uin sh -c 'kill -9 $$'
	assert_status 137
	try "${AS[@]}" SHELL=/bin/pwd "$U/bin/berth-image" unshare
	assert_output "$U"
	# a user may lose a bundle by hand
	ubi -q pull "oci:$U/images:app" app
	ubi -q unpack app "$U/b"
	"${AS[@]}" rm -rf "$U/b" 2>/dev/null || true
	test -e "$U/b/rootfs/data/seed"
	uin rm -rf "$U/b"
	absent "$U/b"
	try ubi gc
	assert_has "bundle $U/b"
}

@test "user: gc and rm leave nothing" {
	kinds_image
	ubi -q pull "oci:$U/kinds" kinds
	ubi -q run kinds true
	ubi -q unpack kinds "$U/b"
	ubi -q run -v data:/data kinds sh -c 'chown 1000 /data; echo x >/data/x; chown 1000 /data/x; chmod 700 /data'
	assert_eq "$(ulayers)" 4
	ubi -q unmount --rm "$U/b"
	ubi rm kinds
	ubi -q gc
	ubi volume --rm data
	assert_eq "$(find "$U/home/.local/share/berth-image"/{layers,blobs,bundles,partial,run,volumes} -type f -o -path '*/layers/*' -o -path '*/volumes/*')" ""
}

@test "user: a directory of the host in the container" {
	ubi -q pull "oci:$U/images:bb" bb
	"${AS[@]}" mkdir "$U/host"
	try ubi -q run -v "$U/host:/mnt" bb sh -c 'stat -c %u /mnt; echo a >/mnt/a; echo b >/mnt/b; chown 1000 /mnt/b'
	assert_output 0
	assert_eq "$(stat -c %u "$U/host/a" "$U/host/b" | xargs)" "999 700999"
}

# urun_background ARG…: run as the user in the background, until it says "up".
urun_background() {
	rm -f "$U/o"
	"${AS[@]}" "$U/bin/berth-image" -q run "$@" >"$U/o" 2>&1 </dev/null 3>&- &
	wait_for grep -q up "$U/o"
	FIRST=$(pgrep -f "^$U/bin/berth-image -q run")
}

@test "user: signals reach the container" {
	ubi -q pull "oci:$U/images:bb" bb
	urun_background bb sh -c 'trap "echo got it; exit 9" TERM; echo up; while :; do usleep 20000; done'
	kill -TERM "$FIRST"
	status=0
	wait $! || status=$?
	assert_status 9
	grep -q "got it" "$U/o"
	unothing
}

@test "user: a killed run is ended by gc, and by its name" {
	ubi -q pull "oci:$U/images:bb" bb
	for how in "gc" "run --name c bb true"; do
		urun_background --name c --user 1000 bb sh -c 'echo up; sleep 1000'
		container=$("${AS[@]}" "$U/bin/berth" state c | jq .pid)
		# both runs of it; SIGTERM does nothing to the container's first process
		pgrep -f "^$U/bin/berth-image" | xargs kill -KILL
		wait $! || true
		wait_for eval '! pgrep -f "^$U/bin/berth-image"'
		test -d "/proc/$container"
		try ubi -q $how
		assert_ok
		assert_eq "$output" ""
		[[ ! -d /proc/$container ]] || fail "it is running"
		unothing
	done
}

# killed_run: one that was killed, with its $container still there.
killed_run() {
	urun_background --name c bb sh -c 'echo up; sleep 1000'
	container=$("${AS[@]}" "$U/bin/berth" state c | jq .pid)
	pgrep -f "^$U/bin/berth-image" | xargs kill -KILL
	wait $! || true
	wait_for eval '! pgrep -f "^$U/bin/berth-image"'
}

@test "user: a killed run is not for a dry gc to end, nor for other runs" {
	ubi -q pull "oci:$U/images:bb" bb
	killed_run
	ubi -q gc --dry-run
	ubi -q run bb true
	ubi -q run --name d bb true
	test -d "/proc/$container"
	ubi -q gc
	[[ ! -d /proc/$container ]] || fail "it is running"
	unothing
}

@test "user: a killed run is found from another session" {
	ubi -q pull "oci:$U/images:bb" bb
	"${AS[@]}" mkdir -m 700 "$U/run2"
	for session in "XDG_RUNTIME_DIR=$U/run2" "-u XDG_RUNTIME_DIR"; do
		killed_run
		try "${AS[@]}" env $session "$U/bin/berth-image" -q gc
		assert_ok
		assert_eq "$output" ""
		[[ ! -d /proc/$container ]] || fail "it is running"
		unothing
	done
}

@test "user: one whom the environment calls root" {
	ubi -q --root "$U/store" pull "oci:$U/images:bb" bb
	try "${AS[@]}" USER=root "$U/bin/berth-image" -q --root "$U/store" run bb echo hello
	assert_output hello
	assert_eq "$(find "$U/store/run" -mindepth 1 ! -path '*/.state*')" ""
}

@test "user: nohup" {
	"${AS[@]}" nohup "$U/bin/berth-image" unshare sh -c 'echo up; while [ ! -e go ]; do sleep 0.02; done; echo survived' >"$U/o" 2>&1 </dev/null 3>&- &
	wait_for grep -q up "$U/o"
	# the first, which would pass it on, and the second, which is the shell now
	kill -HUP $! $(pgrep -P $!)
	"${AS[@]}" touch "$U/go"
	wait $!
	grep -q survived "$U/o"
}

# It reaches newuidmap, berth-image and its second run, in any order.
@test "user: a signal at the beginning is no reason to go on without ids" {
	ubi -q pull "oci:$U/images:bb" bb
	touch "$U/bin/newuidmap"
	chmod 755 "$U/bin/newuidmap"
	for action in 'kill -HUP $$' 'kill -HUP $PPID; sleep 0.5; exit 1' 'kill -HUP $1; sleep 0.5; exit 1'; do
		printf '#!/bin/sh\n%s\n' "$action" >"$U/bin/newuidmap"
		try "${AS[@]}" PATH="$U/bin:$PATH" "$U/bin/berth-image" run bb echo no
		assert_status 129
		assert_eq "$output" ""
	done
}

@test "user: an id in several ranges counts once" {
	ubi -q pull "oci:$U/images:bb" bb
	printf '%s\n' berth-it:700000:1000 "$(id -u berth-it):700000:1000" berth-it:700500:65036 >"$U/ranges"
	try unshare -m --propagation private bash -c 'mount --bind "$0" /etc/subuid && exec "$@"' "$U/ranges" \
		"${AS[@]}" "$U/bin/berth-image" -q run bb sh -c 'cat /proc/self/uid_map | tr -s " "'
	assert_output $' 0 999 1\n 1 700000 1000\n 1001 701000 64536'
}

@test "user: a terminal" {
	ubi -q pull "oci:$U/images:bb" bb
	out=$("${AS[@]}" timeout 30 script -qec "stty rows 33 cols 77; $U/bin/berth-image -q run -it bb sh -c 'tty; stty size; exit 5'; echo status \$?" /dev/null </dev/null 3>&- | tr -d '\r\0')
	assert_eq "$(xargs <<<"${out//^@/}")" "/dev/pts/0 33 77 status 5"
}

@test "user: --json, --root and a session without a directory" {
	ubi -q --root "$U/store" pull "oci:$U/images:bb" bb
	try "${AS[@]}" env -u XDG_RUNTIME_DIR "$U/bin/berth-image" -q --root store run bb echo hello
	assert_output hello
	assert_eq "$(find "$U/store/run/.state" -mindepth 1 ! -path '*/.seccomp*')" ""
	ubi -q --root "$U/store" unpack bb "$U/b"
	ubi --root "$U/store" --json commit "$U/b" x >"$U/o" 2>/dev/null
	assert_eq "$(jq -r .name "$U/o")" docker.io/library/x:latest
	absent "$U/home/.local/share/berth-image"
}

@test "user: one who was killed while layers were unpacked starts anew" {
	local i
	kinds_image
	ubi -q pull "oci:$U/kinds" kinds
	for i in 0.01 0.03 0.05 0.08; do
		"${AS[@]}" timeout -s KILL $i "$U/bin/berth-image" -q run kinds true 3>&- || true
		wait_for eval '! pgrep -f "^$U/bin/berth"'
	done
	try ubi -q run kinds stat -c %u /last
	assert_output 65536
	ubi -q gc
	unothing
}

@test "user: an interrupted unpack leaves nothing" {
	head -c 100M /dev/urandom >"$U/large"
	tar -C "$U" -cf "$U/large.tar" large
	chown berth-it "$U/large.tar"
	ubi -q import --compress none "$U/large.tar" large
	for how in "-TERM" "-INT --"; do # to the first of two, and to the group
		(
			set -m # a group of its own, which ^C is for
			"${AS[@]}" "$U/bin/berth-image" -q unpack large "$U/b" >"$U/o" 2>&1 3>&- &
			wait_for eval 'ls -d "$U"/.b.berth-*'
			[[ $how == -TERM ]] && kill -TERM $! || kill -INT -- -$!
			wait $!
		) && fail "it was not interrupted"
		assert_eq "$(<"$U/o")" "berth-image: interrupted"
		[[ -z $(find "$U" -maxdepth 1 -name '*b.berth*') ]]
		absent "$U/b"
	done
}

@test "user: credentials and certificates are theirs" {
	cp "$CA" "$U/ca.pem"
	chmod 644 "$U/ca.pem"
	ubi --ca "$U/ca.pem" login "$SREG" -u user --password-stdin <<<secret
	test -s "$U/run/containers/auth.json" || test -s "$U/home/.docker/config.json"
	try ubi -q --ca "$U/ca.pem" run "$SREG/private/bb" echo from there
	assert_output "from there"
}

@test "user: privileged, and limits that they have no right to" {
	ubi -q pull "oci:$U/images:bb" bb
	try ubi -q run --privileged bb grep -c Seccomp:.0 /proc/self/status
	assert_output 1
	try ubi -q run --device /dev/null:/dev/x bb true
	is_refusal "bind mounts"
	try ubi -q run --net bridge bb true
	is_refusal "only root"
	unothing
}

@test "user: gc with other ids removes what it can, and says what it cannot" {
	local store=$U/home/.local/share/berth-image
	ubi -q pull "oci:$U/images:bb" bb
	ubi -q run bb true
	ubi rm bb
	"${AS[@]}" touch "$store/partial/left"
	urefused "files of other ids" --single-id gc
	absent "$store/partial/left"
	assert_eq "$(ulayers)" 1
	ubi -q gc
	assert_eq "$(ulayers)" 0
}

# ---- with one id only -----------------------------------------------------

@test "user: without subordinate ids" {
	ubi -q pull "oci:$U/images:app" app
	# as one whom the files do not name
	mkdir "$U/etc"
	: >"$U/etc/none"
	unshare -m --propagation private bash -c '
		mount --bind "$0/etc/none" /etc/subuid; shift 0; exec "$@"' "$U" "${AS[@]}" "$U/bin/berth-image" run --entrypoint /bin/id app -u --help >"$U/o" 2>&1 3>&- || true
	grep -q "all files will be yours: no subordinate ids in /etc/subuid for berth-it" "$U/o"
}

@test "user: where nothing maps the ids" {
	ubi -q pull "oci:$U/images:bb" bb
	printf '#!/bin/sh\necho no >&2; exit 1\n' >"$U/bin/newuidmap"
	chmod 755 "$U/bin/newuidmap"
	try "${AS[@]}" PATH="$U/bin:$PATH" "$U/bin/berth-image" run bb stat -c %u /data
	assert_ok
	assert_eq "$out" 0
	assert_eq "$(grep -c warning <<<"$err")" 1
	assert_has "all files will be yours: no user namespace: newuidmap"
	try "${AS[@]}" PATH="$U/bin:$PATH" "$U/bin/berth-image" unshare id
	is_refusal "newuidmap: exit status 1: no"
}

@test "user: one id: owners come back with a commit" {
	ubi -q pull "oci:$U/images:app" app
	ubi -q --single-id unpack app "$U/b"
	assert_eq "$(stat -c %U "$U/b/rootfs/data" "$U/b/rootfs/bin" | xargs)" "berth-it berth-it"
	"${AS[@]}" sh -c "echo new >>'$U/b/rootfs/data/seed'"
	try ubi -q --single-id commit --volumes "$U/b" x
	assert_ok
	# and so for one who has more ids by now
	try ubi -q commit --volumes "$U/b" y
	assert_ok
	try ubi -q run --entrypoint /bin/stat y -c %u /data /srv/app
	assert_output $'1000\n1000'
	ubi -q export x "oci:$U/layout:x"
	bi -q import "$U/layout:x" x
	bi -q unpack x "$T/b"
	assert_eq "$(stat -c '%u:%g' "$T/b/rootfs/srv/app" "$T/b/rootfs/data" | xargs)" "1000:1000 1000:1000"
	"${AS[@]}" rm -r "$U/b"
}

@test "user: one id: the default mode is a copy" {
	ubi -q pull "oci:$U/images:bb" bb
	try ubi --single-id unpack bb "$U/b"
	assert_ok
	assert_lacks warning
	test -e "$U/b/rootfs/bin/busybox"
	ubi unmount --rm "$U/b"
	absent "$U/b"
	urefused "berth-image unshare" --single-id unpack --mode overlay bb "$U/b"
	absent "$U/b"
}

@test "user: one id: a bundle of more ids is not for them" {
	ubi -q pull "oci:$U/images:bb" bb
	ubi -q unpack bb "$U/b"
	urefused "other ids" --single-id commit "$U/b" x
}

@test "user: one id: run" {
	ubi -q pull "oci:$U/images:bb" bb
	try ubi -q --single-id run --net host bb sh -c 'id -u; echo x >/file; cat /file; exit 3'
	assert_status 3
	assert_output $'0\nx'
}

@test "user: run as another user of the image, with a volume" {
	ubi -q pull "oci:$U/images:app" app
	for one in "" --single-id; do
		try ubi -q $one run --net host --entrypoint "/bin/sh -c" -v keep:/keep app 'id -u; pwd; echo $HOME'
		assert_output $'1000\n/srv/app\n/home/user'
	done
	try ubi -q volume
	assert_output keep
}

@test "user: what is root's is refused in one line" {
	bi -q pull "oci:$IMG/bb:latest" bb
	chmod 711 "$T" 2>/dev/null || true
	urefused "permission denied" --root "$STORE" list
	ubi -q pull "oci:$U/images:bb" bb
	urefused "permission denied" unpack --mode copy bb /root/b
	mkdir -m 755 "$U/roots"
	urefused "permission denied" unpack --mode copy bb "$U/roots/b"
	[[ -z $(ls -A "$U/roots") ]] || fail "something is there"
	urefused "permission denied" export bb "oci-archive:$U/roots/x.tar"
}

@test "user: without a home directory" {
	try "${AS[@]}" env -u HOME "$U/bin/berth-image" -q list
	is_refusal "--root"
}
