// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The interpreter, copied into every image and run there, never here. It is
// position-independent and uses no stack. See encode.go for what it reads.
//
//	R12 current operation    R13 first operation
//	R14 words (wordBase)     R15 rules of the current operation
//
// Words 0-5 hold the arguments of the current call, 6-7 the failure report,
// 8 the control socket, 9 the address of the first operation.
// syscall clobbers RAX, RCX and R11 only.
TEXT ·interp(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	$0x30000000, R14
	MOVQ	72(R14), R13
	MOVQ	R13, R12

next:
	MOVWLZX	(R12), BX
	MOVBLZX	2(R12), CX
	MOVBLZX	3(R12), DX
	LEAQ	8(R12), R15
	MOVQ	R14, DI
argument:
	TESTL	CX, CX
	JZ	call
	MOVLQSX	(R15), AX
	ADDQ	$4, R15
	SHRL	$1, DX
	JCC	immediate
	MOVQ	(AX), AX
immediate:
	MOVQ	AX, (DI)
	ADDQ	$8, DI
	DECL	CX
	JMP	argument

call:
	CMPL	BX, $0xfffc
	JCC	special
	MOVL	BX, AX
	MOVQ	(R14), DI
	MOVQ	8(R14), SI
	MOVQ	16(R14), DX
	MOVQ	24(R14), R10
	MOVQ	32(R14), R8
	MOVQ	40(R14), R9
	SYSCALL
	CMPQ	AX, $-4095
	JCC	failed

store:
	MOVWLZX	6(R12), CX
	CMPL	CX, $0xffff
	JEQ	advance
	MOVQ	AX, (R14)(CX*8)
advance:
	MOVBLZX	4(R12), CX
	LEAQ	(R15)(CX*4), R12
	JMP	next

failed:
	NEGQ	AX
	MOVBLZX	4(R12), CX
	MOVQ	R15, SI
rule:
	TESTL	CX, CX
	JZ	report
	MOVWLZX	(SI), DX
	CMPL	DX, AX
	JEQ	match
	CMPL	DX, $0xffff
	JEQ	match
	ADDQ	$4, SI
	DECL	CX
	JMP	rule
match:
	MOVWLZX	2(SI), DX
	CMPL	DX, $0xffff
	JEQ	advance
jump:
	LEAQ	(R13)(DX*4), R12
	JMP	next

special:
	JEQ	set
	CMPL	BX, $0xfffd
	JEQ	fail
	CMPL	BX, $0xfffe
	JEQ	jumpif
	MOVQ	(R14), DX
	JMP	jump
set:
	MOVQ	(R14), AX
	JMP	store
jumpif:
	MOVQ	(R14), SI
	MOVL	(SI), AX
	ANDL	8(R14), AX
	XORL	CX, CX
	CMPL	AX, 16(R14)
	SETNE	CX
	MOVQ	24(R14), DX
	CMPL	CX, 32(R14)
	JEQ	jump
	JMP	advance

fail:
	MOVQ	(R14), AX

	// Report {magic, offset of the operation, errno} on the control socket.
report:
	MOVQ	R12, CX
	SUBQ	R13, CX
	MOVL	$0x4c494146, 48(R14)	// "FAIL"
	MOVL	CX, 52(R14)
	MOVQ	AX, 56(R14)
	MOVL	$1, AX			// write
	MOVQ	64(R14), DI
	LEAQ	48(R14), SI
	MOVL	$16, DX
	SYSCALL
	MOVL	$231, AX		// exit_group
	MOVL	$1, DI
	SYSCALL
	HLT
TEXT ·interpEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// The code's true bounds: the value of an assembly function in Go is that of
// its ABIInternal wrapper.
DATA ·interpStart+0(SB)/8, $·interp(SB)
GLOBL ·interpStart(SB), RODATA, $8
DATA ·interpStop+0(SB)/8, $·interpEnd(SB)
GLOBL ·interpStop(SB), RODATA, $8
