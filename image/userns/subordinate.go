// SPDX-License-Identifier: Apache-2.0

package userns

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

// The programs that map a user's subordinate ids, by the right that these files
// give; newuidmap(1), newgidmap(1).
const (
	uidMapper, subuidFile = "newuidmap", "/etc/subuid"
	gidMapper, subgidFile = "newgidmap", "/etc/subgid"
)

// ErrNone says why a user has one id only.
var ErrNone = errors.New("no subordinate ids")

// Single maps a user's own ids to root's, and nothing else.
func Single(uid, gid uint32) Maps {
	one := func(id uint32) []specs.LinuxIDMapping { return []specs.LinuxIDMapping{{HostID: id, Size: 1}} }
	return Maps{one(uid), one(gid)}
}

// Subordinate is Single, and from 1 on come the ranges that the user is given.
// The error is ErrNone if there are none, or nothing that maps them. name is the
// user's login name, "" if they have none.
func Subordinate(name string, uid, gid uint32) (Maps, error) {
	m := Single(uid, gid)
	owners := []string{strconv.FormatUint(uint64(uid), 10)}
	if name != "" {
		owners = append(owners, name)
	}
	for _, kind := range []struct {
		mapper, file string
		into         *[]specs.LinuxIDMapping
	}{{uidMapper, subuidFile, &m.UIDs}, {gidMapper, subgidFile, &m.GIDs}} {
		if _, err := exec.LookPath(kind.mapper); err != nil {
			return Maps{}, fmt.Errorf("%w: there is no %s (hint: package uidmap)", ErrNone, kind.mapper)
		}
		ranges, err := readRanges(kind.file, owners)
		if err != nil {
			return Maps{}, err
		}
		if len(ranges) == 0 {
			return Maps{}, fmt.Errorf("%w in %s for %s", ErrNone, kind.file, owners[len(owners)-1])
		}
		*kind.into = append(*kind.into, ranges...)
	}
	return m, nil
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
	defer f.Close() // read only
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

// subordinates maps the ranges that subuid(5) has for one of the owners to ids
// from 1 on.
func subordinates(text string, owners []string) ([]specs.LinuxIDMapping, error) {
	var maps []specs.LinuxIDMapping
	next := uint64(1)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		fields := strings.Split(line, ":")
		if strings.HasPrefix(line, "#") || len(fields) < 3 || !slices.Contains(owners, fields[0]) {
			continue
		}
		start, err1 := strconv.ParseUint(fields[1], 10, 32)
		count, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 != nil || err2 != nil || start+count > math.MaxUint32 || next+count > math.MaxUint32 {
			return nil, fmt.Errorf("%q is no range of ids", line)
		}
		if count > 0 {
			maps = append(maps, specs.LinuxIDMapping{ContainerID: uint32(next), HostID: uint32(start), Size: uint32(count)})
			next += count
		}
	}
	return maps, nil
}
