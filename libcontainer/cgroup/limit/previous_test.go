// SPDX-License-Identifier: Apache-2.0

package limit

import "testing"

func TestPrevious(t *testing.T) {
	for _, c := range []struct{ file, value, content, want string }{
		{"pids.max", "10", "max\n", "max"},
		{"memory.limit_in_bytes", "1024", "9223372036854771712\n", "9223372036854771712"},
		{"cpu.max", "1000 10000", "max 100000\n", "max 100000"},
		{"cpuset.cpus", "0", "\n", ""},
		{"memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", "0"},
		{"io.max", "8:0 rbps=1", "8:16 rbps=9 wbps=max riops=max wiops=max\n8:0 rbps=7 wbps=max riops=max wiops=max\n", "8:0 rbps=7 wbps=max riops=max wiops=max"},
		{"io.max", "8:1 rbps=1", "", "8:1 rbps=max wbps=max riops=max wiops=max"},
		{"io.weight", "200", "default 100\n8:0 50\n", "100"},
		{"io.weight", "8:16 200", "default 100\n8:0 50\n", "8:16 default"},
		{"blkio.throttle.read_bps_device", "8:0 5", "8:1 7\n", "8:0 0"},
		{"blkio.bfq.weight_device", "8:0 5", "", "8:0 default"},
		{"net_prio.ifpriomap", "lo 3", "lo 0\neth0 4\n", "lo 0"},
		{"rdma.max", "mlx hca_handle=2", "", "mlx hca_handle=max hca_object=max"},
	} {
		got, ok := Previous(Write{File: c.file, Value: c.value}, c.content)
		if got != c.want || !ok {
			t.Errorf("%s: to undo %q with %q there: %q, %v, want %q", c.file, c.value, c.content, got, ok, c.want)
		}
	}
	if got, ok := Previous(Write{File: "io.latency", Value: "8:0 target=10"}, ""); ok {
		t.Errorf("io.latency: %q, want none", got)
	}
}
