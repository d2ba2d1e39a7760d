//go:build !race

#include "textflag.h"

// func vmclone(flags, stack uintptr, told *int32, c *child) (pid int)
//
// The child does not return from here: its stack is empty. It calls childMain
// through a register, since the linker would take a direct call, which may
// come back here for the second child, for a recursion without end.
TEXT ·vmclone(SB), NOSPLIT|NOFRAME, $0-40
	MOVQ	flags+0(FP), DI
	MOVQ	stack+8(FP), SI
	MOVQ	told+16(FP), DX
	MOVQ	c+24(FP), R13
	MOVQ	$0, R10
	MOVQ	$0, R8
	MOVQ	$56, AX // clone
	SYSCALL
	CMPQ	AX, $0
	JEQ	child
	MOVQ	AX, pid+32(FP)
	RET
child:
	XORL	BP, BP
	SUBQ	$32, SP
	MOVQ	R13, 0(SP)
	MOVQ	$·childMain(SB), R12
	CALL	R12
	INT	$3

// vmDie is a signal handler: kill(getpid(), SIGKILL).
TEXT ·vmDie(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	$39, AX // getpid
	SYSCALL
	MOVQ	AX, DI
	MOVQ	$9, SI
	MOVQ	$62, AX // kill
	SYSCALL
	INT	$3

DATA	·vmDieAddr(SB)/8, $·vmDie(SB)
GLOBL	·vmDieAddr(SB), NOPTR|RODATA, $8
