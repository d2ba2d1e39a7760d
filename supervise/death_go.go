//go:build !(amd64 || arm64) || race

package supervise

import (
	"encoding/binary"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
)

// deaths turns SIGCHLD into a wake of the thread, by way of os/signal. What is
// in death.go is quicker, and unknown to the race detector.
type deaths struct {
	signals chan os.Signal
	ended   chan struct{}
}

// begin has SIGCHLD counted in fd, an eventfd. That holds also where the
// daemon was started with SIGCHLD ignored, when the kernel would reap for us.
func (d *deaths) begin(fd int, start *guard.Guard) {
	d.signals, d.ended = make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(d.signals, unix.SIGCHLD)
	start.Go("listener for deaths", func() {
		defer close(d.ended)
		var one [8]byte
		binary.NativeEndian.PutUint64(one[:], 1)
		for range d.signals {
			unix.Write(fd, one[:])
		}
	})
}

// end gives the signal back; fd may be closed then. It does nothing without a
// begin.
func (d *deaths) end() {
	if d.signals == nil {
		return
	}
	signal.Stop(d.signals)
	close(d.signals)
	<-d.ended
	d.signals = nil
}
