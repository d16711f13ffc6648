// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/internal/inroot"
)

const (
	// maxDatabase is how long passwd and group may be, in bytes: an image once
	// made the daemon read without end (CVE-2026-47262).
	maxDatabase = 10 << 20
	// maxID is the largest id of an image. Above it there is room for overflow:
	// 2^32 was root (CVE-2024-40635).
	maxID = math.MaxInt32
	// maxGroups is the kernel's NGROUPS_MAX, setgroups(2).
	maxGroups = 65536
)

// LookupUser finds what User of an image config means in the root that the
// image was unpacked to: "", USER or USER:GROUP, each a name or a number.
//
// A number is taken as it is, and one that is too large is an error, not a name
// (CVE-2026-46680). A name has to be in /etc/passwd or /etc/group. Without
// GROUP, the group is passwd's, or 0 for a number that is not there; groups,
// the additional ones, come from /etc/group for a name without GROUP only
// (image-spec conversion.md, process.user.additionalGids). home is "" if
// passwd has none. No user at all is 0:0.
//
// Both files are looked up in the root, links included, and have to be regular
// files (CVE-2024-9676).
func LookupUser(root *inroot.Root, user string) (uid, gid uint32, groups []uint32, home string, err error) {
	if uid, gid, groups, home, err = lookupUser(root, user); err != nil {
		return 0, 0, nil, "", fmt.Errorf("user %q: %w", user, err)
	}
	return uid, gid, groups, home, nil
}

func lookupUser(root *inroot.Root, user string) (uid, gid uint32, groups []uint32, home string, err error) {
	name, group, _ := strings.Cut(user, ":") // "user:" has no group, as with Docker
	switch {
	case strings.Contains(group, ":"):
		return 0, 0, nil, "", errors.New("want USER or USER:GROUP")
	case name == "" && user != "":
		return 0, 0, nil, "", errors.New("there is a group and no user")
	case name == "":
		name, group = "0", "0"
	}
	uid, numeric, err := parseID(name)
	if err != nil {
		return 0, 0, nil, "", err
	}
	passwd, err := database(root, "/etc/passwd")
	if err != nil {
		return 0, 0, nil, "", err
	}
	account, found, err := findAccount(passwd, name, uid, numeric)
	if err != nil {
		return 0, 0, nil, "", err
	}
	if !found && !numeric {
		return 0, 0, nil, "", errors.New("there is no such name in the image's /etc/passwd (hint: --user with a number)")
	}
	if !numeric {
		uid = account.uid
	}
	if group == "" && numeric {
		return uid, account.gid, nil, account.home, nil
	}
	gid, groups, err = lookupGroup(root, name, group, account.gid)
	return uid, gid, groups, account.home, err
}

// lookupGroup finds the group that is named, or else the ones that name the
// user.
func lookupGroup(root *inroot.Root, user, group string, primary uint32) (gid uint32, groups []uint32, err error) {
	gid, numeric, err := parseID(group)
	if err != nil || numeric {
		return gid, nil, err
	}
	database, err := database(root, "/etc/group")
	if err != nil {
		return 0, nil, err
	}
	if group == "" {
		groups, err = memberships(database, user, primary)
		return primary, groups, err
	}
	gid, found, err := findGroup(database, group)
	if err == nil && !found {
		err = fmt.Errorf("there is no group %q in the image's /etc/group", group)
	}
	return gid, nil, err
}

// parseID reads an id. What is digits is a number even if somebody has that
// name; a sign makes it neither.
func parseID(s string) (id uint32, numeric bool, err error) {
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false, nil
	}
	if digits != s {
		return 0, true, fmt.Errorf("%q is no id: it has a sign", s)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > maxID {
		return 0, true, fmt.Errorf("id %s is not in the range 0 to %d", s, maxID)
	}
	return uint32(n), true, nil
}

// database reads passwd or group; none is an empty one.
func database(root *inroot.Root, name string) (string, error) {
	data, err := root.ReadFile(name, maxDatabase)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return "", nil
	}
	return string(data), err
}

// account is what passwd(5) says of a user.
type account struct {
	uid, gid uint32
	home     string
}

// findAccount takes the first line that has the name or, if numeric, the uid.
// A line that matches is right in all its parts or an error: "x" must not be
// root.
func findAccount(passwd, name string, uid uint32, numeric bool) (a account, found bool, err error) {
	for fields := range records(passwd, 4) {
		if numeric {
			id, ok, err := parseID(fields[2])
			if err != nil || !ok || id != uid {
				continue
			}
		} else if fields[0] != name {
			continue
		}
		if a.uid, err = recordID("/etc/passwd", fields[0], fields[2]); err != nil {
			return account{}, false, err
		}
		if a.gid, err = recordID("/etc/passwd", fields[0], fields[3]); err != nil {
			return account{}, false, err
		}
		if len(fields) > 5 && strings.HasPrefix(fields[5], "/") && !strings.Contains(fields[5], "\x00") {
			a.home = fields[5]
		}
		return a, true, nil
	}
	return account{}, false, nil
}

// findGroup takes the first line of group(5) that has the name.
func findGroup(database, name string) (gid uint32, found bool, err error) {
	for fields := range records(database, 3) {
		if fields[0] == name {
			gid, err = recordID("/etc/group", name, fields[2])
			return gid, err == nil, err
		}
	}
	return 0, false, nil
}

// memberships are the groups beside the primary one that list a user as a
// member, in the file's order.
func memberships(database, user string, primary uint32) ([]uint32, error) {
	var gids []uint32
	seen := map[uint32]bool{primary: true}
	for fields := range records(database, 4) {
		if !slices.Contains(strings.Split(fields[3], ","), user) {
			continue
		}
		gid, err := recordID("/etc/group", fields[0], fields[2])
		if err != nil {
			return nil, err
		}
		if !seen[gid] {
			seen[gid] = true
			gids = append(gids, gid)
		}
		if len(gids) > maxGroups {
			return nil, fmt.Errorf("/etc/group: more than %d groups", maxGroups)
		}
	}
	return gids, nil
}

func recordID(file, name, s string) (uint32, error) {
	id, numeric, err := parseID(s)
	if err == nil && !numeric {
		err = fmt.Errorf("%q is no id", s)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %q: %w", file, name, err)
	}
	return id, nil
}

// records yields the fields of each line that has enough of them. Comments are
// left out, and so are the + and - of NIS, nsswitch.conf(5): they refer to
// databases that no image has.
func records(database string, enough int) iter.Seq[[]string] {
	return func(yield func([]string) bool) {
		for line := range strings.Lines(database) {
			line = strings.TrimSpace(line)
			if line == "" || strings.ContainsRune("#+-", rune(line[0])) {
				continue
			}
			if fields := strings.Split(line, ":"); len(fields) >= enough && !yield(fields) {
				return
			}
		}
	}
}
