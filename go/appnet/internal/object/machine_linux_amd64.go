package object

const (
	elfMachine     = 62 // EM_X86_64
	relativeKind   = 8  // R_X86_64_RELATIVE
	sysMemfdCreate = 319
)
