# SPDX-License-Identifier: Apache-2.0
# Images, a registry that anybody may use, and one with TLS and a password.

setup_suite() {
	local here tool missing=
	here=$(dirname "${BASH_SOURCE[0]}")
	for tool in docker-registry skopeo umoci buildah podman setfattr setcap openssl script zstd; do
		command -v $tool >/dev/null || missing+=" $tool"
	done
	if [[ $missing ]]; then
		echo "missing:$missing (hint: tests/setup/packages.sh test)" >&2
		return 1
	fi
	source "$here/images.bash"
	source "$here/registry.bash"
	BIN=$(realpath "$here/../../bin")
	export BIN
	export S=$BATS_SUITE_TMPDIR IMG=$BATS_SUITE_TMPDIR/img
	make_images "$S/src"

	make_authority "$S/ca"
	# bcrypt, the only kind that it takes
	perl -e 'print "user:" . crypt("secret", "\$2b\$05\$abcdefghijklmnopqrstuu") . "\n"' >"$S/ca/htpasswd"
	start_registry "$S/open"
	start_registry "$S/closed" "  tls: {certificate: $S/ca/cert.pem, key: $S/ca/key.pem}
auth: {htpasswd: {realm: closed, path: $S/ca/htpasswd}}"
	REG=$(<"$S/open/address") SREG=$(<"$S/closed/address") CA=$S/ca/ca.pem
	export REG SREG CA
	local name
	for name in bb app rich multi mixed thing; do
		skopeo copy -q --all --insecure-policy --dest-tls-verify=false "oci:$IMG/$name:latest" "docker://$REG/$name:latest"
	done
	skopeo copy -q --insecure-policy --format v2s2 --dest-tls-verify=false "oci:$IMG/bb:latest" "docker://$REG/docker2:latest"
	skopeo copy -q --insecure-policy --dest-cert-dir "$S/ca/none" --dest-tls-verify=false --dest-creds user:secret "oci:$IMG/bb:latest" "docker://$SREG/private/bb:latest"
}

teardown_suite() {
	source "$(dirname "${BASH_SOURCE[0]}")/registry.bash"
	stop_registry "$BATS_SUITE_TMPDIR/open"
	stop_registry "$BATS_SUITE_TMPDIR/closed"
}
