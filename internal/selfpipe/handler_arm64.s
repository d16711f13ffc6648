// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The kernel calls it as C: the signal in R0, and where to return to in R30.
// rt_sigreturn restores every register, so all others are free. An error (a full
// pipe) has nobody to go to.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0-0
	SUB	$16, RSP
	MOVB	R0, 8(RSP)
	MOVW	·writeEnd(SB), R0
	ADD	$8, RSP, R1
	MOVD	$1, R2
	MOVD	$64, R8	// write
	SVC
	ADD	$16, RSP
	RET

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	MOVD	$handler<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	MOVD	ZR, ret+0(FP)
	RET
