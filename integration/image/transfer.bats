#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Images from here to there: pull, push, import, export, and what the store says.

load helpers

# ---- pull --------------------------------------------------------------

@test "pull: from a registry, with the digest on stdout" {
	try bi pull "$REG/bb"
	assert_ok
	assert_eq "$out" "$REG/bb:latest@$(layout_digest "$IMG/bb")"
	assert_eq "$(grep -c '^pull .*: done' <<<"$err")" 4
	try bi -q list
	assert_output "$REG/bb:latest"
}

@test "pull: a second time copies nothing" {
	bi -q pull "$REG/bb"
	try bi pull "$REG/bb"
	assert_ok
	[[ $err != *"done"* ]] || fail "copied again"
	assert_has "is there already"
}

@test "pull: shared layers are stored once" {
	get bb app
	assert_eq "$(find "$STORE/blobs/sha256" -type f | wc -l)" 6
	assert_eq "$(du -s --apparent-size -B1M "$STORE/blobs" | cut -f1)" "$(du -s --apparent-size -B1M "$IMG/bb/blobs" | cut -f1)"
}

@test "pull: under another name" {
	try bi -q pull "$REG/bb" mine:1
	assert_ok
	try bi -q list
	assert_output docker.io/library/mine:1
}

@test "pull: by digest" {
	digest=$(layout_digest "$IMG/bb")
	try bi -q pull "$REG/bb@$digest"
	assert_ok
	assert_has "$digest"
	try bi -q unpack --mode copy "$REG/bb@$digest" "$T/b"
	assert_ok
}

@test "pull: by a digest that the registry does not have" {
	refused "not found" pull "$REG/bb@sha256:$(printf '0%.0s' {1..64})"
	try bi -q list
	assert_output ""
}

@test "pull: --json says what is done, and the result" {
	try bi --json pull "$REG/bb"
	assert_ok
	assert_eq "$(jq -r .digest <<<"$out")" "$(layout_digest "$IMG/bb")"
	assert_eq "$(jq -r .name <<<"$out")" "$REG/bb:latest"
	assert_eq "$(jq -rs 'map(select(.state == "done")) | length' <<<"$err")" 4
	assert_eq "$(jq -rs '.[].action' <<<"$err" | sort -u)" pull
}

@test "pull: --quiet has no progress" {
	try bi --quiet pull "$REG/bb"
	assert_ok
	assert_eq "$err" ""
	assert_eq "$(wc -l <<<"$out")" 1
}

@test "pull: progress bars on a terminal" {
	script -qec "stty rows 33 cols 77; $BIN/berth-image --root $STORE pull $REG/bb" "$T/typescript" </dev/null >/dev/null 3>&-
	grep -q $'\e\\[' "$T/typescript"
	grep -q "pull" "$T/typescript"
}

@test "pull: one blob at a time with --parallel 1" {
	try bi -q --parallel 1 pull "$REG/mixed"
	assert_ok
	try bi -q verify
	assert_ok
}

@test "pull: gzip, zstd and uncompressed layers in one image" {
	get mixed
	assert_eq "$(bi inspect mixed | jq -r '.manifest.layers[].mediaType' | sed 's/.*\.//' | xargs)" "tar+gzip tar+zstd tar tar+gzip tar+zstd"
	bi -q unpack mixed "$T/b"
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "pull: docker schema 2, kept as it is" {
	bi -q pull "$REG/docker2"
	assert_eq "$(bi inspect "$REG/docker2" | jq -r .descriptor.mediaType)" application/vnd.docker.distribution.manifest.v2+json
	assert_eq "$(digest_of "$REG/docker2")" "$(skopeo inspect --tls-verify=false "docker://$REG/docker2" | jq -r .Digest)"
	run_image "$REG/docker2" echo schema 2
	assert_output "schema 2"
}

@test "pull: an artifact can be copied, but is no image" {
	bi -q pull "$REG/thing"
	try bi list
	assert_ok
	assert_has artifact
	refused "artifact" unpack "$REG/thing" "$T/b"
	refused "artifact" run "$REG/thing"
	absent "$T/b"
	bi -q push "$REG/thing" "$REG/thing:copy"
	skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$REG/thing:copy" "oci:$T/copy:latest"
	assert_eq "$(layout_digest "$T/copy")" "$(layout_digest "$IMG/thing")"
}

# ---- platforms ---------------------------------------------------------

@test "platform: this machine's is taken of an index" {
	bi -q pull "$REG/multi"
	assert_eq "$(digest_of "$REG/multi")" "$(layout_digest "$IMG/bb")"
}

@test "platform: another one" {
	bi -q pull --platform linux/arm64 "$REG/multi"
	assert_eq "$(config_of "$REG/multi" .config.config.Cmd[0])" /arm64
	bi -q pull --platform linux/arm/v7 "$REG/multi" old
	assert_eq "$(config_of old .config.variant)" v7
}

@test "platform: one that the index lacks" {
	refused "no image for the platform linux/s390x" pull --platform linux/s390x "$REG/multi"
	assert_has "linux/arm64"
	refused "no image for the platform" pull "oci:$IMG/foreign:latest" foreign
	try bi -q list
	assert_output ""
}

@test "platform: nonsense" {
	refused "platform" pull --platform linux/amd64/v1/x "$REG/multi"
}

@test "platform: all of them, kept as an index" {
	try bi -q pull --all-platforms "$REG/multi"
	assert_ok
	assert_has "$(layout_digest "$IMG/multi")"
	try bi list
	assert_has index
	assert_eq "$(bi inspect --platform linux/arm64 "$REG/multi" | jq -r .config.architecture)" arm64
	bi -q unpack --mode copy --platform linux/arm/v7 "$REG/multi" "$T/b"
	assert_eq "$(spec .process.args)" '["/armv7"]'
}

@test "platform: an index is pushed with all that is in it" {
	bi -q pull --all-platforms "$REG/multi"
	try bi -q push "$REG/multi" "$REG/multi-again"
	assert_ok
	assert_output "$(layout_digest "$IMG/multi")"
	skopeo copy -q --all --insecure-policy --src-tls-verify=false "docker://$REG/multi-again" "oci:$T/copy:latest"
	assert_eq "$(layout_digest "$T/copy")" "$(layout_digest "$IMG/multi")"
}

# ---- layouts and archives ----------------------------------------------

@test "layout: of several images the name says which" {
	skopeo copy -q --insecure-policy "oci:$IMG/bb:latest" "oci:$T/two:one"
	skopeo copy -q --insecure-policy "oci:$IMG/app:latest" "oci:$T/two:other"
	bi -q pull "oci:$T/two:other" x
	assert_eq "$(digest_of x)" "$(layout_digest "$IMG/app")"
	refused "one" import "oci:$T/two" y
	assert_has other
}

@test "layout: export beside what is there already" {
	get bb app
	bi -q export bb "oci:$T/layout:one"
	bi -q export app "oci:$T/layout:two"
	assert_eq "$(layout_digest "$T/layout" one)" "$(layout_digest "$IMG/bb")"
	assert_eq "$(layout_digest "$T/layout" two)" "$(layout_digest "$IMG/app")"
	assert_eq "$(umoci ls --layout "$T/layout" | sort | xargs)" "one two"
}

@test "layout: the store itself is one" {
	get bb
	try skopeo inspect "oci:$STORE:docker.io/library/bb:latest"
	assert_ok
	assert_has "$(layout_digest "$IMG/bb")"
}

@test "oci-archive: there and back with the same digest" {
	get app
	bi -q export app "oci-archive:$T/app.tar"
	bi -q import "$T/app.tar" again
	assert_eq "$(digest_of again)" "$(layout_digest "$IMG/app")"
	skopeo copy -q --insecure-policy "oci-archive:$T/app.tar" "oci:$T/copy:latest"
	assert_eq "$(layout_digest "$T/copy")" "$(layout_digest "$IMG/app")"
}

@test "oci-archive: skopeo's" {
	skopeo copy -q --insecure-policy "oci:$IMG/app:latest" "oci-archive:$T/app.tar"
	bi -q import "$T/app.tar" app
	assert_eq "$(digest_of app)" "$(layout_digest "$IMG/app")"
}

@test "oci-archive: compressed" {
	skopeo copy -q --insecure-policy "oci:$IMG/app:latest" "oci-archive:$T/app.tar"
	gzip "$T/app.tar"
	bi -q import "$T/app.tar.gz" app
	assert_eq "$(digest_of app)" "$(layout_digest "$IMG/app")"
}

@test "docker-archive: what docker save writes" {
	skopeo copy -q --insecure-policy "oci:$IMG/rich:latest" "docker-archive:$T/rich.tar:example.com/rich:1"
	try bi -q pull "docker-archive:$T/rich.tar:example.com/rich:1"
	assert_ok
	assert_has "example.com/rich:1@"
	bi -q unpack example.com/rich:1 "$T/b"
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "docker-archive: what docker load reads" {
	get app
	bi -q export app "docker-archive:$T/app.tar"
	assert_eq "$(tar -xOf "$T/app.tar" manifest.json | jq -c '.[0].RepoTags')" '["docker.io/library/app:latest"]'
	skopeo copy -q --insecure-policy "docker-archive:$T/app.tar" "oci:$T/copy:latest"
	umoci unpack --image "$T/copy:latest" "$T/u" >/dev/null 2>&1
	umoci_tree app "$T/v"
	assert_same_tree "$T/u/rootfs" "$T/v/rootfs"
}

@test "docker-archive: export names another tag" {
	get app
	bi -q export app "docker-archive:$T/app.tar:web:3"
	assert_eq "$(tar -xOf "$T/app.tar" manifest.json | jq -c '.[0].RepoTags')" '["docker.io/library/web:3"]'
}

@test "export: to a kind that nobody named" {
	get bb
	refused "oci-archive:" export bb "$T/x.tar"
	absent "$T/x.tar"
}

# ---- import ------------------------------------------------------------

@test "import: a plain tar with all that its config gets" {
	try bi -q import --image-entrypoint /bin/echo --image-cmd '["a b","c"]' --image-env A=1 --image-user 1000:1000 \
		--image-workdir /tmp --label x=y --image-volume /v --expose 80/tcp --image-stop-signal SIGINT --author me \
		--message "from a tar" --created 2020-01-02T03:04:05Z "$S/src/bin.tar" plain:1
	assert_ok
	assert_eq "$(config_of plain:1 .config.config | jq -cS .)" "$(jq -cS . <<<'{"Entrypoint":["/bin/echo"],"Cmd":["a b","c"],
		"Env":["A=1"],"User":"1000:1000","WorkingDir":"/tmp","Labels":{"x":"y"},"Volumes":{"/v":{}},"ExposedPorts":{"80/tcp":{}},"StopSignal":"SIGINT"}')"
	assert_eq "$(config_of plain:1 '.config | [.author, .created, .history[0].comment]' | jq -c .)" '["me","2020-01-02T03:04:05Z","from a tar"]'
}

@test "import: layers on a base, and each compression" {
	bi -q import "$S/src/bin.tar" x:1
	bi -q import --base x:1 --compress zstd "$S/src/etc.tar" x:2
	bi -q import --base x:2 --compress none "$S/src/one.tar" x:3
	bi -q import --base x:3 "$S/src/two.tar" x:4
	bi -q import --base x:4 "$S/src/three.tar" x:5
	assert_eq "$(bi inspect x:5 | jq -r '.manifest.layers[].mediaType' | sed 's/.*\.//' | xargs)" "tar+gzip tar+zstd tar tar+gzip tar+gzip"
	bi -q unpack x:5 "$T/b"
	umoci_tree rich "$T/u"
	assert_same_tree "$T/b/rootfs" "$T/u/rootfs"
}

@test "import: compressed tars" {
	gzip -c "$S/src/etc.tar" >"$T/etc.tar.gz"
	zstd -qc "$S/src/etc.tar" >"$T/etc.tar.zst"
	bi -q import "$T/etc.tar.gz" gz
	bi -q import "$T/etc.tar.zst" zst
	want=sha256:$(sha256sum <"$S/src/etc.tar" | cut -d' ' -f1)
	assert_eq "$(config_of gz .config.rootfs.diff_ids[0])" "$want"
	assert_eq "$(config_of zst .config.rootfs.diff_ids[0])" "$want"
}

@test "import: SOURCE_DATE_EPOCH gives the same digest" {
	export SOURCE_DATE_EPOCH=1600000000
	first=$(bi -q import "$S/src/etc.tar" x)
	sleep 1.1
	assert_eq "$(bi -q import "$S/src/etc.tar" x)" "$first"
	assert_eq "$(config_of x .config.created)" 2020-09-13T12:26:40Z
}

@test "import: for another platform" {
	bi -q import --platform linux/arm64 "$S/src/etc.tar" x
	assert_eq "$(config_of x .config.architecture)" arm64
}

@test "import: without a name" {
	refused "what is the image to be called" import "$S/src/etc.tar"
}

@test "import: what follows the end of an archive stays" {
	{ cat "$S/src/etc.tar"; head -c 5000 /dev/zero; echo end; } >"$T/more.tar"
	bi -q import "$T/more.tar" x
	assert_eq "$(config_of x .config.rootfs.diff_ids[0])" "sha256:$(sha256sum <"$T/more.tar" | cut -d' ' -f1)"
}

@test "import: something that is no tar" {
	seq 1000 >"$T/text"
	refused "$T/text" import "$T/text" x
	refused "no such file" import "$T/nothing" x
	refused "neither a directory nor a regular file" import /dev/null x
	try bi -q list
	assert_output ""
}

@test "import: a truncated tar" {
	head -c 100000 "$S/src/bin.tar" >"$T/cut.tar"
	refused "damaged archive" import "$T/cut.tar" x
	gzip -c "$S/src/bin.tar" | head -c 100000 >"$T/cut.tar.gz"
	refused "$T/cut.tar.gz" import "$T/cut.tar.gz" x
	try bi -q list
	assert_output ""
}

# ---- names -------------------------------------------------------------

@test "tag: another name for the same image" {
	get bb
	try bi tag bb example.com/other:1
	assert_ok
	assert_eq "$(digest_of example.com/other:1)" "$(digest_of bb)"
	try bi -q list
	assert_output "docker.io/library/bb:latest
example.com/other:1"
}

@test "tag: a name moves" {
	get bb app
	bi tag app bb
	assert_eq "$(digest_of bb)" "$(layout_digest "$IMG/app")"
}

@test "rm: one name of two, then by digest" {
	get bb app
	bi tag bb two
	bi rm bb
	try bi -q list
	assert_output "docker.io/library/app:latest
docker.io/library/two:latest"
	bi rm "$(layout_digest "$IMG/bb")"
	try bi -q list
	assert_output docker.io/library/app:latest
}

@test "rm: several, one of them unknown" {
	get bb app
	refused nosuch rm bb nosuch app
	try bi -q list
	assert_output ""
}

@test "list: as JSON and as a table" {
	get app
	try bi --json list
	assert_eq "$(jq -r '.[0] | "\(.name) \(.platform) \(.digest)"' <<<"$out")" "docker.io/library/app:latest linux/amd64 $(layout_digest "$IMG/app")"
	try bi list
	assert_has NAME
	assert_has "$(layout_digest "$IMG/app" | cut -c8-19)"
	try bi --json --root "$T/empty" list
	assert_output "[]"
}

@test "inspect: the documents byte by byte" {
	get app
	digest=$(layout_digest "$IMG/app")
	assert_eq "$(bi inspect app | jq -c .manifest)" "$(jq -c . "$IMG/app/blobs/sha256/${digest#*:}")"
	assert_eq "$(bi inspect "$digest" | jq -r .descriptor.digest)" "$digest"
	assert_eq "$(bi inspect "${digest:7:12}" | jq -r .descriptor.digest)" "$digest"
}

@test "config: edits make another image, the old one stays" {
	get app
	before=$(digest_of app)
	try bi -q config --image-cmd "new words" --image-env FROM=edit --image-env MORE=1 --image-env-rm PATH --label-rm empty --clear volume app app:2
	assert_ok
	assert_eq "$(digest_of app)" "$before"
	assert_eq "$(config_of app:2 .config.config | jq -c '[.Cmd,.Env,.Labels,.Volumes,.User]')" \
		'[["new","words"],["FROM=edit","MORE=1"],{"org.example.label":"a b"},null,"user"]'
	assert_eq "$(config_of app:2 .config.history[-1].empty_layer)" true
}

@test "config: in place, without history, reproducible" {
	get bb
	export SOURCE_DATE_EPOCH=1600000000
	bi tag bb other
	first=$(bi -q config --no-history --image-user 7 bb)
	assert_eq "$(config_of bb '[.config.config.User, .config.history]')" '["7",null]'
	assert_eq "$(bi -q config --no-history --image-user 7 other)" "docker.io/library/other:latest@${first#*@}"
}

@test "config: a digest is no name, and an index is not replaced by one of its images" {
	get app
	before=$(digest_of app)
	refused NAME config --image-user 7 "$before"
	refused NAME config --image-user 7 "${before#*:}"
	assert_eq "$(bi -q list)" docker.io/library/app:latest
	bi -q pull --all-platforms "oci:$IMG/multi:latest" multi
	before=$(digest_of multi)
	refused NAME config --image-user 7 multi
	assert_eq "$(digest_of multi)" "$before"
	bi -q config --image-user 7 multi mine
	assert_eq "$(config_of mine .config.config.User)" 7
}

@test "config: what nobody knows" {
	get bb
	refused Nothing config --clear Nothing bb
	refused created config --created yesterday bb
	assert_eq "$(digest_of bb)" "$(layout_digest "$IMG/bb")"
}

@test "verbs: wrong arguments are one line with a hint" {
	refused "--help" pull
	refused "--help" unpack bb
	refused "--help" tag bb
	refused "--help" nosuchverb
	refused "--help" pull --nosuchflag bb
	refused "compress" import --compress lzma "$S/src/etc.tar" x
	refused "USER:PASSWORD" --creds nobody pull bb
	refused "mirror" --mirror nothing pull bb
}

@test "errors name the flag and what it may be" {
	get bb
	refused "--platform" pull --platform bogus "oci:$IMG/bb:latest" x
	refused "--platform" unpack --platform linux/bogus bb "$T/b"
	refused "--cmd" unpack --cmd "sh -c 'echo a'" bb "$T/b"
	refused '["sh", "-c"' unpack --entrypoint 'sh -c "echo a"' bb "$T/b"
	refused "bind-propagation" unpack --mount type=bind,from=/x bb "$T/b"
	refused "--cpus" unpack --cpus -1 bb "$T/b"
	refused "--runtime" run --runtime nosuch bb true
	absent "$T/b"
	try bi -q unpack --cmd '["sh", "-c", "echo a b"]' bb "$T/b"
	assert_ok
	assert_eq "$(spec .process.args)" '["sh","-c","echo a b"]'
}

@test "a file or directory in the place of an image" {
	cp "$S/src/etc.tar" "$T/w.tar"
	refused "berth-image import w.tar NAME" pull w.tar
	cp -r "$IMG/bb" "$T/layout"
	refused "pull oci:layout NAME" pull layout
	mkdir "$T/files"
	refused "tar -C files" import files x
	refused "import w.tar NAME" import w.tar
}

@test "import takes the name that a saved image has of itself" {
	get bb
	bi -q tag bb example.com/own/name:1
	bi -q export example.com/own/name:1 "docker-archive:$T/docker.tar"
	bi -q export example.com/own/name:1 "oci-archive:$T/oci.tar:example.com/of/oci:2"
	bi rm example.com/own/name:1
	try bi -q import "$T/docker.tar"
	assert_has example.com/own/name:1@
	try bi -q import "$T/oci.tar"
	assert_has example.com/of/oci:2@
	try bi -q import "$T/docker.tar" mine
	assert_has docker.io/library/mine:latest@
	# a tag alone is no name
	refused NAME import "$IMG/bb"
}

@test "progress on a terminal without columns is lines" {
	out=$(timeout 30 script -qec "stty cols 0; $BIN/berth-image --root $STORE pull oci:$IMG/bb:latest bb" /dev/null </dev/null 3>&- | tr -d '\r\0')
	grep -qE '^pull [0-9a-f]{12}: done' <<<"${out#^@}" || fail "it prints $(printf %q "$out")"
}
