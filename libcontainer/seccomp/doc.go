// SPDX-License-Identifier: Apache-2.0

// Package seccomp compiles linux.seccomp of a config.json to a classic BPF
// program for seccomp(2). It loads nothing: the program is a value, and the
// boot image hands it to the kernel as its last act.
//
//	cache := seccomp.Cache{Dir: "/run/berth/seccomp"}
//	filter, warnings, err := cache.Compile(config.Linux.Seccomp)
//
// The program has two parts. The front (front.go) is ours: it answers all calls
// whose fate does not depend on their arguments, and says ENOSYS to those that
// are newer than the profile. The rest is for libseccomp's program behind it:
// conditions on arguments, socketcall and its relatives, foreign architectures.
// Compared with libseccomp alone, a third of the instructions remains, which
// the kernel loads in a third of the time, at every start of a container.
//
// This is the only package that needs cgo.
package seccomp
