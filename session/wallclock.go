package session

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// awaitClock waits until the wall clock shows a time, or was set, or the machine
// has slept: whoever calls looks again what it shows. It returns false when back
// is closed before, or the daemon has ended.
func (d *Daemon) awaitClock(at time.Time, back <-chan struct{}) bool {
	due := make(chan struct{})
	timer, err := wallTimer(at)
	if errors.Is(err, unix.ECANCELED) {
		return true // it was set just now
	}
	if err == nil {
		d.guard.Go("wait for the wall clock", func() {
			defer close(due)
			// 8 bytes when it is time, ECANCELED when the clock was set.
			_, _ = timer.Read(make([]byte, 8))
		})
		// It wakes the reader.
		defer timer.Close()
	} else {
		// With a clock that is not set it comes to the same.
		d.log.Warn("cannot watch the wall clock: " + err.Error())
		plain := time.AfterFunc(min(max(time.Until(at), time.Second), time.Hour), func() { close(due) })
		defer plain.Stop()
	}
	select {
	case <-due:
		return true
	case <-back:
	case <-d.ended:
	}
	return false
}

// wallTimer is a file that can be read when the wall clock shows a time, and fails
// to be when that was set before; see timerfd_create(2).
func wallTimer(at time.Time) (*os.File, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at.UnixNano())}
	if spec.Value.Sec < 0 || spec.Value == (unix.Timespec{}) {
		// Zero would be never.
		spec.Value = unix.Timespec{Nsec: 1}
	}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "timer of the wall clock"), nil
}
