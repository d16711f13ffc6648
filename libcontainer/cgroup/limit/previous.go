// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"path"
	"strings"
)

// Previous returns the value that undoes w, given what its file holds now. It
// is false where nothing can: a line of a file whose unset form is not known.
func Previous(w Write, content string) (value string, ok bool) {
	content = strings.TrimSpace(content)
	if w.File == "memory.oom_control" { // "oom_kill_disable 0\nunder_oom 0\n…"
		_, rest, _ := strings.Cut(content, "oom_kill_disable ")
		value, _, _ = strings.Cut(rest, "\n")
		return value, value != ""
	}
	key, rest, _ := strings.Cut(w.Value, " ")
	if !keyed(w.File, key, rest) {
		if line, found := lineOf(content, "default"); found { // io.weight, io.bfq.weight
			return line, true
		}
		return content, true
	}
	if line, found := lineOf(content, key); found {
		return key + " " + line, true
	}
	unset, ok := unsetLine(w.File)
	return key + " " + unset, ok
}

// keyed says whether a file holds one line per device or interface.
func keyed(file, key, rest string) bool {
	return rest != "" && (strings.Contains(key, ":") || file == "net_prio.ifpriomap" || file == "rdma.max" || file == "misc.max")
}

// lineOf returns what stands behind key in the line that begins with it.
func lineOf(content, key string) (string, bool) {
	for line := range strings.Lines(content) {
		k, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k == key {
			return rest, true
		}
	}
	return "", false
}

// unsetLine is what takes a line away again; cgroup-v1 and cgroup-v2.rst.
func unsetLine(file string) (string, bool) {
	switch {
	case file == "io.max":
		return "rbps=max wbps=max riops=max wiops=max", true
	case file == "rdma.max":
		return "hca_handle=max hca_object=max", true
	case file == "misc.max":
		return "max", true
	case strings.HasSuffix(file, "weight_device"), strings.HasSuffix(file, ".weight"):
		return "default", true
	case file == "net_prio.ifpriomap", match("blkio.throttle.*_device", file):
		return "0", true
	}
	return "", false
}

func match(pattern, file string) bool {
	ok, err := path.Match(pattern, file)
	return ok && err == nil
}
