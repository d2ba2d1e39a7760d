package sim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/session/job"
)

// Program is what a process does in the world. The zero value is a daemon:
// it runs as soon as it is spawned, and until a signal ends it.
type Program struct {
	// Missing is why the program cannot be executed, if it cannot.
	Missing string
	// Late is how long it takes until it is known to run (or to be
	// missing).
	Late time.Duration
	// Forks is how often it forks once it runs; each child is the process
	// to follow then. Stops: it raises SIGSTOP once it runs.
	Forks int
	Stops bool
	// Notifies: it says that it is ready once it runs, after its forks.
	Notifies bool

	// Ends: it ends by itself, After that long, with Status or by Signal.
	Ends   bool
	After  time.Duration
	Status int
	Signal int

	// Deaf: nothing but KILL ends it. Slow is how long it takes from the
	// signal to the end. Quits: asked to end, it exits with QuitStatus
	// instead of dying of the signal.
	Deaf bool
	// Leaves is what stays behind when it ends, however it does.
	Leaves     Litter
	Slow       time.Duration
	Quits      bool
	QuitStatus int
	// Stuck: it hangs in the kernel, and not even KILL ends it.
	Stuck bool
	// Dying is how long it takes from KILL to the end.
	Dying time.Duration
}

// ParseProgram reads the command of a process in a story. It is a list of
// words:
//
//	true, false        ends at once, with status 0 or 1
//	exit N, die SIG    ends at once, with that status or by that signal
//	sleep N            ends by itself after N seconds, with status 0 unless
//	                   exit or die stands there too
//	hang               runs until it is ended
//	deaf               ends by KILL only
//	stuck              the same, and not even by that
//	slow N             takes N seconds to end when it is asked to
//	quits N            exits with status N when it is asked to end
//	late N             is known to run N seconds after its spawn
//	forks N, stops     forks N times, or raises STOP, once it runs
//	notifies           says that it is ready, once it runs
//	leaves N           leaves N processes behind when it ends
//	leaves-deaf N      the same, and only KILL ends these
//	leaves-lasting N   the same, and nothing ends these
//	leaves-outside N   the same, and these have left the group
//	missing            cannot be executed
//
// Any other first word is the name of a program: as main a daemon, as
// another process one that succeeds at once.
func ParseProgram(text string, kind job.ProcessKind) Program {
	var p Program
	words := strings.Fields(text)
	number := func(i int) int {
		if i+1 < len(words) {
			if n, err := strconv.Atoi(words[i+1]); err == nil {
				return n
			}
		}
		return 0
	}
	for i, word := range words {
		switch word {
		case "true":
			p.Ends = true
		case "false":
			p.Ends, p.Status = true, 1
		case "exit":
			p.Ends, p.Status = true, number(i)
		case "die":
			if i+1 < len(words) {
				p.Ends = true
				p.Signal, _ = job.ParseSignal(words[i+1])
			}
		case "sleep":
			p.Ends, p.After = true, time.Duration(number(i))*time.Second
		case "deaf":
			p.Deaf = true
		case "stuck":
			p.Deaf, p.Stuck = true, true
		case "slow":
			p.Slow = time.Duration(number(i)) * time.Second
		case "quits":
			p.Quits, p.QuitStatus = true, number(i)
		case "late":
			p.Late = time.Duration(number(i)) * time.Second
		case "forks":
			p.Forks = number(i)
		case "notifies":
			p.Notifies = true
		case "stops":
			p.Stops = true
		case "missing":
			p.Missing = fmt.Sprintf("cannot execute %s: no such file or directory", word)
		case "leaves":
			p.Leaves.Plain = number(i)
		case "leaves-deaf":
			p.Leaves.Deaf = number(i)
		case "leaves-lasting":
			p.Leaves.Lasting = number(i)
		case "leaves-outside":
			p.Leaves.Outside = number(i)
		case "hang":
		default:
			if i == 0 {
				p.Ends = kind != job.Main
				return p
			}
		}
	}
	return p
}
