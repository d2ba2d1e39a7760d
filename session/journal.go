package session

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/state"
	"github.com/session-init/session-init/supervise/pid1"
)

// journal writes what the engine takes, before it takes it. When it cannot,
// it says so once, stands aside, and tries again with a whole new file after
// a while: a full disk costs the memory of a crash, not the session.
type journal struct {
	out      *state.Journal
	path     string
	boot     string
	log      *slog.Logger
	snapshot func() engine.Snapshot
	// at is called at named points, for tests.
	at func(point string)
	// wake has the loop call settle.
	wake  func()
	guard *guard.Guard
	// missed counts the inputs that were not written since a failure.
	missed int
}

// retryAfter is how many inputs go by before a failed journal is tried
// again.
const retryAfter = 256

// append writes an input that the engine is about to take.
func (j *journal) append(now time.Duration, in engine.Input) {
	if j == nil {
		return
	}
	if j.out == nil || j.missed > 0 {
		j.missed++
		return
	}
	if err := j.out.Append(state.Entry{Now: now, Input: in}); err != nil {
		j.fail(err)
	}
}

// taken is called when the engine has taken the input that was appended.
func (j *journal) taken() {
	switch {
	case j == nil:
	case j.missed > 0 && j.missed%retryAfter == 0:
		j.begin()
	case j.missed == 0 && j.out.Grown():
		j.out.Replace(j.snapshot(), j.wake)
		j.at("replacing-state")
	}
}

// settle takes a new file into use that has been written.
func (j *journal) settle() {
	if j == nil || j.out == nil || j.missed > 0 {
		return
	}
	j.at("before-state-replaced")
	if err := j.out.Settle(); err != nil {
		j.fail(err)
	}
	j.at("after-state-replaced")
}

// begin starts a new file with the engine as it is.
func (j *journal) begin() {
	if j.out != nil {
		j.out.Close()
		j.out = nil
	}
	j.at("before-state-created")
	out, err := state.Create(j.path, j.boot, j.snapshot())
	j.at("after-state-created")
	if err != nil {
		if j.missed == 0 {
			j.fail(err)
		}
		return
	}
	if j.missed > 0 {
		j.log.Warn("the state is written again")
	}
	j.out, j.missed = out, 0
	j.out.Guard = j.guard
}

func (j *journal) fail(err error) {
	j.missed = 1
	j.log.Error(err.Error() + ": until it can be written, a crash of the daemon would lose what happens from now on")
}

// flush ends writing and keeps the file, for whoever goes on with it.
func (j *journal) flush() {
	if j != nil && j.out != nil {
		j.out.Close()
	}
}

// close ends writing and removes the file: there is nothing to go on with.
func (j *journal) close() {
	if j == nil {
		return
	}
	if j.out != nil {
		j.out.Close()
	}
	os.Remove(j.path)
}

// bootID names this boot of the kernel, or this life of a container; pids and times
// mean nothing after. What a container leaves in a directory may be there when it is
// started again, on the same kernel.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	id := strings.TrimSpace(string(text))
	if pid1.FirstNamespace() {
		return id
	}
	return id + "/" + firstBegan()
}

// firstBegan is when the first process began, in ticks since the kernel has; empty
// when that cannot be seen. See proc_pid_stat(5).
func firstBegan() string {
	text, err := os.ReadFile("/proc/1/stat")
	if err != nil {
		return ""
	}
	const at = 22 - 3 // behind the name, which may have blanks
	if fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])); len(fields) > at {
		return fields[at]
	}
	return ""
}
