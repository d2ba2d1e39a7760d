//go:build (amd64 || arm64) && !race

package supervise

// haveVM: children can share our memory here. Under the race detector they
// cannot: it would see their writes as ours.
const haveVM = true

// vmclone makes a child that shares our memory and runs childMain(c) on the
// stack that ends at stack, and returns its pid or a negative errno. Before
// the child can run the kernel writes its pid to told. The caller is not held
// meanwhile (no CLONE_VFORK); see clone(2).
//
//go:noescape
func vmclone(flags, stack uintptr, told *int32, c *child) (pid int)

// vmclone3 does the same as clone3(2) has it; size is that of args.
//
//go:noescape
func vmclone3(args *cloneArgs, size uintptr, c *child) (pid int)

// vmDieAddr is the address of a signal handler that kills the process which
// gets the signal. It is written in assembly because such a process has no
// goroutine.
var vmDieAddr uintptr
