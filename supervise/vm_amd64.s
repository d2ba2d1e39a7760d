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

// func vmclone3(args *cloneArgs, size uintptr, c *child) (pid int)
TEXT ·vmclone3(SB), NOSPLIT|NOFRAME, $0-32
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	c+16(FP), R13
	MOVQ	$435, AX // clone3
	SYSCALL
	CMPQ	AX, $0
	JEQ	child
	MOVQ	AX, pid+24(FP)
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

// deathCame is the handler of SIGCHLD: write(deathFD, &deathOne, 8).
TEXT ·deathCame(SB), NOSPLIT|NOFRAME, $0-0
	MOVL	·deathFD(SB), DI
	LEAQ	·deathOne(SB), SI
	MOVQ	$8, DX
	MOVQ	$1, AX // write
	SYSCALL
	RET

// deathDone is where the handler returns to: rt_sigreturn().
TEXT ·deathDone(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ	$15, AX // rt_sigreturn
	SYSCALL
	INT $3

DATA	·deathOne(SB)/8, $1
GLOBL	·deathOne(SB), NOPTR|RODATA, $8
DATA	·deathHandler(SB)/8, $·deathCame(SB)
GLOBL	·deathHandler(SB), NOPTR|RODATA, $8
DATA	·deathReturn(SB)/8, $·deathDone(SB)
GLOBL	·deathReturn(SB), NOPTR|RODATA, $8
