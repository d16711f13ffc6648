// SPDX-License-Identifier: Apache-2.0

package stats

import "bytes"

// blkioV1 prefers the numbers of the BFQ scheduler to those of the throttling
// layer, which has all devices, if there are any: as runc does.
func blkioV1(d *dir, s *Stats) {
	b := &s.Blkio
	b.IOServiceBytesRecursive = d.blkio("blkio.bfq.io_service_bytes_recursive", "blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes")
	b.IOServicedRecursive = d.blkio("blkio.bfq.io_serviced_recursive", "blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced")
	// CONFIG_BFQ_CGROUP_DEBUG; the first tells of all.
	if b.SectorsRecursive = d.blkio("blkio.bfq.sectors_recursive"); b.SectorsRecursive == nil {
		return
	}
	b.IOServiceTimeRecursive = d.blkio("blkio.bfq.io_service_time_recursive")
	b.IOWaitTimeRecursive = d.blkio("blkio.bfq.io_wait_time_recursive")
	b.IOMergedRecursive = d.blkio("blkio.bfq.io_merged_recursive")
	b.IOQueuedRecursive = d.blkio("blkio.bfq.io_queued_recursive")
	b.IOTimeRecursive = d.blkio("blkio.bfq.time_recursive")
}

// blkio returns the entries of the first file that has any.
func (d *dir) blkio(names ...string) []BlkioEntry {
	for _, name := range names {
		list, err := parseBlkio(d.read(name))
		d.fail(name, err)
		if len(list) > 0 {
			return list
		}
	}
	return nil
}

// parseBlkio reads v1's "major:minor [op] number", without the total over all
// devices at the end.
func parseBlkio(text []byte) ([]BlkioEntry, error) {
	var list []BlkioEntry
	var fields [3][]byte
	for line := range bytes.Lines(text) {
		n := split(&fields, line)
		switch {
		case n == 0, n == 2 && string(fields[0]) == "Total":
			continue
		case n < 2:
			return nil, badLine(bytes.TrimSpace(line))
		}
		e, ok := device(fields[0])
		if n == 3 {
			e.Op = op(fields[1])
		}
		var err error
		e.Value, err = parseUint(fields[n-1])
		if !ok || err != nil {
			return nil, badLine(bytes.TrimSpace(line))
		}
		list = append(list, e)
	}
	return list, nil
}

// split fills fields from the line and returns how many there are; 1 if too many.
func split(fields *[3][]byte, line []byte) int {
	n := 0
	for f := range bytes.FieldsSeq(line) {
		if n == len(fields) {
			return 1
		}
		fields[n] = f
		n++
	}
	return n
}

// op avoids a string for each line.
func op(b []byte) string {
	for _, known := range [...]string{"Read", "Write", "Sync", "Async", "Discard", "Total"} {
		if string(b) == known {
			return known
		}
	}
	return string(b)
}

// device reads "major:minor".
func device(b []byte) (e BlkioEntry, ok bool) {
	major, minor, ok := bytes.Cut(b, colon)
	var err, err2 error
	e.Major, err = parseUint(major)
	e.Minor, err2 = parseUint(minor)
	return e, ok && err == nil && err2 == nil
}

func blkioV2(d *dir, s *Stats) {
	err := parseIOStat(d.read("io.stat"), &s.Blkio)
	d.fail("io.stat", err)
}

// parseIOStat reads v2's "major:minor key=number...". A device without numbers
// has no end of line in kernels before 5.19, and the next one follows it.
func parseIOStat(text []byte, b *Blkio) error {
	for line := range bytes.Lines(text) {
		e, known := BlkioEntry{}, false
		for field := range bytes.FieldsSeq(line) {
			key, value, ok := bytes.Cut(field, equals)
			if !ok {
				e, known = device(field)
				continue
			}
			list, op := tableOf(b, key)
			if list == nil {
				continue
			}
			n, err := parseUint(value)
			if err != nil || !known {
				return badLine(bytes.TrimSpace(line))
			}
			e.Op, e.Value = op, n
			*list = append(*list, e)
		}
	}
	return nil
}

// tableOf maps a key of io.stat to v1's table and operation.
func tableOf(b *Blkio, key []byte) (*[]BlkioEntry, string) {
	switch string(key) {
	case "rbytes":
		return &b.IOServiceBytesRecursive, "Read"
	case "wbytes":
		return &b.IOServiceBytesRecursive, "Write"
	case "rios":
		return &b.IOServicedRecursive, "Read"
	case "wios":
		return &b.IOServicedRecursive, "Write"
	}
	return nil, "" // discards, and the costs of io.cost
}

// rdma reads the same files on v1 and v2.
func rdma(d *dir, s *Stats) {
	current := d.rdma("rdma.current")
	limit := d.rdma("rdma.max")
	if len(current)+len(limit) > 0 {
		s.RDMA = &RDMA{current, limit}
	}
}

func (d *dir) rdma(name string) []RDMAEntry {
	list, err := parseRDMA(d.read(name))
	d.fail(name, err)
	return list
}

// parseRDMA reads "device hca_handle=number hca_object=number".
func parseRDMA(text []byte) ([]RDMAEntry, error) {
	var list []RDMAEntry
	for line := range bytes.Lines(text) {
		var e RDMAEntry
		for field := range bytes.FieldsSeq(line) {
			key, value, ok := bytes.Cut(field, equals)
			if !ok {
				e.Device = string(field)
				continue
			}
			n, err := parseUint(value)
			if err != nil {
				return nil, badLine(bytes.TrimSpace(line))
			}
			switch string(key) {
			case "hca_handle":
				e.HCAHandle = n
			case "hca_object":
				e.HCAObject = n
			}
		}
		if e.Device != "" {
			list = append(list, e)
		}
	}
	return list, nil
}

// miscellaneous reads the misc controller: v2 has it since Linux 5.13, v1 too.
func miscellaneous(d *dir, s *Stats) {
	d.resources("misc.current", s, func(m *Misc, n uint64) { m.Usage = n })
	if len(s.Misc) == 0 {
		return
	}
	d.resources("misc.max", s, func(m *Misc, n uint64) { m.Limit = n })
	d.resources("misc.events", s, func(m *Misc, n uint64) { m.Events = n })
}

// resources sets one field of each resource that a file names.
func (d *dir) resources(name string, s *Stats, set func(*Misc, uint64)) {
	d.flat(name, func(key []byte, n uint64) {
		resource := string(bytes.TrimSuffix(key, []byte(".max"))) // misc.events has "sev.max"
		if s.Misc == nil {
			s.Misc = map[string]Misc{}
		}
		m := s.Misc[resource]
		set(&m, n)
		s.Misc[resource] = m
	})
}
