// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"encoding/json"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/state"
)

// specState is the state that hooks and the seccomp agent get, runtime-spec
// runtime.md#state.
func specState(rec *state.Record, status string, pid int) *specs.State {
	return &specs.State{
		Version: rec.OCIVersion, ID: rec.ID, Status: specs.ContainerState(status), Pid: pid,
		Bundle: rec.Bundle, Annotations: rec.Annotations,
	}
}

func hookState(rec *state.Record, status string, pid int) ([]byte, error) {
	return json.Marshal(specState(rec, status, pid))
}
