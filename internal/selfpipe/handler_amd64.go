// SPDX-License-Identifier: Apache-2.0

package selfpipe

// restorerFlag is SA_RESTORER: the kernel wants one on this architecture.
const restorerFlag = 0x04000000
