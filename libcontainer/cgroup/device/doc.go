// SPDX-License-Identifier: Apache-2.0

// Package device holds the device rules of a container, and puts them in force
// on cgroup v2. That has no files for devices: a program of type
// BPF_PROG_TYPE_CGROUP_DEVICE answers each open(2) and mknod(2) of a node.
//
//	rules, err := device.Rules(resources)   // the config's, then the defaults
//	program, err := device.Compile(rules)   // a value, to be printed and compared
//	err = device.Attach(dir, program)       // to the cgroup, atomically
//
// The tables of cgroup v1 are made by package fs1 from the same rules.
package device
