// SPDX-License-Identifier: Apache-2.0

package verbs

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseUser reads UID or UID:GID. Anything else is refused: a prefix taken for
// the whole is how CVE-2026-30892 kept uid 0.
func parseUser(s string) (uid uint32, gid *uint32, err error) {
	u, g, both := strings.Cut(s, ":")
	if uid, err = parseID(u); err != nil {
		return 0, nil, fmt.Errorf("--user %q: uid: %w", s, err)
	}
	if !both {
		return uid, nil, nil
	}
	id, err := parseID(g)
	if err != nil {
		return 0, nil, fmt.Errorf("--user %q: gid: %w", s, err)
	}
	return uid, &id, nil
}

// parseID reads a uid or gid, in the one spelling that it has.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errors.New("ids go up to 4294967294")
	}
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("must be a decimal number; names are not looked up")
	}
	if n == math.MaxUint32 { // (uid_t)-1 means "leave it" to the kernel
		return 0, errors.New("ids go up to 4294967294")
	}
	return uint32(n), nil
}
