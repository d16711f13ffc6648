#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Buildah has no daemon, and shares configuration and storage with Podman: see there.
exec "$(dirname "$(realpath "$0")")/../podman/start.sh" "$@"
