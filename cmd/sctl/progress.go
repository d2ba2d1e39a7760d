package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
)

// waits are the times that a command gives others.
type waits struct {
	patience   time.Duration // how long it waits before it says what for
	completion time.Duration // bounds what a press of the tab key may take
}

func usualWaits() waits { return waits{patience: time.Second, completion: 2 * time.Second} }

// progress tells on a terminal what a command waits for: once after the time
// of patience, and from then on whenever the state of the job changes.
type progress struct {
	out  io.Writer
	line string // "start: waiting for 'x' to start"
	job  string // whose states are of interest; "" is none's

	mu     sync.Mutex
	state  string // as last announced: "x is stopping"
	spoken bool
	over   bool
}

// watch begins to tell; the function that it returns ends it. It does
// nothing unless standard error is a terminal.
func (c *command) watch() (stop func()) {
	if c.options.quiet || !isTerminal(c.stderr) {
		return func() {}
	}
	p := &progress{out: c.stderr, line: c.prefix() + ": waiting " + c.awaited, job: c.watched}
	if p.job != "" {
		c.client.OnSignal = p.signal
	}
	timer := time.AfterFunc(c.waits.patience, p.speak)
	return func() {
		timer.Stop()
		c.client.OnSignal = nil
		p.mu.Lock()
		p.over = true
		p.mu.Unlock()
	}
}

// speak is called when the time of patience is over.
func (p *progress) speak() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoken = true
	p.print()
}

// print needs the lock.
func (p *progress) print() {
	switch {
	case p.over || !p.spoken:
	case p.state == "":
		fmt.Fprintln(p.out, p.line)
	default:
		fmt.Fprintf(p.out, "%s: %s\n", p.line, p.state)
	}
}

// signal takes note of the states of the job.
func (p *progress) signal(s api.Signal) {
	if s.Interface != api.InstanceInterface || s.Member != "StateChanged" || len(s.Body) != 1 {
		return
	}
	job, instance, isInstance, ok := api.ParsePath(s.Path)
	state, isString := s.Body[0].(string)
	if !ok || !isInstance || !isString || job != p.job {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = instanceName(job, instance) + " is in " + state
	p.print()
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
