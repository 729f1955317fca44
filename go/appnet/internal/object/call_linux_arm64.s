#include "textflag.h"

// func call(fn, a, b, c, d, stack uintptr) uintptr
//
// C runs on a stack of its own. Where Go's is stays in R19, which C gives back as it was, and so do we.
TEXT ·call(SB), NOSPLIT, $16-56
	MOVD fn+0(FP), R9
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD c+24(FP), R2
	MOVD d+32(FP), R3
	MOVD stack+40(FP), R10
	MOVD RSP, R11
	MOVD R19, 8(RSP)
	MOVD R11, R19
	MOVD R10, RSP
	BL   (R9)
	MOVD R19, RSP
	MOVD 8(RSP), R19
	MOVD R0, ret+48(FP)
	RET
