// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// The interpreter, copied into every image and run there, never here. It is
// position-independent and uses no stack. See encode.go for what it reads,
// and interp_amd64.s, which does the same step by step.
//
//	R19 current operation    R20 first operation
//	R21 words (wordBase)     R22 rules of the current operation
//	R23 number of the call
//
// svc keeps all registers but R0.
TEXT ·interp(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$0x30000000, R21
	MOVD	72(R21), R20
	MOVD	R20, R19

next:
	MOVHU	(R19), R23
	MOVBU	2(R19), R2
	MOVBU	3(R19), R3
	ADD	$8, R19, R22
	MOVD	R21, R4
argument:
	CBZ	R2, call
	MOVW.P	4(R22), R0
	TBZ	$0, R3, immediate
	MOVD	(R0), R0
immediate:
	LSR	$1, R3
	MOVD.P	R0, 8(R4)
	SUB	$1, R2
	B	argument

call:
	MOVD	$0xfffc, R9
	CMP	R9, R23
	BHS	special
	MOVD	R23, R8
	MOVD	(R21), R0
	MOVD	8(R21), R1
	MOVD	16(R21), R2
	MOVD	24(R21), R3
	MOVD	32(R21), R4
	MOVD	40(R21), R5
	SVC
	CMN	$4095, R0
	BHS	failed

store:
	MOVHU	6(R19), R2
	MOVD	$0xffff, R9
	CMP	R9, R2
	BEQ	advance
	ADD	R2<<3, R21, R3
	MOVD	R0, (R3)
advance:
	MOVBU	4(R19), R2
	ADD	R2<<2, R22, R19
	B	next

failed:
	NEG	R0, R0
	MOVBU	4(R19), R2
	MOVD	R22, R4
	MOVD	$0xffff, R9
rule:
	CBZ	R2, report
	MOVHU	(R4), R3
	CMPW	R0, R3
	BEQ	match
	CMPW	R9, R3
	BEQ	match
	ADD	$4, R4
	SUB	$1, R2
	B	rule
match:
	MOVHU	2(R4), R3
	CMPW	R9, R3
	BEQ	advance
jump:
	ADD	R3<<2, R20, R19
	B	next

special:
	BEQ	set
	MOVD	$0xfffd, R9
	CMP	R9, R23
	BEQ	fail
	MOVD	$0xfffe, R9
	CMP	R9, R23
	BEQ	jumpif
	MOVD	(R21), R3
	B	jump
set:
	MOVD	(R21), R0
	B	store
jumpif:
	MOVD	(R21), R4
	MOVWU	(R4), R0
	MOVWU	8(R21), R5
	AND	R5, R0
	MOVWU	16(R21), R5
	CMPW	R5, R0
	CSET	NE, R6
	MOVD	24(R21), R3
	MOVD	32(R21), R5
	CMP	R5, R6
	BEQ	jump
	B	advance

fail:
	MOVD	(R21), R0

	// Report {magic, offset of the operation, errno} on the control socket.
report:
	SUB	R20, R19, R2
	MOVD	$0x4c494146, R3	// "FAIL"
	MOVW	R3, 48(R21)
	MOVW	R2, 52(R21)
	MOVD	R0, 56(R21)
	MOVD	64(R21), R0
	ADD	$48, R21, R1
	MOVD	$16, R2
	MOVD	$64, R8		// write
	SVC
	MOVD	$1, R0
	MOVD	$94, R8		// exit_group
	SVC
	UNDEF
TEXT ·interpEnd(SB), NOSPLIT|NOFRAME, $0-0
	RET

// The code's true bounds: the value of an assembly function in Go is that of
// its ABIInternal wrapper.
DATA ·interpStart+0(SB)/8, $·interp(SB)
GLOBL ·interpStart(SB), RODATA, $8
DATA ·interpStop+0(SB)/8, $·interpEnd(SB)
GLOBL ·interpStop(SB), RODATA, $8
