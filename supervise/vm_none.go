//go:build !(amd64 || arm64) || race

package supervise

// haveVM: children get a copy of our memory here.
const haveVM = false

const vmDieAddr = uintptr(0)

//go:nosplit
func vmclone(flags, stack uintptr, told *int32, c *child) (pid int) { return -1 }

//go:nosplit
func vmclone3(args *cloneArgs, size uintptr, c *child) (pid int) { return -1 }
