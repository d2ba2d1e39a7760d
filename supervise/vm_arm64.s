//go:build !race

#include "textflag.h"

// func vmclone(flags, stack uintptr, told *int32, c *child) (pid int)
//
// The child does not return from here: its stack is empty. It calls childMain
// through a register, since the linker would take a direct call, which may
// come back here for the second child, for a recursion without end.
TEXT ·vmclone(SB), NOSPLIT, $0-40
	MOVD	flags+0(FP), R0
	MOVD	stack+8(FP), R1
	MOVD	told+16(FP), R2
	MOVD	c+24(FP), R9
	MOVD	$0, R3
	MOVD	$0, R4
	MOVD	$220, R8 // clone
	SVC
	CBZ	R0, child
	MOVD	R0, pid+32(FP)
	RET
child:
	MOVD	$0, R29
	SUB	$32, RSP
	MOVD	$0, R10
	MOVD	R10, 0(RSP)
	MOVD	R9, 8(RSP)
	MOVD	$·childMain(SB), R10
	CALL	(R10)
	UNDEF

// func vmclone3(args *cloneArgs, size uintptr, c *child) (pid int)
TEXT ·vmclone3(SB), NOSPLIT, $0-32
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	c+16(FP), R9
	MOVD	$435, R8 // clone3
	SVC
	CBZ	R0, child
	MOVD	R0, pid+24(FP)
	RET
child:
	MOVD	$0, R29
	SUB	$32, RSP
	MOVD	$0, R10
	MOVD	R10, 0(RSP)
	MOVD	R9, 8(RSP)
	MOVD	$·childMain(SB), R10
	CALL	(R10)
	UNDEF

// vmDie is a signal handler: kill(getpid(), SIGKILL).
TEXT ·vmDie(SB), NOSPLIT|NOFRAME, $0-0
	MOVD	$172, R8 // getpid
	SVC
	MOVD	$9, R1
	MOVD	$129, R8 // kill
	SVC
	UNDEF

DATA	·vmDieAddr(SB)/8, $·vmDie(SB)
GLOBL	·vmDieAddr(SB), NOPTR|RODATA, $8

// deathCame is the handler of SIGCHLD: write(deathFD, &deathOne, 8). It
// returns to what the kernel has put into the link register.
TEXT ·deathCame(SB), NOSPLIT|NOFRAME, $0-0
	MOVW	·deathFD(SB), R0
	MOVD	$·deathOne(SB), R1
	MOVD	$8, R2
	MOVD	$64, R8 // write
	SVC
	RET

DATA	·deathOne(SB)/8, $1
GLOBL	·deathOne(SB), NOPTR|RODATA, $8
DATA	·deathHandler(SB)/8, $·deathCame(SB)
GLOBL	·deathHandler(SB), NOPTR|RODATA, $8
DATA	·deathReturn(SB)/8, $0
GLOBL	·deathReturn(SB), NOPTR|RODATA, $8
