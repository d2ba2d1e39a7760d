//go:build (amd64 || arm64) && !race

package supervise

import (
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
)

// deaths turns SIGCHLD into a wake of the thread: a handler of a few
// instructions counts in an eventfd. The way of os/signal takes two goroutines
// and four switches of threads for each death; a signalfd would need the
// signal blocked in every thread, and Go does not let us.
type deaths struct{ fd int32 }

// sigaction is the kernel's; see rt_sigaction(2).
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

// The handler is one for the process, as the signal is, and has no way to be
// told of a supervisor: deathFD is the eventfd it writes to, -1 for none.
var deathFD int32 = -1

// deathHandler and deathReturn are the addresses of the handler and of what
// it returns to.
var deathHandler, deathReturn uintptr

// Flags of a sigaction that every handler in a Go program has, and the one
// without which amd64 has nothing to return to.
const (
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
	saRestorer = 0x04000000
)

// begin has SIGCHLD counted in fd. That holds also where the daemon was
// started with SIGCHLD ignored, when the kernel would reap for us.
func (d *deaths) begin(fd int, _ *guard.Guard) {
	d.fd = int32(fd)
	atomic.StoreInt32(&deathFD, d.fd)
	now := sigaction{handler: deathHandler, flags: saOnStack | saRestart, mask: ^uint64(0)}
	if deathReturn != 0 {
		now.flags |= saRestorer
		now.restorer = deathReturn
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(unix.SIGCHLD), uintptr(unsafe.Pointer(&now)), 0, 8, 0, 0)
}

// end has SIGCHLD counted no more, unless another supervisor has begun; fd may
// be closed then. The handler stays: it has nothing to do.
func (d *deaths) end() { atomic.CompareAndSwapInt32(&deathFD, d.fd, -1) }
