// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// func rawcall(nr, a, b, c, d uintptr) int64
TEXT ·rawcall(SB), NOSPLIT, $0-48
	MOVQ nr+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), R10
	SYSCALL
	MOVQ AX, ret+40(FP)
	RET
