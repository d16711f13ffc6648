// SPDX-License-Identifier: Apache-2.0

package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"berth/libcontainer/config"
	"berth/libcontainer/host"
)

// formatIDMap returns the lines of uid_map or gid_map, user_namespaces(7).
func formatIDMap(list []config.IDMap) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "%d %d %d\n", m.ContainerID, m.HostID, m.Size)
	}
	return b.String()
}

// IDMappings returns the id maps of the container's user namespace, as init
// has them; none if it has no such namespace, or init is gone.
func (c *Container) IDMappings() (uids, gids []config.IDMap) {
	if _, ok := c.rec.Namespaces[string(config.UserNS)]; !ok || !c.alive() {
		return nil, nil
	}
	dir := "/proc/" + strconv.Itoa(c.rec.InitPid)
	return readIDMap(dir + "/uid_map"), readIDMap(dir + "/gid_map")
}

func readIDMap(path string) []config.IDMap {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil // init has just ended: what follows says so
	}
	var list []config.IDMap
	for line := range strings.Lines(string(data)) {
		var m config.IDMap
		if _, err := fmt.Sscan(line, &m.ContainerID, &m.HostID, &m.Size); err == nil {
			list = append(list, m)
		}
	}
	return list
}

// ownIDOnly says whether a map is one line with the given host id: what an
// unprivileged process may write itself.
func ownIDOnly(list []config.IDMap, id uint32) bool {
	return len(list) == 1 && list[0].Size == 1 && list[0].HostID == id
}

// writeIDMaps maps the ids of the user namespace of pid. Without privilege,
// newuidmap(1) and newgidmap(1) do what we may not do ourselves.
func writeIDMaps(pid int, uids, gids []config.IDMap, f host.Facts) error {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	const capSetuid, capSetgid = 7, 6
	may := func(c int) bool { return f.Permitted&(1<<c) != 0 }
	switch {
	case may(capSetgid):
		if err := writeMap(dir+"gid_map", "linux.gidMappings", formatIDMap(gids)); err != nil {
			return err
		}
	case ownIDOnly(gids, f.EGID):
		// Required without privilege (CVE-2014-8989), and only then.
		if err := writeMap(dir+"setgroups", "linux.gidMappings", "deny"); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
		if err := writeMap(dir+"gid_map", "linux.gidMappings", formatIDMap(gids)); err != nil {
			return err
		}
	default:
		if err := runIDMapTool("newgidmap", "linux.gidMappings", "/etc/subgid", pid, gids); err != nil {
			return err
		}
	}
	if may(capSetuid) || ownIDOnly(uids, f.EUID) {
		return writeMap(dir+"uid_map", "linux.uidMappings", formatIDMap(uids))
	}
	return runIDMapTool("newuidmap", "linux.uidMappings", "/etc/subuid", pid, uids)
}

func writeMap(path, field, text string) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: open %s: %w", field, path, err)
	}
	defer unix.Close(fd)
	// The kernel takes a map in one write.
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return fmt.Errorf("%s: write %s: %w", field, path, err)
	}
	return nil
}

func runIDMapTool(tool, field, subids string, pid int, list []config.IDMap) error {
	path, err := exec.LookPath(tool)
	if err != nil {
		return fmt.Errorf("%s: mapping more than one's own id without privilege needs %s (package uidmap): %w", field, tool, err)
	}
	args := []string{strconv.Itoa(pid)}
	for _, m := range list {
		for _, n := range []uint32{m.ContainerID, m.HostID, m.Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w: %s (are the ranges in %s yours?)", field, tool, strings.Join(args, " "), err,
			strings.TrimSpace(string(out)), subids)
	}
	return nil
}

// OpenUserNamespace makes a user namespace with these maps, for mounts that are
// made outside of a container's.
func OpenUserNamespace(uids, gids []config.IDMap) (*os.File, error) {
	f, err := host.Probe()
	if err != nil {
		return nil, err
	}
	return openUserNamespace(uids, gids, f)
}

// openUserNamespace makes a user namespace with the given maps and returns a
// descriptor of it, for id-mapped mounts. A process of ours holds it until
// then.
func openUserNamespace(uids, gids []config.IDMap, f host.Facts) (*os.File, error) {
	child, err := startHolder(unix.CLONE_NEWUSER)
	if err != nil {
		return nil, err
	}
	defer child.end()
	if err := writeIDMaps(child.pid, uids, gids, f); err != nil {
		return nil, err
	}
	path := "/proc/" + strconv.Itoa(child.pid) + "/ns/user"
	return os.OpenFile(path, os.O_RDONLY, 0)
}
