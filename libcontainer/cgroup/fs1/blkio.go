// SPDX-License-Identifier: Apache-2.0

package fs1

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/libcontainer/cgroup/limit"
)

// blkio weights live in blkio.weight with CFQ (gone in Linux 5.0) and in
// blkio.bfq.weight since; the throttles are the same in all.
func blkio(r *specs.LinuxResources, l *limit.List) error {
	b := r.BlockIO
	if w := b.Weight; w != nil && *w != 0 {
		weight(l, "blockIO.weight", "blkio.weight", "blkio.bfq.weight", strconv.Itoa(int(*w)))
	}
	if w := b.LeafWeight; w != nil && *w != 0 {
		l.Add("blockIO.leafWeight", "blkio.leaf_weight", strconv.Itoa(int(*w)))
	}
	for i, d := range b.WeightDevice {
		field := "blockIO.weightDevice[" + strconv.Itoa(i) + "]"
		number, err := limit.DeviceNumber(field, d.LinuxBlockIODevice)
		if err != nil {
			return err
		}
		if d.Weight != nil && *d.Weight != 0 {
			weight(l, field+".weight", "blkio.weight_device", "blkio.bfq.weight_device", number+" "+strconv.Itoa(int(*d.Weight)))
		}
		if d.LeafWeight != nil && *d.LeafWeight != 0 {
			l.Add(field+".leafWeight", "blkio.leaf_weight_device", number+" "+strconv.Itoa(int(*d.LeafWeight)))
		}
	}
	for _, t := range []struct {
		field, file string
		devices     []specs.LinuxThrottleDevice
	}{
		{"blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", b.ThrottleReadBpsDevice},
		{"blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", b.ThrottleWriteBpsDevice},
		{"blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", b.ThrottleReadIOPSDevice},
		{"blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", b.ThrottleWriteIOPSDevice},
	} {
		for i, d := range t.devices {
			field := t.field + "[" + strconv.Itoa(i) + "]"
			number, err := limit.DeviceNumber(field, d.LinuxBlockIODevice)
			if err != nil {
				return err
			}
			l.Add(field, t.file, number+" "+strconv.FormatUint(d.Rate, 10))
		}
	}
	return nil
}

func weight(l *limit.List, field, file, bfq, value string) {
	l.Add(field, file, value).Else = []limit.Alternative{{File: bfq, Value: value}}
}
