// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"fmt"
	"math"
	"strings"

	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// ParseMemory reads a size in bytes with docker's units: "512m" is 512 MiB.
func ParseMemory(s string) (int64, error) {
	n, err := units.RAMInBytes(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("size %q: want a number of bytes, or one with b, k, m, g or t", s)
	}
	return n, nil
}

// ParseUlimit reads NAME=SOFT[:HARD] with the names of limits.conf(5), such as
// nofile=1024:4096; -1 is unlimited.
func ParseUlimit(s string) (specs.POSIXRlimit, error) {
	u, err := units.ParseUlimit(s)
	if err != nil {
		return specs.POSIXRlimit{}, fmt.Errorf("ulimit %q: %w", s, err)
	}
	if u.Soft < -1 || u.Hard < -1 {
		return specs.POSIXRlimit{}, fmt.Errorf("ulimit %q: negative", s)
	}
	limit := func(n int64) uint64 {
		if n == -1 {
			return math.MaxUint64 // RLIM_INFINITY
		}
		return uint64(n)
	}
	return specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: limit(u.Soft), Hard: limit(u.Hard)}, nil
}
