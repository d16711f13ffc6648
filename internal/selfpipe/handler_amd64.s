// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The kernel calls it as C: the signal in DI. rt_sigreturn restores every
// register, so all of them are free. The number is written from the red zone's
// end of the signal stack; an error (a full pipe) has nobody to go to.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0-0
	SUBQ	$16, SP
	MOVB	DI, 8(SP)
	MOVL	·writeEnd(SB), DI
	LEAQ	8(SP), SI
	MOVL	$1, DX
	MOVL	$1, AX	// write
	SYSCALL
	ADDQ	$16, SP
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$15, AX	// rt_sigreturn
	SYSCALL
	INT	$3

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	LEAQ	handler<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	LEAQ	restorer<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
