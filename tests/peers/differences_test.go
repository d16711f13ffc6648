// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// difference is one that we accept between what two runtimes' containers see.
// An empty Case means every case; Path is a path.Match pattern on the place in
// the report, where * matches within one step.
type difference struct {
	Case, Peer, Path, Reason string
}

// accepted are the differences of a peer's report from the first runtime's.
var accepted = []difference{
	{"", "crun", "/Keyring", "crun names the session keyring after the id alone, runc and Berth _ses.ID; permissions differ with it"},
	{"", "crun", "/Dev/core", "crun makes the link even where the kernel has no /proc/kcore"},
	{"", "", "/Mounts/|proc|*/*", "what covers a masked path is the runtime's choice; /Masked has what matters"},
	{"", "", "/Mounts/|sys|firmware/*", "as above"},
	{"", "", "/Mounts/|sys|devices|virtual|powercap/*", "as above"},
	{"", "runc", "/Mounts/|sys/Super", "runc makes the file system read-only, Berth and crun its mount: enough, and what shares it stays as it is"},
	{"", "", "/Mounts/|sys|fs|cgroup/Options", "the config asks for ro; runc and crun leave the tmpfs around the hierarchies writable"},
	{"", "", "/FDs/0", "Berth opens the container's /dev/null with O_NONBLOCK and O_NOFOLLOW, in case the image has a fifo or link there; no read or write of it notices"},
	{"", "", "/Mounts/|sys|fs|cgroup*/Source", "the name of a bind or cgroup mount's source means nothing"},
	{"", "crun", "/Mounts/|sys|fs|cgroup/Super", "crun limits the tmpfs to 1 MiB and leaves its mode at 1777"},
	{"", "", "/Mounts/|sys|fs|cgroup|hugetlb/*", "runc 1.1.5 shows only the hierarchies it manages limits in"},
	{"few-namespaces", "crun", "/Mounts/|sys|fs|cgroup|*/Root", "where we are in a container, crun binds that one's cgroup without a cgroup namespace, and not the new one's"},
	{"few-namespaces", "", "/Cgroups", "runc and crun enter the v2 part of a hybrid too; it has no controllers, and costs half a millisecond"},
	{"userns", "runc", "/Dev/mqueue", "runc makes the mqueue with an unmapped group"},
	{"userns-user", "runc", "/Dev/mqueue", "as above"},
	{"userns", "crun", "/Dev/*", "crun gives what stdin is open on, the host's /dev/null, to the container's user"},
	{"userns-user", "crun", "/Dev/*", "as above"},
	{"user", "crun", "/Dev/null", "as above"},
	{"ambient", "crun", "/Dev/null", "as above"},
	{"userns", "crun", "/Mounts/|dev|*/Options", "crun adds nosuid and noexec to bind-mounted devices"},
	{"userns-user", "crun", "/Mounts/|dev|*/Options", "as above"},
	{"mounts", "crun", "/Mounts/|var|tmp|shared/Propagation", "crun 1.8.1 loses rshared below a private root"},
	{"personality", "runc", "/Personality", "runc 1.1.5 has no linux.personality"},
}

func allowed(name, peer, at string) (string, bool) {
	for _, d := range accepted {
		if (d.Case == "" || d.Case == name) && (d.Peer == "" || d.Peer == peer) && match(d.Path, at) {
			return d.Reason, true
		}
	}
	return "", false
}

func match(pattern, at string) bool {
	ok, err := path.Match(pattern, at)
	return err == nil && ok
}

// flatten turns a report into place -> value. A mount is named by its mount
// point and its place in the order of mounts is left out when they do not
// cover each other.
func flatten(report []byte) (map[string]string, error) {
	var tree map[string]any
	if err := json.Unmarshal(report, &tree); err != nil {
		return nil, fmt.Errorf("the payload's report is no JSON: %w: %q", err, report)
	}
	flat := map[string]string{}
	if list, ok := tree["Mounts"].([]any); ok {
		byPoint := map[string]any{}
		for _, m := range list {
			point, _ := m.(map[string]any)["Point"].(string)
			for byPoint[point] != nil {
				point += " (above)"
			}
			byPoint[point] = m
		}
		tree["Mounts"] = byPoint
	}
	walk(flat, "", tree)
	return flat, nil
}

func walk(flat map[string]string, at string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, below := range v {
			walk(flat, at+"/"+strings.ReplaceAll(name, "/", "|"), below)
		}
	case []any:
		var words []string
		for _, w := range v {
			words = append(words, fmt.Sprint(w))
		}
		flat[at] = strings.Join(words, ",")
	default:
		flat[at] = fmt.Sprint(v)
	}
}

// compare lists the places where b differs from a.
func compare(a, b map[string]string) []string {
	var places []string
	for at, value := range a {
		if other, ok := b[at]; !ok || other != value {
			places = append(places, at)
		}
	}
	for at := range b {
		if _, ok := a[at]; !ok {
			places = append(places, at)
		}
	}
	slices.Sort(places)
	return places
}
