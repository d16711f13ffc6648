// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// RootlessMaps are the maps of ids for a user who is not root: their own ids
// are root's in the container, and from 1 on come the ranges that /etc/subuid
// and /etc/subgid give them, if newuidmap(1) and newgidmap(1) are there to map
// those. Without ranges the container has one user and one group. name is the
// user's login name, "" if they have none.
func RootlessMaps(name string, uid, gid uint32) (uids, gids []specs.LinuxIDMapping, err error) {
	one := func(id uint32) []specs.LinuxIDMapping { return []specs.LinuxIDMapping{{HostID: id, Size: 1}} }
	uids, gids = one(uid), one(gid)
	for _, tool := range []string{"newuidmap", "newgidmap"} {
		if _, err := exec.LookPath(tool); err != nil {
			return uids, gids, nil
		}
	}
	owners := []string{strconv.FormatUint(uint64(uid), 10)}
	if name != "" {
		owners = append(owners, name)
	}
	subuids, err := readRanges("/etc/subuid", owners)
	if err != nil {
		return nil, nil, err
	}
	subgids, err := readRanges("/etc/subgid", owners)
	if err != nil {
		return nil, nil, err
	}
	if len(subuids) == 0 || len(subgids) == 0 {
		return uids, gids, nil
	}
	return append(uids, subuids...), append(gids, subgids...), nil
}

// maxRanges is how long subuid(5) may be, in bytes.
const maxRanges = 10 << 20

func readRanges(file string, owners []string) ([]specs.LinuxIDMapping, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRanges))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	maps, err := subordinates(string(data), owners)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return maps, nil
}

// subordinates maps the ranges that subuid(5) has for one of the owners to the
// container's ids from 1 on.
func subordinates(text string, owners []string) ([]specs.LinuxIDMapping, error) {
	var maps []specs.LinuxIDMapping
	next := uint64(1)
	for fields := range records(text, 3) {
		if !slices.Contains(owners, fields[0]) {
			continue
		}
		start, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 != nil || err2 != nil || start+count > math.MaxUint32 || next+count > math.MaxUint32 {
			return nil, fmt.Errorf("%q is no range of ids", strings.Join(fields, ":"))
		}
		if count > 0 {
			maps = append(maps, specs.LinuxIDMapping{ContainerID: uint32(next), HostID: uint32(start), Size: uint32(count)})
			next += count
		}
	}
	return maps, nil
}
