// SPDX-License-Identifier: Apache-2.0

package seccomp

import specs "github.com/opencontainers/runtime-spec/specs-go"

// question is what a program without libseccomp asks its helper: to compile a
// profile, or, without one, what libseccomp can do.
type question struct {
	Profile *specs.LinuxSeccomp `json:"profile,omitempty"`
}

// answer is what the helper says.
type answer struct {
	Filter   *Filter   `json:"filter,omitempty"`
	Warnings []string  `json:"warnings,omitempty"`
	Features *Features `json:"features,omitempty"`
	Error    string    `json:"error,omitempty"`
}
