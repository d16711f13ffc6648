// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"berth/internal/atomicfile"
)

// exitFile is in the bundle.
const exitFile = "berth-exit.json"

// WriteExit records how init ended, for whoever asks when the supervisor is
// gone. The file appears whole or not at all.
func WriteExit(bundle string, x Exit) error {
	data, err := json.Marshal(x)
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(bundle, exitFile), data, 0o600)
}

// ReadExit returns what WriteExit recorded; ok is false if it recorded nothing.
func ReadExit(bundle string) (x Exit, ok bool, err error) {
	data, err := os.ReadFile(filepath.Join(bundle, exitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return x, false, nil
	}
	if err != nil {
		return x, false, err
	}
	err = json.Unmarshal(data, &x)
	return x, err == nil, err
}
