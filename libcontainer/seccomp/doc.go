// SPDX-License-Identifier: Apache-2.0

// Package seccomp compiles linux.seccomp of a config.json to a classic BPF
// program for seccomp(2). It loads nothing: the program is a value, and the
// boot image hands it to the kernel as its last act.
//
//	cache := seccomp.Cache{Dir: "/run/berth/seccomp"}
//	filter, warnings, err := cache.Compile(config.Linux.Seccomp)
//
// What libseccomp makes is preceded by a stub of our own (stub.go). It answers
// ENOSYS to system calls that are newer than the profile, so that a C library
// falls back to the call that the profile knows, and it applies rules for calls
// that are newer than libseccomp (newer.go).
//
// This is the only package that needs cgo.
package seccomp
