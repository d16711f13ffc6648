// SPDX-License-Identifier: Apache-2.0

package stats

import "bytes"

func pidsV1(d *dir, s *Stats) {
	s.Pids.Current = d.number("pids.current")
	// runc has 0 for "max", and so have those who read this.
	if limit := d.number("pids.max"); limit != Unlimited {
		s.Pids.Limit = limit
	}
}

func pidsV2(d *dir, s *Stats) {
	pidsV1(d, s)
	if s.Pids.Current != 0 {
		return
	}
	// Without the controller there are the processes to count, if not the
	// threads, which a threaded cgroup has only.
	for _, name := range []string{"cgroup.procs", "cgroup.threads"} {
		if text := d.read(name); text != nil {
			s.Pids.Current = uint64(bytes.Count(text, []byte("\n")))
			return
		}
	}
}

func hugetlbV1(d *dir, s *Stats) {
	for _, size := range d.pageSizes(".usage_in_bytes") {
		prefix := "hugetlb." + size + ".rsvd."
		usage, ok := d.counter(prefix + "usage_in_bytes")
		if !ok {
			prefix = "hugetlb." + size + "."
			usage = d.number(prefix + "usage_in_bytes")
		}
		s.Hugetlb[size] = Hugetlb{
			Usage:   usage,
			Max:     d.number(prefix + "max_usage_in_bytes"),
			Failcnt: d.number(prefix + "failcnt"),
		}
	}
}

func hugetlbV2(d *dir, s *Stats) {
	for _, size := range d.pageSizes(".current") {
		prefix := "hugetlb." + size
		usage, ok := d.counter(prefix + ".rsvd.current")
		if !ok {
			usage = d.number(prefix + ".current")
		}
		h := Hugetlb{Usage: usage}
		// Refused reservations have no events of their own.
		d.flat(prefix+".events", func(key []byte, n uint64) {
			if string(key) == "max" {
				h.Failcnt = n
			}
		})
		s.Hugetlb[size] = h
	}
}
