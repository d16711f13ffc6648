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
		maps, err := readRanges(kind.file, owners, *kind.into)
		if err != nil {
			return Maps{}, err
		}
		if len(maps) == 1 {
			return Maps{}, fmt.Errorf("%w in %s for %s", ErrNone, kind.file, owners[len(owners)-1])
		}
		*kind.into = maps
	}
	return m, nil
}

// maxRanges is how long subuid(5) may be, in bytes.
const maxRanges = 10 << 20

func readRanges(file string, owners []string, own []specs.LinuxIDMapping) ([]specs.LinuxIDMapping, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return own, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	data, err := io.ReadAll(io.LimitReader(f, maxRanges))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	maps, err := subordinates(string(data), owners, own)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return maps, nil
}

// subordinates adds to a user's own id, which is 0 inside, the ranges that
// subuid(5) has for one of the owners, as ids from 1 on. The kernel takes no id
// twice: one that has several names, or is in several ranges, counts once.
func subordinates(text string, owners []string, own []specs.LinuxIDMapping) ([]specs.LinuxIDMapping, error) {
	maps := slices.Clone(own)
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
		for _, r := range (idRange{start, start + count}).without(maps) {
			maps = append(maps, specs.LinuxIDMapping{ContainerID: uint32(next), HostID: uint32(r.first), Size: uint32(r.end - r.first)})
			next += r.end - r.first
		}
	}
	return maps, nil
}

// idRange is ids of the host, from first to before end.
type idRange struct{ first, end uint64 }

// without is what no map has yet.
func (r idRange) without(maps []specs.LinuxIDMapping) []idRange {
	var left []idRange
	if r.first < r.end {
		left = append(left, r)
	}
	for _, m := range maps {
		first, end := uint64(m.HostID), uint64(m.HostID)+uint64(m.Size)
		var rest []idRange
		for _, l := range left {
			if l.first < first {
				rest = append(rest, idRange{l.first, min(l.end, first)})
			}
			if l.end > end {
				rest = append(rest, idRange{max(l.first, end), l.end})
			}
		}
		left = rest
	}
	return left
}
