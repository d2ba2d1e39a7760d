package engine

import "github.com/session-init/session-init/events"

// What clients set for all jobs, or for one instance, stays until they take it
// back, and every process is given it: it is bounded by what the kernel lets a
// process have with the usual stack, 2 MiB; see execve(2).
const (
	// maxTable bounds the variables of the table, and what is changed for one
	// instance alone, in bytes.
	maxTable = 2 << 20
	// variableCost is what each counts beside its text, in bytes: thousands of short
	// ones cost more than their letters, and the time to look through them.
	variableCost = 256
)

func weight(env events.Env) int {
	n := 0
	for _, entry := range env {
		n += len(entry) + variableCost
	}
	return n
}

// weight counts the change itself.
func (msg *SetEnv) weight() int { return weight(msg.Entries) + weight(msg.Unset) }

// tableWeight counts the table, and who has changed what of it, which is
// remembered of what was unset, too.
func (e *Engine) tableWeight() int {
	n := weight(e.table)
	for i := range e.origins {
		n += len(e.origins[i].key) + variableCost
	}
	return n
}

// overweight refuses what has grown beyond the bound; what was beyond it before,
// as from the daemon's own environment, may become less.
func overweight(before, after int) *Error {
	if after <= maxTable || after <= before {
		return nil
	}
	return errorf(LimitsExceeded, "cannot change the environment: its variables would have %d bytes, with %d for each beside its text, and %d is the most",
		after, variableCost, maxTable)
}
