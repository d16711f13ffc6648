# SPDX-License-Identifier: Apache-2.0
# Debian's docker-registry on loopback ports that the kernel chooses, with a
# configuration and data of its own.

# start_registry DIR [HTTP-YAML]: its address is in DIR/address, its pid in DIR/pid.
start_registry() {
	local i
	mkdir -p "$1"
	cat >"$1/config.yml" <<-YAML
		version: 0.1
		log: {accesslog: {disabled: false}}
		storage: {filesystem: {rootdirectory: $1/data}, delete: {enabled: true}}
		http:
		  addr: 127.0.0.1:0
		${2:-}
	YAML
	docker-registry serve "$1/config.yml" >"$1/log" 2>&1 </dev/null 3>&- &
	echo $! >"$1/pid"
	for ((i = 0; i < 200; i++)); do
		grep -oE 'listening on 127[0-9.:]*' "$1/log" 2>/dev/null | grep -oE '127[0-9.:]*' >"$1/address" && return 0
		sleep 0.05
	done
	echo "docker-registry does not start: $(tail -n 3 "$1/log")" >&2
	return 1
}
stop_registry() { kill "$(<"$1/pid")" 2>/dev/null || true; }

# make_authority DIR: ca.pem, and cert.pem and key.pem for 127.0.0.1.
make_authority() {
	mkdir -p "$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=authority" \
		-keyout "$1/ca.key" -out "$1/ca.pem" 2>/dev/null
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=127.0.0.1" \
		-keyout "$1/key.pem" -out "$1/request.pem" 2>/dev/null
	openssl x509 -req -in "$1/request.pem" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 2 \
		-extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") -out "$1/cert.pem" 2>/dev/null
}
