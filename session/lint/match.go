package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// operand is one of a condition, judged.
type operand struct {
	match *events.Match
	// fault is why it can never come, at the word of that number; rule is
	// empty when it can.
	rule  Rule
	word  int
	fault string
	// outside: it comes without a job. Else by are the jobs that can make it
	// come, and every one can when any is set.
	outside, any bool
	by           []int
}

func (o *operand) dead() bool { return o.rule != "" }

// pattern is an argument as it is compared.
type pattern struct {
	events.Arg
	// open: what it will be depends on the instance.
	open bool
}

// judgeOperand finds out whether an operand of "start on" or, with stop, of
// "stop on" can come, and by whom.
func (s *set) judgeOperand(m *events.Match, stop bool) operand {
	o := operand{match: m}
	args := make([]pattern, len(m.Args))
	for i, arg := range m.Args {
		args[i] = pattern{Arg: arg}
		text, fault := expand(arg.Pattern, stop)
		switch {
		case !stop && m.Name == job.SocketEvent:
			// Its variables are the daemon's.
		case fault != "":
			return o.never(i+1, fault)
		case stop && strings.Contains(arg.Pattern, "$"):
			args[i].open = true
		default:
			args[i].Pattern = text
		}
		if arg.Named && arg.Key == "" {
			return o.never(i+1, named(m.Words[i+1])+" names no variable, so it never matches (expected KEY=VALUE)")
		}
		if arg.Not && strings.Contains(arg.Key, "=") {
			return o.never(i+1, named(m.Words[i+1])+" asks for a variable called "+named(arg.Key)+
				", for the first '!=' counts: it never matches")
		}
	}
	if isJobEvent(m.Name) {
		return s.judgeJobEvent(o, args)
	}
	if m.Name == job.SocketEvent {
		return s.judgeSocket(o, stop)
	}
	o.outside, o.by = s.emitters(m.Name)
	if !o.outside && len(o.by) == 0 {
		o.rule = UnknownEvent
		o.fault = "nothing is known to emit the event " + named(m.Name)
		if hint := slip(m.Name, s.known); hint != "" {
			o.fault += hint
		} else {
			o.fault += " (expected 'emits' in the job whose processes do)"
		}
		return o
	}
	if len(o.by) > 0 || slices.Contains(s.world.Events, m.Name) {
		return o // others may give it what they like
	}
	switch strings.TrimSuffix(m.Name, failedSuffix) {
	case s.startup:
		return o.fits(args, shape{})
	case "session-end":
		return o.fits(args, shape{names: []string{"TYPE"}, words: 1})
	}
	return o
}

func (o operand) never(word int, why string) operand {
	o.rule, o.word, o.fault = NeverMatches, word, why
	return o
}

// expand gives a pattern as it is compared, or why it never is.
func expand(text string, stop bool) (out, fault string) {
	var lookup events.Lookup
	if stop {
		lookup = func(string) (string, bool) { return "x", true }
	}
	out, err := events.Expand(text, lookup)
	switch {
	case err == nil:
		return out, ""
	case strings.HasPrefix(err.Error(), events.ErrUnknownParameter.Error()):
		return "", "'start on' knows no variables, so " + named(text) + " never matches (expected a value, or a default as in ${NAME:-VALUE})"
	}
	return "", named(text) + " cannot be expanded, so it never matches: " + err.Error()
}

// shape is what variables an event carries.
type shape struct {
	names []string // those that can be asked for
	words int      // how many stand in order
	// extra says how there may be others.
	extra string
}

func (s *set) judgeJobEvent(o operand, args []pattern) operand {
	subject, all := -1, true
	o.by = nil
	for i, arg := range args {
		if arg.Named && arg.Key != "JOB" || !arg.Named && i > 0 {
			continue
		}
		if !arg.open && (subject < 0 || !events.IsLiteral(args[subject].Pattern)) {
			subject = i
		}
		all = all && arg.open
	}
	if subject >= 0 {
		name := args[subject]
		if slices.ContainsFunc(s.world.Broken, func(have string) bool { return events.Glob(name.Pattern, have) != name.Not }) {
			// What it exports is not known.
			o.outside = true
			return o
		}
		if events.IsLiteral(name.Pattern) && !name.Not {
			at, ok := s.at[name.Pattern]
			if !ok {
				o.rule, o.word = UnknownJob, subject+1
				o.fault = "there is no job " + named(name.Pattern) + slip(name.Pattern, s.names)
				return o
			}
			o.by = []int{at}
		} else {
			for i, have := range s.names {
				if events.Glob(name.Pattern, have) != name.Not {
					o.by = append(o.by, i)
				}
			}
			if len(o.by) == 0 {
				o.rule, o.word = UnknownJob, subject+1
				o.fault = "there is no job that " + named(o.match.Words[subject+1]) + " matches"
				return o
			}
		}
	}
	o.any = all
	return o.fits(args, s.jobShape(o))
}

// jobShape says what a job's event carries: as SPEC and the engine have it,
// JOB, INSTANCE, of those that end RESULT and on failure PROCESS and how it
// ended, then what the job exports.
func (s *set) jobShape(o operand) shape {
	out := shape{names: []string{"JOB", "INSTANCE"}, words: 2, extra: "; 'export' in that job adds to them"}
	if strings.HasPrefix(o.match.Name, "stop") {
		out.names = append(out.names, "RESULT", "PROCESS", "EXIT_STATUS", "EXIT_SIGNAL")
		out.words = 5
	}
	exports := 0
	add := func(i int) {
		out.names = append(out.names, s.jobs[i].Class.Export...)
		exports = max(exports, len(s.jobs[i].Class.Export))
	}
	if o.any {
		for i := range s.jobs {
			add(i)
		}
	}
	for _, i := range o.by {
		add(i)
	}
	out.words += exports
	return out
}

// processes are the words of PROCESS.
var processes = [...]string{"main", "pre-start", "post-start", "pre-stop", "post-stop", "respawn"}

// fits looks for arguments that no event of that shape can match.
func (o operand) fits(args []pattern, of shape) operand {
	event := named(o.match.Name)
	ok := false
	for i, arg := range args {
		key := arg.Key
		if !arg.Named {
			if of.words == 0 {
				return o.never(i+1, event+" carries no variables, so "+named(arg.Pattern)+" never matches")
			}
			if i >= of.words {
				most := "one variable"
				if of.words > 1 {
					most = strconv.Itoa(of.words) + " variables"
				}
				return o.never(i+1, event+" carries no more than "+most+", so "+named(arg.Pattern)+" never matches")
			}
			if key = ""; i < 3 && i < len(of.names) {
				key = of.names[i]
			}
		} else if len(of.names) == 0 {
			return o.never(i+1, event+" carries no variables, so "+named(o.match.Words[i+1])+" never matches")
		} else if !slices.Contains(of.names, key) {
			return o.never(i+1, event+" carries no variable "+named(key)+", so it never matches (it has "+
				list(of.names)+of.extra+")")
		}
		if arg.open || arg.Not && events.IsLiteral(arg.Pattern) {
			continue
		}
		if why := unfit(key, arg); why != "" {
			return o.never(i+1, named(o.match.Words[i+1])+" never matches: "+why)
		}
		if !arg.Not && key == "RESULT" && arg.Pattern == "ok" {
			ok = true
		}
	}
	for i, arg := range args {
		if ok && arg.Named && slices.Contains([]string{"PROCESS", "EXIT_STATUS", "EXIT_SIGNAL"}, arg.Key) {
			return o.never(i+1, "an event with RESULT=ok carries no "+arg.Key+", so it never matches")
		}
	}
	return o
}

// unfit says why a variable can have no value that the argument matches.
func unfit(key string, arg pattern) string {
	oneOf := func(words ...string) string {
		for _, word := range words {
			if events.Glob(arg.Pattern, word) != arg.Not {
				return ""
			}
		}
		return key + " is one of " + list(words)
	}
	switch key {
	case "RESULT":
		return oneOf("ok", "failed")
	case "PROCESS":
		return oneOf(processes[:]...)
	case "TYPE":
		return oneOf("logout", "shutdown")
	case "EXIT_STATUS":
		if n, err := strconv.Atoi(arg.Pattern); events.IsLiteral(arg.Pattern) && (err != nil || n < 0 || n > 255 || strconv.Itoa(n) != arg.Pattern) {
			return "an exit status is a number from 0 to 255"
		}
	case "EXIT_SIGNAL":
		if !events.IsLiteral(arg.Pattern) {
			return ""
		}
		number, known := job.ParseSignal(arg.Pattern)
		if !known {
			return "there is no such signal"
		}
		if name := job.SignalName(number); name != arg.Pattern {
			return "the signal is called " + name
		}
	}
	return ""
}

// list writes words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
