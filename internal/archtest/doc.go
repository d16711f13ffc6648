// SPDX-License-Identifier: Apache-2.0

// Package archtest holds the rules of this module's architecture as data, and
// the checks that compare the source tree with them: who may import whom, how
// long files and functions may be, where unsafe, cgo and raw file creation are
// allowed, what the top level looks like. ARCHITECTURE.md draws the picture;
// this package keeps the picture true.
//
// It is a test and nothing else: no package imports it. A rule that has to
// give way is changed in its table here, with the reason beside it.
//
//	go test ./internal/archtest
package archtest
