// SPDX-License-Identifier: Apache-2.0

package early

const (
	sysFcntl     = 25
	sysPrlimit64 = 261
)
