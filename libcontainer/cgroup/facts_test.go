// SPDX-License-Identifier: Apache-2.0

package cgroup

import (
	"fmt"
	"testing"
)

const mountinfo = `22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 /docker/a\040b /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 31 0:31 / /mnt/second\134copy rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
36 31 0:33 / /sys/fs/cgroup/odd rw - cgroup odd rw,nobody
`

func TestParseMounts(t *testing.T) {
	f := Facts{Own: parseOwn("4:cpu,cpuacct:/docker/a b/c:d\n1:name=systemd:/\n0::/user\n")}
	parseMounts(&f, mountinfo)
	got := fmt.Sprintf("%+v", f)
	want := `{Unified:false Hierarchies:[{Controllers:[cpu cpuacct] Mountpoint:/sys/fs/cgroup/cpu,cpuacct Root:/docker/a b} ` +
		`{Controllers:[name=systemd] Mountpoint:/sys/fs/cgroup/systemd Root:/}] V2Mount:/sys/fs/cgroup/unified V2Root:/ V2Controllers:[] UserManager: ` +
		`Own:map[:/user cpu,cpuacct:/docker/a b/c:d name=systemd:/]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestCgroupOutsideOfTheNamespaceIsTheMountPoint(t *testing.T) {
	d := Dir{Mount: "/sys/fs/cgroup/cpu"}
	for cgroup, want := range map[string]string{
		"/":       "/sys/fs/cgroup/cpu",
		"/a/b":    "/sys/fs/cgroup/cpu/a/b",
		"/..":     "/sys/fs/cgroup/cpu",
		"/../x":   "/sys/fs/cgroup/cpu",
		"":        "/sys/fs/cgroup/cpu",
		"/../../": "/sys/fs/cgroup/cpu",
	} {
		if got := d.below(cgroup); got != want {
			t.Errorf("below(%q) = %q, want %q", cgroup, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1:cpu:/\n", mountinfo)
	f.Fuzz(func(t *testing.T, own, mounts string) {
		facts := Facts{Own: parseOwn(own)}
		parseMounts(&facts, mounts)
		for _, h := range facts.Hierarchies {
			if len(h.Controllers) == 0 {
				t.Errorf("a hierarchy without controllers: %+v", h)
			}
		}
	})
}
