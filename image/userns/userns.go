// SPDX-License-Identifier: Apache-2.0

// Package userns gives an ordinary user more than one id for files: it runs the
// program again in a user namespace where the user is root, and where the ids
// that /etc/subuid and /etc/subgid give them come after that, as Podman has it.
//
//	func main() {
//		args, err := userns.Main(os.Args) // the second run waits here for its ids
//		…
//	}
//
//	maps, err := userns.Subordinate(name, uid, gid)
//	status, err := userns.Run(maps, args, env)
//
// Whether a process is in such a namespace, made by whomever, is what Current
// says.
package userns

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Maps are the ids of a user namespace and what they are outside of it; none for
// the initial namespace, where all ids are themselves.
type Maps struct{ UIDs, GIDs []specs.LinuxIDMapping }

// Initial says whether these are not the maps of a user namespace.
func (m Maps) Initial() bool { return len(m.UIDs) == 0 }

// Name tells different maps apart: files with owners by one of them have other
// owners by another. It has hexadecimal digits, and is "" for the initial
// namespace.
func (m Maps) Name() string {
	if m.Initial() {
		return ""
	}
	sum := sha256.Sum256(fmt.Append(nil, m.UIDs, m.GIDs))
	return hex.EncodeToString(sum[:6])
}

// Current are the maps of this process's namespace, as one outside of it sees
// them; user_namespaces(7).
func Current() (Maps, error) {
	uids, err := readMap("/proc/self/uid_map")
	if err != nil {
		return Maps{}, err
	}
	// The one map with all ids, which no other namespace can have.
	if len(uids) == 1 && uids[0] == (specs.LinuxIDMapping{Size: 1<<32 - 1}) {
		return Maps{}, nil
	}
	gids, err := readMap("/proc/self/gid_map")
	return Maps{uids, gids}, err
}

func readMap(file string) ([]specs.LinuxIDMapping, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) { // a kernel without user namespaces
		return []specs.LinuxIDMapping{{Size: 1<<32 - 1}}, nil
	}
	if err != nil {
		return nil, err
	}
	var maps []specs.LinuxIDMapping
	for line := range strings.Lines(string(data)) {
		var n [3]uint32
		for i, field := range strings.Fields(line) {
			id, err := strconv.ParseUint(field, 10, 32)
			if err != nil || i > 2 {
				return nil, fmt.Errorf("%s: %q is no range of ids", file, line)
			}
			n[i] = uint32(id)
		}
		maps = append(maps, specs.LinuxIDMapping{ContainerID: n[0], HostID: n[1], Size: n[2]})
	}
	return maps, nil
}
