#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0

load helpers

# mount_options DEST: the per-mount options and superblock options inside.
mounts_script() { set_script "cat /proc/self/mountinfo | awk '\$5 == \"$1\" {print \$6, \$NF}'; $2"; }
add_mount() { update_config ".mounts += [$1]"; }
volume() {
	mkdir -p "$T/vol"
	echo content >"$T/vol/file"
	chmod 755 "$T/vol"
}

@test "mounts: bind a directory" {
	volume
	add_mount '{"destination":"/vol","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	set_script 'cat /vol/file; echo new >/vol/written'
	run_ct
	assert_ok
	assert_output content
	assert_eq "$(cat "$T/vol/written")" new
}

@test "mounts: bind a file" {
	volume
	add_mount '{"destination":"/etc/some/file","type":"bind","source":"'"$T/vol/file"'","options":["bind","ro"]}'
	set_script 'cat /etc/some/file; echo x >/etc/some/file'
	run_ct
	assert_has content
	assert_matches "[Rr]ead-only"
	assert_eq "$(cat "$T/vol/file")" content
}

@test "mounts: the option bind counts, whatever the type" {
	volume
	add_mount '{"destination":"/vol","type":"none","source":"'"$T/vol"'","options":["rbind","ro"]}'
	set_args cat /vol/file
	run_ct
	assert_output content
}

@test "mounts: bind with ro, nosuid, nodev, noexec" {
	volume
	cp "$ROOTFS/bin/busybox" "$T/vol/true"
	add_mount '{"destination":"/vol","type":"bind","source":"'"$T/vol"'","options":["bind","ro","nosuid","nodev","noexec"]}'
	mounts_script /vol 'touch /vol/x; /vol/true || echo noexec $?'
	run_ct
	assert_matches "^ro,nosuid,nodev,noexec"
	assert_matches "[Rr]ead-only"
	assert_has "noexec 126"
}

@test "mounts: a missing mount point is made: directory 0755 for a directory" {
	volume
	add_mount '{"destination":"/a/b/c","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	set_script 'cat /a/b/c/file; stat -c "%a %u:%g" /a /a/b'
	run_ct
	assert_matches $'^content\n1?755 0:0\n1?755 0:0$' # crun adds the sticky bit
}

@test "mounts: in the order of the list" {
	volume
	add_mount '{"destination":"/m","type":"tmpfs","source":"tmpfs"},{"destination":"/m/vol","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	set_script 'cat /m/vol/file; cat /proc/self/mountinfo | awk "\$5 ~ /^\/m/ {print \$5}"'
	run_ct
	assert_output $'content\n/m\n/m/vol'
}

@test "mounts: tmpfs with size, mode and inode limit" {
	add_mount '{"destination":"/t","type":"tmpfs","source":"name","options":["nosuid","nodev","noexec","size=1m","mode=1770","nr_inodes=10"]}'
	mounts_script /t 'stat -c %a /t; dd if=/dev/zero of=/t/f bs=1k count=1500 2>&1 | grep -o "No space"'
	run_ct
	assert_matches "nosuid,nodev,noexec"
	assert_has size=1024k
	assert_has nr_inodes=10
	assert_has $'\n1770'
	assert_has "No space"
}

@test "mounts: tmpfs takes the mode of the directory that it covers" {
	lacks crun "mode 1777"
	mkdir "$ROOTFS/covered"
	chmod 2751 "$ROOTFS/covered"
	add_mount '{"destination":"/covered","type":"tmpfs","source":"tmpfs"}'
	set_args stat -c %a /covered
	run_ct
	assert_matches "^2?751$"
}

@test "mounts: tmpfs read-only" {
	add_mount '{"destination":"/t","type":"tmpfs","source":"tmpfs","options":["ro"]}'
	mounts_script /t 'touch /t/x'
	run_ct
	assert_matches "^ro"
	assert_matches "[Rr]ead-only"
}

@test "mounts: proc, sysfs, mqueue, devpts and shm are what they say" {
	set_script "cat /proc/self/mountinfo | sed 's/.* \(\/[a-z/]*\) [a-z].* - \([a-z]*\) .*/\1 \2/'"
	run_ct
	for m in "/proc proc" "/sys sysfs" "/dev/mqueue mqueue" "/dev/pts devpts" "/dev/shm tmpfs" "/dev tmpfs"; do
		assert_matches "(^|"$'\n'")$m"
	done
}

@test "mounts: sysfs is the new network namespace's" {
	set_args ls /sys/class/net
	run_ct
	assert_has lo
	assert_lacks eth0
}

@test "mounts: devpts options" {
	mounts_script /dev/pts 'stat -c %a /dev/pts/ptmx'
	run_ct
	assert_has gid=5
	assert_has mode=620
	assert_has ptmxmode=666
}

@test "mounts: atime words" {
	add_mount '{"destination":"/n","type":"tmpfs","source":"t","options":["noatime","nodiratime"]},{"destination":"/r","type":"tmpfs","source":"t","options":["relatime"]},{"destination":"/s","type":"tmpfs","source":"t","options":["strictatime"]}'
	set_script "cat /proc/self/mountinfo | awk '\$5 ~ /^\/[nrs]$/ {print \$5, \$6}'"
	run_ct
	assert_matches "/n rw,noatime,nodiratime"
	assert_matches "/r rw,relatime"
	assert_matches "/s rw($|"$'\n'")"
}

@test "mounts: nosymfollow" {
	lacks runc 1.2 "came later"
	lacks crun "passes it on as data"
	add_mount '{"destination":"/t","type":"tmpfs","source":"t","options":["nosymfollow"]}'
	set_script 'echo a >/t/f; ln -s f /t/l; cat /t/f; cat /t/l'
	run_ct
	assert_matches "^a"
	assert_matches "symbolic links"
}

@test "mounts: a later word wins over an earlier one" {
	lacks crun "1.8 keeps ro"
	add_mount '{"destination":"/t","type":"tmpfs","source":"t","options":["ro","noexec","rw","exec"]}'
	mounts_script /t 'touch /t/x && echo written'
	run_ct
	assert_has written
	assert_lacks noexec
}

@test "mounts: remount" {
	add_mount '{"destination":"/t","type":"tmpfs","source":"t"},{"destination":"/t","type":"tmpfs","source":"t","options":["remount","ro"]}'
	set_script 'touch /t/x'
	run_ct
	assert_matches "[Rr]ead-only"
}

@test "mounts: rbind brings submounts, bind does not" {
	volume
	mkdir "$T/vol/sub"
	mount -t tmpfs sub "$T/vol/sub"
	echo below >"$T/vol/sub/f"
	add_mount '{"destination":"/r","type":"bind","source":"'"$T/vol"'","options":["rbind"]},{"destination":"/b","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	set_script 'cat /r/sub/f; ls /b/sub'
	run_ct
	umount "$T/vol/sub"
	assert_output below
}

@test "mounts: propagation words" {
	update_config '.linux.rootfsPropagation = "rslave"'
	volume
	mount --bind "$T/vol" "$T/vol"
	mount --make-shared "$T/vol"
	add_mount '{"destination":"/p","type":"bind","source":"'"$T/vol"'","options":["rbind","rprivate"]},{"destination":"/s","type":"bind","source":"'"$T/vol"'","options":["rbind","rslave"]},{"destination":"/sh","type":"bind","source":"'"$T/vol"'","options":["rbind","rshared"]},{"destination":"/u","type":"bind","source":"'"$T/vol"'","options":["bind","unbindable"]}'
	set_script "cat /proc/self/mountinfo | awk '\$5 ~ /^\/(p|s|sh|u)$/ {print \$5, \$7}'"
	run_ct
	umount -l "$T/vol"
	assert_matches "/p -"
	assert_matches "/s master:"
	assert_matches "/sh (shared|master):"
	assert_matches "/u unbindable"
}

@test "mounts: rslave sees what the host mounts later, without rootfsPropagation" {
	lacks crun "its default is private"
	volume
	mkdir "$T/vol/late"
	mount --bind "$T/vol" "$T/vol"
	mount --make-shared "$T/vol"
	add_mount '{"destination":"/s","type":"bind","source":"'"$T/vol"'","options":["rbind","rslave"]}'
	idle_ct
	mount -t tmpfs late "$T/vol/late"
	touch "$T/vol/late/arrived"
	exec_ct ls /s/late
	umount "$T/vol/late"
	umount -l "$T/vol"
	assert_output arrived
}

@test "mounts: rootfsPropagation" {
	for p in private slave; do
		update_config ".linux.rootfsPropagation = \"$p\""
		set_script "cat /proc/self/mountinfo | awk '\$5 == \"/\" {print \$7}'"
		run_ct
		assert_ok
		assert_lacks shared
	done
}

@test "mounts: an unknown rootfsPropagation is refused" {
	lacks crun "ignores it"
	update_config '.linux.rootfsPropagation = "nonsense"'
	create_fails
}

@test "mounts: rootfsPropagation shared" {
	lacks runc 1.2 "the root mount stayed private"
	update_config '.linux.rootfsPropagation = "shared"'
	set_script "cat /proc/self/mountinfo | awk '\$5 == \"/\" {print \$7}'"
	run_ct
	assert_ok
	assert_matches "shared:"
}

@test "mounts: nothing the container mounts is seen by the host" {
	add_caps CAP_SYS_ADMIN
	set_script 'mkdir /m; mount -t tmpfs inner /m; echo up; sleep 1000'
	detach_ct
	wait_output up
	! grep -q "inner" /proc/self/mountinfo || fail "seen by the host"
}

@test "mounts: none but /proc" {
	mkdir "$ROOTFS/dev"
	update_config '.mounts = [{"destination":"/proc","type":"proc","source":"proc"}] | .linux.maskedPaths = [] | .linux.readonlyPaths = []'
	set_args echo bare
	run_ct
	assert_output bare
}

@test "mounts: none at all" {
	lacks runc "reads /proc inside"
	mkdir "$ROOTFS/dev"
	update_config '.mounts = [] | .linux.maskedPaths = [] | .linux.readonlyPaths = []'
	set_args echo bare
	run_ct
	assert_output bare
}

@test "mounts: root.readonly" {
	update_config '.root.readonly = true'
	mkdir -p "$ROOTFS"/{proc,dev,sys}
	set_script 'touch /x; touch /dev/shm/y && echo shm; awk "{if (\$5 == \"/\") print \$6}" /proc/self/mountinfo'
	run_ct
	assert_matches "[Rr]ead-only"
	assert_has shm
	assert_matches $'\nro'
	[[ ! -e $ROOTFS/x ]]
}

@test "mounts: destination through a symlink stays inside the rootfs" {
	lacks crun 1.9 "fails on a dangling one"
	volume
	ln -s "$T/out-of-root" "$ROOTFS/abs"
	ln -s ../../../../../../.. "$ROOTFS/up"
	mkdir "$T/out-of-root"
	add_mount '{"destination":"/abs/x","type":"bind","source":"'"$T/vol"'","options":["bind"]},{"destination":"/up/y","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	set_script 'cat /abs/x/file /y/file'
	run_ct
	assert_ok
	assert_output $'content\ncontent'
	assert_eq "$(ls "$T/out-of-root")" ""
	[[ ! -e /y ]]
}

@test "mounts: destination with .. stays inside" {
	volume
	add_mount '{"destination":"/../../../dotdot","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	set_args cat /dotdot/file
	run_ct
	assert_output content
	[[ ! -e /dotdot ]]
}

@test "mounts: an existing source, another kind of mount point" {
	volume
	mkdir "$ROOTFS/dir"
	add_mount '{"destination":"/dir","type":"bind","source":"'"$T/vol/file"'","options":["bind"]}'
	create_fails
}

@test "mounts: an unknown filesystem type" {
	add_mount '{"destination":"/x","type":"nonsensefs","source":"none"}'
	create_fails
	[[ $RT == crun ]] || assert_has /x
}

@test "mounts: a bad option of a filesystem names the mount" {
	add_mount '{"destination":"/x","type":"tmpfs","source":"t","options":["size=nonsense"]}'
	create_fails
	[[ $RT == crun ]] || assert_has /x
}

@test "mounts: onto / is refused" {
	lacks crun "mounts it"
	lacks runc 1.1.6 "mounts it"
	volume
	add_mount '{"destination":"/","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	create_fails
}

@test "mounts: unlisted paths below /proc may not be covered" {
	lacks crun "allows it"
	volume
	add_mount '{"destination":"/proc/sys/kernel","type":"bind","source":"'"$T/vol"'","options":["bind"]}'
	create_fails
	assert_has /proc
}

@test "mounts: /proc/meminfo and friends may be covered" {
	volume
	add_mount '{"destination":"/proc/meminfo","type":"bind","source":"'"$T/vol/file"'","options":["bind"]},{"destination":"/proc/uptime","type":"bind","source":"'"$T/vol/file"'","options":["bind"]}'
	set_args cat /proc/meminfo /proc/uptime
	run_ct
	assert_output $'content\ncontent'
}

@test "mounts: overlay" {
	mkdir "$T/lower" "$T/upper" "$T/work"
	echo low >"$T/lower/f"
	add_mount '{"destination":"/o","type":"overlay","source":"overlay","options":["lowerdir='"$T/lower"'","upperdir='"$T/upper"'","workdir='"$T/work"'"]}'
	set_script 'cat /o/f; echo up >/o/g'
	run_ct
	assert_output low
	assert_eq "$(cat "$T/upper/g")" up
}

@test "mounts: a relative bind source is relative to the bundle" {
	mkdir "$BUNDLE/vol"
	echo near >"$BUNDLE/vol/file"
	add_mount '{"destination":"/vol","type":"bind","source":"vol","options":["bind"]}'
	set_args cat /vol/file
	cd /
	run_ct
	assert_output near
}

@test "mounts: two hundred of them" {
	volume
	update_config --arg s "$T/vol" '.mounts += [range(200) | {"destination":"/many/\(.)","type":"bind","source":$s,"options":["bind","ro"]}]'
	set_script 'grep -c " /many/" /proc/self/mountinfo; cat /many/199/file'
	run_ct
	assert_output $'200\ncontent'
}

@test "mounts: very long sources are refused or mounted, never misread" {
	update_config --arg s "$T/$(printf '%04000d' 0)" '.mounts += [range(20) | {"destination":"/m\(.)","type":"bind","source":$s,"options":["bind"]}]'
	create_fails
}
