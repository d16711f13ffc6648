// SPDX-License-Identifier: Apache-2.0

package early

const (
	sysFcntl     = 72
	sysPrlimit64 = 302
)
