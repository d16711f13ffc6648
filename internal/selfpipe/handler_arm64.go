// SPDX-License-Identifier: Apache-2.0

package selfpipe

// restorerFlag is 0: without SA_RESTORER the vDSO's is taken.
const restorerFlag = 0
