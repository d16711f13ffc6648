// SPDX-License-Identifier: Apache-2.0

package limit

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// RDMA compiles linux.resources.rdma; both cgroup versions have the same file.
func RDMA(r *specs.LinuxResources, l *List) error {
	for _, device := range slices.Sorted(maps.Keys(r.Rdma)) {
		field := "rdma[" + device + "]"
		if device == "" || strings.ContainsAny(device, " \n\t") {
			return Refuse(field, "invalid device name %q", device)
		}
		value, d := device, r.Rdma[device]
		if d.HcaHandles != nil {
			value += " hca_handle=" + strconv.FormatUint(uint64(*d.HcaHandles), 10)
		}
		if d.HcaObjects != nil {
			value += " hca_object=" + strconv.FormatUint(uint64(*d.HcaObjects), 10)
		}
		l.Add(field, "rdma.max", value)
	}
	return nil
}
