// SPDX-License-Identifier: Apache-2.0

package archtest

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// layer says which packages of the module the package in dir may import
// itself, outside its tests. A directory covers what lies below it, the
// longest one counts. An entry is read as covers says.
type layer struct {
	dir string
	may []string
	why string
}

// leaves are what nearly everything may use: they know nothing of containers.
const leaves = "internal"

var layers = []layer{
	{"cmd/berth", []string{"cmd/berth/verbs", "specconv", "libcontainer", leaves},
		"a verb turns flags into one call of libcontainer; supervision and images have their own programs"},
	{"cmd/berth-seccomp", []string{"libcontainer/seccomp"}, "the helper of the seccomp package, and nothing else"},
	{"cmd/containerd-shim-berth-v2", []string{"shim", "internal/reference"}, "main only: everything is in shim/"},
	{"cmd/berth-monitor", []string{"shim", "cmd/berth/verbs", "internal/reference"}, "main only: it gives shim/conmon the command line of berth"},
	{"cmd/berth-image", []string{"image", leaves}, "image verbs are functions of image/; a container is not needed for them"},
	{"specconv", []string{"libcontainer/config", "libcontainer/seccomp", leaves},
		"parsing config.json gives plain values; it must not be able to act on the host (seccomp: names and tables)"},

	{"libcontainer", []string{"libcontainer", leaves},
		"the lifecycle takes resolved values; it reads no config.json, so that any program can embed it"},
	{"libcontainer/config", nil, "config is the vocabulary that all others share; it must stay free of all of them"},
	{"libcontainer/boot", []string{leaves}, "boot knows system calls, not containers, so that it can be verified alone"},
	{"libcontainer/host", []string{leaves}, "facts about the machine do not depend on any container"},
	{"libcontainer/plan", []string{"libcontainer/config", "libcontainer/host", "libcontainer/boot", "libcontainer/cgroup"},
		"planning is pure: values in, a program out (cgroup: the values that describe a hierarchy)"},
	{"libcontainer/cgroup", []string{"libcontainer/cgroup", "libcontainer/config", "libcontainer/host", leaves},
		"a subsystem knows config and host, not its siblings and not the lifecycle"},
	{"libcontainer/state", []string{"libcontainer/cgroup", "libcontainer/config", leaves},
		"the state file records what the lifecycle made; it must not drive it"},
	{"libcontainer/seccomp", subsystem, siblings},
	{"libcontainer/lsm", subsystem, siblings},
	{"libcontainer/hook", subsystem, siblings},
	{"libcontainer/console", subsystem, siblings},
	{"libcontainer/netdev", subsystem, siblings},
	{"libcontainer/rdt", subsystem, siblings},
	{"libcontainer/keyring", subsystem, siblings},
	{"libcontainer/checkpoint", subsystem, siblings},

	{"shim", []string{"shim", "libcontainer", "specconv", leaves}, "the shim embeds libcontainer; it does not know images"},
	{"image", []string{"image", leaves}, "images end at a bundle; running it is somebody else's work"},
	{"internal", []string{leaves}, "leaves: they must be usable from everywhere"},
	{"examples", []string{"libcontainer", "specconv"}, "an example shows what another program can use, and internal/ is not that"},
	{"integration", nil, "the suites drive programs from outside, and must work on any runtime"},
	{"tests", []string{"tests", "specconv", "libcontainer", "shim", "image", leaves}, "tests may look at everything; nothing looks at tests"},
}

var subsystem = []string{"libcontainer/config", "libcontainer/host", leaves}

const siblings = "a subsystem knows config and host, not its siblings and not the lifecycle"

// layerOf is the layer that the package in dir belongs to.
func layerOf(dir string) (layer, bool) {
	best, found := layer{}, false
	for _, l := range layers {
		if below(dir, l.dir) && (!found || len(l.dir) > len(best.dir)) {
			best, found = l, true
		}
	}
	return best, found
}

// home says that only the packages in these directories may import a package
// themselves (entries are read as covers says). Tests may import what they need.
type home struct {
	pkg string
	in  []string
	why string
}

var homes = []home{
	{"C", []string{"libcontainer/seccomp"}, "cgo costs start-up time and static linking; libseccomp is the one reason for it"},
	{"github.com/seccomp/libseccomp-golang", []string{"libcontainer/seccomp"}, "it is cgo: one package owns it"},
	{"github.com/vishvananda/netlink", []string{"libcontainer/netdev"}, "it initialises slowly; only the work that moves devices pays for it"},
	{"github.com/opencontainers/selinux", []string{"libcontainer/lsm"}, "labels are the business of one package"},
	{"github.com/urfave/cli", []string{"cmd"}, "command lines end in cmd/; a library takes values"},
	{"github.com/godbus/dbus", []string{"libcontainer/cgroup/systemd"}, "D-Bus is for the systemd cgroup driver only"},
	{"github.com/coreos/go-systemd", []string{"libcontainer/cgroup/systemd"}, "D-Bus is for the systemd cgroup driver only"},
	{"github.com/checkpoint-restore/go-criu", []string{"libcontainer/checkpoint"}, "CRIU is for checkpoints only"},
	{"github.com/containerd", []string{"shim", "cmd/containerd-shim-berth-v2", "tests"}, "containerd's protocol ends in the shim"},
	{"oras.land", []string{"image"}, "registries are known to images only"},

	{"os/exec", []string{"cmd", "libcontainer/hook", "libcontainer/cgroup", "libcontainer/checkpoint", "libcontainer/.", "shim", "image", "tests", "examples", "integration", "internal/archtest"},
		"programs are started by few packages; a parser or planner that starts one is wrong"},
	{"github.com/cilium/ebpf", nil, "device programs are assembled by a page of our own"},
	{"github.com/opencontainers/runc", nil, "Berth replaces it; its library re-executes the program in the container"},
	{"github.com/opencontainers/cgroups", nil, "cgroups are written by libcontainer/cgroup, from values that can be printed"},
	{"github.com/containerd/containerd/v2", nil, "the API module is enough; the daemon's own packages pull in hundreds"},
	{"go.opentelemetry.io", nil, "too heavy to start with each container"},
	{"github.com/spf13", nil, "one command line library is enough"},
	{"log/.", nil, "log/slog, with the message constant and the data in attributes"},
	{"io/ioutil", nil, "deprecated: os and io have it all"},
	{"plugin", nil, "behaviour comes by calls, not by loading"},
}

// checkImports compares each import of each file with the tables.
func checkImports(t *tree) []violation {
	var found []violation
	for _, name := range t.names() {
		dir := path.Dir(name)
		l, known := layerOf(dir)
		if !known && dir != "." {
			found = append(found, violation{name, "is in no layer of internal/archtest/imports.go", "each package has its place in the picture"})
			continue
		}
		for _, spec := range t.goes[name].Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue // the parser let it pass, the compiler will not
			}
			if why := refuse(l, dir, imported, isTest(name)); why != "" {
				found = append(found, violation{t.at(spec), fmt.Sprintf("%s must not import %s", dir, imported), why})
			}
		}
	}
	return found
}

// refuse says why the package in dir may not import another one, "" if it may.
func refuse(l layer, dir, imported string, test bool) string {
	if inside, ok := strings.CutPrefix(imported, module+"/"); ok {
		if inside == dir || coversAny(l.may, inside) {
			return ""
		}
		if test && !below(inside, "cmd") {
			return "" // a test may use neighbours to prepare what it tests
		}
		return l.why
	}
	if test {
		return ""
	}
	for _, h := range homes {
		if covers(h.pkg, imported) && !coversAny(h.in, dir) {
			return h.why
		}
	}
	return ""
}

// covers says whether a table's entry means p: "X" is X and what lies below
// it, "X/." is X alone.
func covers(entry, p string) bool {
	if exact, ok := strings.CutSuffix(entry, "/."); ok {
		return p == exact
	}
	return below(p, entry)
}

func coversAny(entries []string, p string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool { return covers(entry, p) })
}
