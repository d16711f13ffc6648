// SPDX-License-Identifier: Apache-2.0

// Package embed builds examples/embed and runs it on a real bundle. It holds
// tests only.
package embed
