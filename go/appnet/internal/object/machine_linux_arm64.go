package object

const (
	elfMachine     = 183  // EM_AARCH64
	relativeKind   = 1027 // R_AARCH64_RELATIVE
	sysMemfdCreate = 279
)
