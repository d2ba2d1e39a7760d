package foresee

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// Assumption says what a process of a job does, each time that it runs, where
// it is not what is assumed of every process.
type Assumption struct {
	Job     string
	Process job.ProcessKind
	Outcome Outcome
}

// Outcome is what a process does. The zero value ends at once with status 0.
type Outcome struct {
	// Missing: it cannot be executed.
	Missing bool
	// Stays: it does not end by itself.
	Stays bool
	// Deaf: only KILL ends it, no other signal.
	Deaf bool
	// Status is what it exits with, unless a Signal ends it.
	Status int
	Signal int
}

// ParseAssumption reads "JOB PROCESS OUTCOME". The outcome is one of fails
// (exits 1), exits STATUS, dies SIGNAL, ends (exits 0), missing, stays, deaf.
func ParseAssumption(text string) (Assumption, error) {
	words := strings.Fields(text)
	for at := 1; at < len(words); at++ {
		kind, isKind := parseKind(words[at])
		if !isKind {
			continue
		}
		outcome, ok := parseOutcome(words[at+1:])
		if !ok {
			break
		}
		return Assumption{strings.Join(words[:at], " "), kind, outcome}, nil
	}
	return Assumption{}, fmt.Errorf("cannot assume '%s': it is not JOB PROCESS "+
		"fails|exits STATUS|dies SIGNAL|ends|missing|stays|deaf", text)
}

func parseKind(word string) (job.ProcessKind, bool) {
	for kind := range job.NumProcesses {
		if kind.String() == word {
			return kind, true
		}
	}
	return 0, false
}

func parseOutcome(words []string) (Outcome, bool) {
	switch {
	case len(words) == 1:
		switch words[0] {
		case "fails":
			return Outcome{Status: 1}, true
		case "ends":
			return Outcome{}, true
		case "missing":
			return Outcome{Missing: true}, true
		case "stays":
			return Outcome{Stays: true}, true
		case "deaf":
			return Outcome{Stays: true, Deaf: true}, true
		}
	case len(words) == 2 && words[0] == "exits":
		status, err := strconv.Atoi(words[1])
		return Outcome{Status: status}, err == nil && status >= 0 && status <= 255
	case len(words) == 2 && words[0] == "dies":
		signal, ok := job.ParseSignal(words[1])
		return Outcome{Signal: signal}, ok
	}
	return Outcome{}, false
}

// String gives the sentence, as it stands in an answer.
func (a Assumption) String() string {
	return a.Job + " " + a.Process.String() + " " + a.Outcome.String()
}

// String gives what ParseAssumption reads.
func (o Outcome) String() string {
	switch {
	case o.Missing:
		return "missing"
	case o.Deaf:
		return "deaf"
	case o.Stays:
		return "stays"
	case o.Signal != 0:
		return "dies " + job.SignalName(o.Signal)
	case o.Status == 0:
		return "ends"
	}
	return fmt.Sprintf("exits %d", o.Status)
}

// usual is something that is assumed of every process.
type usual uint8

const (
	canExecute usual = iota
	hooksSucceed
	tasksSucceed
	servicesStay
	readyAsDeclared
	watchdogFed
	signalsEnd
	numUsual
)

// usualText says what is assumed, for an answer in which it mattered.
var usualText = [...]string{
	canExecute:      "every process can be executed",
	hooksSucceed:    "pre-start, post-start, pre-stop and post-stop processes exit with status 0, and before main does",
	tasksSucceed:    "the main process of a task exits with status 0",
	servicesStay:    "the main process of a service runs until it is stopped",
	readyAsDeclared: "a main process becomes ready as its job declares it with 'expect'",
	watchdogFed:     "a main process with a watchdog is never silent for too long",
	signalsEnd:      "a signal that is to end a process ends it at once, and nothing is left behind",
}

// outcome is what a process of the class does, and what of that is usual.
func (w *World) outcome(class *job.Class, kind job.ProcessKind) Outcome {
	for i := len(w.assume) - 1; i >= 0; i-- {
		if a := w.assume[i]; a.Job == class.Name && a.Process == kind {
			w.special[i] = true
			if !a.Outcome.Missing {
				w.usual[canExecute] = true
			}
			return a.Outcome
		}
	}
	w.usual[canExecute] = true
	switch {
	case kind != job.Main:
		w.usual[hooksSucceed] = true
	case class.Task:
		w.usual[tasksSucceed] = true
	default:
		w.usual[servicesStay] = true
		return Outcome{Stays: true}
	}
	return Outcome{}
}

// Assumed returns what was assumed so far and mattered, a sentence each: what
// is usual first, then the question's own assumptions in their order.
func (w *World) Assumed() []string {
	var out []string
	for i, used := range w.usual {
		if used {
			out = append(out, usualText[i])
		}
	}
	for i, used := range w.special {
		if used {
			out = append(out, w.assume[i].String())
		}
	}
	return out
}
