package keeper

import (
	"errors"
	"fmt"
	"os/signal"
	"runtime/debug"
	"time"
)

// A panic in the keeper must not be its end: that of a first process is the
// machine's, and with that of a user's keeper the daemon would lose what is held
// for it. So every goroutine begins with do: after a panic the keeper executes
// itself anew, as it does for an upgrade, and its next image begins with what it
// knew. Where that fails it goes on as it is. What Go itself ends a program for
// it cannot see.

// do calls f on this goroutine, and again after each panic that the keeper has
// outlived in this image.
func (k *keeper) do(where string, f func()) {
	for {
		p := caught(f)
		if p == nil {
			return
		}
		k.fault(where, p)
	}
}

// insist is for what must not be lost with a panic: a signal, a line of the
// daemon. It is taken once more before the panic goes on.
func (k *keeper) insist(f func()) {
	if p := caught(f); p != nil {
		_ = caught(f)
		panic(p)
	}
}

// panicked is a panic that was caught.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) String() string { return fmt.Sprint(p.value) }

// caught calls f, and returns its panic; nil for none.
func caught(f func()) (p *panicked) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *panicked:
			p = v // passed on by insist
		default:
			p = &panicked{v, debug.Stack()}
		}
	}()
	f()
	return nil
}

// fault tells of a panic and executes the keeper anew. It returns where that
// failed.
func (k *keeper) fault(where string, p *panicked) {
	// Said first: if another goroutine is at it already, its image takes us along.
	fmt.Fprintf(k.log, "session-init: panic in the keeper (%s): %v: it executes itself anew\n%s", where, p, p.stack)
	k.faulting.Lock()
	defer k.faulting.Unlock()
	if time.Since(k.began) > longLife {
		k.faults = 0
	}
	if k.faults++; k.faults > 1 {
		// One that panics for ever must not take the processor with it.
		rest(min(firstDelay<<min(k.faults-2, 10), lastDelay))
	}
	err := errors.New("it panics on the way")
	if again := caught(func() { err = k.replace(where == hearing, true) }); again != nil {
		fmt.Fprintf(k.log, "session-init: panic in the keeper: %v\n%s", again, again.stack)
	}
	fmt.Fprintf(k.log, "session-init: the keeper goes on as it is: %v\n", err)
}

// hearing names the goroutine that takes signals.
const hearing = "hearing"

// hear takes signals as they come in.
func (k *keeper) hear() {
	for s := range k.signals {
		k.heard(s)
	}
}

// quiet returns when all signals that came in have been passed on. After
// signal.Stop none is on its way to the channel. ours says that it is called on
// the goroutine which takes them; else that may itself be lost to a panic, and is
// waited for no longer than linkPatience.
func (k *keeper) quiet(ours bool) {
	signal.Stop(k.signals)
	if ours {
		for {
			select {
			case s := <-k.signals:
				_ = caught(func() { k.heard(s) })
			default:
				return
			}
		}
	}
	timer := time.NewTimer(linkPatience)
	defer timer.Stop()
	select {
	case <-k.drained: // an answer that came too late
	default:
	}
	select {
	case k.signals <- drained:
	case <-timer.C:
		return
	}
	select {
	case <-k.drained:
	case <-timer.C:
	}
}
