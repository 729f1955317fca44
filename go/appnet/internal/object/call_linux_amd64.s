#include "textflag.h"

// func call(fn, a, b, c, d, stack uintptr) uintptr
//
// C runs on a stack of its own. Where Go's is stays in a register that C gives back as it was.
TEXT ·call(SB), NOSPLIT, $0-56
	MOVQ fn+0(FP), AX
	MOVQ a+8(FP), DI
	MOVQ b+16(FP), SI
	MOVQ c+24(FP), DX
	MOVQ d+32(FP), CX
	MOVQ stack+40(FP), R11
	MOVQ SP, R12
	MOVQ R11, SP
	CALL AX
	MOVQ R12, SP
	MOVQ AX, ret+48(FP)
	RET
