package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
)

// phases are the states of a start, in order.
type phase int

const (
	starting phase = iota
	preStart
	spawned
	postStart
	running
	numPhases
)

func (p phase) String() string {
	return [...]string{"starting", "pre-start", "spawned", "post-start", "running"}[p]
}

// never is the time of what has not come.
const never = time.Duration(-1)

// firstStart is the first start of an instance. Times are since the session
// began.
type firstStart struct {
	name   string // as jobs are shown
	task   bool
	reason string
	event  string
	by     string // whose event, or caller, that was; "" for others
	at     [numPhases]time.Duration
	ended  time.Duration
	failed bool

	critical bool
	job      string
	instance string
}

// last is the last thing that has come to it before it was stopped: with a
// service that it runs, with a task that it has ended.
func (f *firstStart) last() time.Duration {
	if f.ended != never && (f.task || f.at[running] == never) {
		return f.ended
	}
	for p := numPhases - 1; p > starting; p-- {
		if f.at[p] != never {
			return f.at[p]
		}
	}
	return f.at[starting]
}

// took is how long it took to start, or for a task to be done.
func (f *firstStart) took() time.Duration { return f.last() - f.at[starting] }

// underWay tells whether it has not got there yet.
func (f *firstStart) underWay() bool {
	return f.ended == never && (f.task || f.at[running] == never)
}

// startup is the start of a session.
type startup struct {
	begun  time.Time
	now    time.Duration // since then
	starts []*firstStart // in their order
	later  int           // how many more there were, long after
	total  time.Duration
	path   []*firstStart // the critical path, in its order
}

// pause is how long nothing must start for the start of a session to be over.
const pause = 10 * time.Second

// plot shows how the start of the session went: as a chart, or as a list.
func plot(c *command) error {
	if c.options.json && (c.options.text || c.options.svg || c.options.output != "") {
		return usageError("--json goes without --text, --svg and --output")
	}
	if c.options.text && c.options.svg {
		return usageError("--text goes without --svg")
	}
	c.doing = "plot the start of the session"
	body, err := c.call(api.ManagerPath, api.ManagerExtension, "GetTimings")
	if err != nil {
		return err
	}
	s, err := readStartup(body)
	if err != nil {
		return err
	}
	s.finish(c.options.all)
	toTerminal := c.options.output == "" && isTerminal(c.stdout) && !c.options.svg
	switch {
	case c.options.json:
		return c.encode(s.report())
	case c.options.text || toTerminal:
		if err := c.deliver([]byte(s.text())); err != nil {
			return err
		}
		if toTerminal && !c.options.text && isTerminal(c.stderr) && !c.options.quiet {
			c.out.Flush()
			fmt.Fprintf(c.stderr, "%s: %s draws it\n", c.prefix(), c.again("sctl plot -o start.svg"))
		}
		return nil
	}
	return c.deliver([]byte(s.svg()))
}

// readStartup reads the answer of GetTimings.
func readStartup(body []any) (*startup, error) {
	wrong := fmt.Errorf("session-init answered with another type than timings")
	var clock [3]uint64 // now, wall, begun
	var ok bool
	if len(body) != len(clock)+1 {
		return nil, wrong
	}
	for i := range clock {
		if clock[i], ok = body[i].(uint64); !ok {
			return nil, wrong
		}
	}
	list, ok := body[len(clock)].([]any)
	if !ok {
		return nil, wrong
	}
	since := func(value any) time.Duration {
		if at, ok := value.(uint64); ok && at > 0 {
			return max(time.Duration(int64(at-clock[2]))*time.Microsecond, 0)
		}
		return never
	}
	s := &startup{now: since(clock[0])}
	s.begun = time.UnixMicro(int64(clock[1])).Add(-s.now)
	for _, entry := range list {
		told, ok := entry.(map[string]any)
		if !ok {
			return nil, wrong
		}
		text := func(key string) string { text, _ := told[key].(string); return text }
		f := &firstStart{job: text("job"), instance: text("instance"), reason: text("reason"), event: text("event"), ended: since(told["ended"])}
		f.task, _ = told["task"].(bool)
		f.failed, _ = told["failed"].(bool)
		f.name = instanceName(f.job, f.instance)
		if job := text("by_job"); job != "" {
			f.by = instanceName(job, text("by_instance"))
		}
		for p, key := range [numPhases]string{"starting", "pre_start", "spawned", "post_start", "running"} {
			f.at[p] = since(told[key])
		}
		if f.at[starting] != never {
			s.starts = append(s.starts, f)
		}
	}
	return s, nil
}

// finish finds out where the start ends, and what it took so long for.
func (s *startup) finish(all bool) {
	slices.SortStableFunc(s.starts, func(a, b *firstStart) int { return cmp.Compare(a.at[starting], b.at[starting]) })
	for i, f := range s.starts {
		if !all && i > 0 && f.at[starting] > s.total+pause {
			s.later = len(s.starts) - i
			s.starts = s.starts[:i]
			break
		}
		s.total = max(s.total, f.last())
	}
	s.findPath()
}

// findPath follows what took longest to what it was started by, and so on, to
// the beginning. Who was started by the "starting" of a job has held it up.
func (s *startup) findPath() {
	if len(s.starts) == 0 {
		return
	}
	byName := make(map[string]*firstStart)
	for _, f := range s.starts {
		byName[f.name] = f
	}
	f := slices.MaxFunc(s.starts, func(a, b *firstStart) int { return cmp.Compare(a.last(), b.last()) })
	for f != nil {
		f.critical = true
		s.path = append(s.path, f)
		next := s.holder(f)
		if next == nil {
			next = byName[f.by]
		}
		// What held a job up was started by it: it goes on behind that job.
		for n := 0; next != nil && next.critical; n++ {
			if next = byName[next.by]; n > len(s.path) {
				next = nil
			}
		}
		f = next
	}
	slices.SortStableFunc(s.path, func(a, b *firstStart) int { return cmp.Compare(a.at[starting], b.at[starting]) })
}

// holder gives who began when a job was starting and was last to let it go on.
func (s *startup) holder(of *firstStart) *firstStart {
	var holder *firstStart
	for _, f := range s.starts {
		if f.event == "starting" && f.by == of.name && !f.critical && of.at[preStart] != never && f.last() <= of.at[preStart] &&
			(holder == nil || f.last() > holder.last()) {
			holder = f
		}
	}
	return holder
}

// cause says in words what started it.
func (f *firstStart) cause() string {
	switch {
	case f.event != "" && f.by != "" && contains(jobEvents(), f.event):
		return f.event + " " + f.by
	case f.event != "" && f.by != "":
		return "event " + f.event + ", emitted by " + f.by
	case f.event != "":
		return "event " + f.event
	case f.by != "":
		return "asked for by " + f.by
	case f.reason == "caller":
		return "asked for"
	}
	return f.reason
}

// millis gives a time in ms, those below 10 with a fraction.
func millis(d time.Duration) string {
	ms := float64(d) / float64(time.Millisecond)
	if ms < 10 {
		return fmt.Sprintf("%.1f ms", ms)
	}
	return fmt.Sprintf("%.0f ms", ms)
}

// startupReport is what plot says with --json. Times are seconds since the
// session began; what has not come is left out.
type startupReport struct {
	Version int           `json:"version"`
	Begun   string        `json:"begun"` // RFC 3339
	Total   float64       `json:"total"`
	Later   int           `json:"later"`
	Jobs    []startReport `json:"jobs"`
}

type startReport struct {
	Job       string   `json:"job"`
	Instance  string   `json:"instance"`
	Task      bool     `json:"task,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Event     string   `json:"event,omitempty"`
	By        string   `json:"by,omitempty"`
	Starting  *float64 `json:"starting,omitempty"`
	PreStart  *float64 `json:"pre_start,omitempty"`
	Spawned   *float64 `json:"spawned,omitempty"`
	PostStart *float64 `json:"post_start,omitempty"`
	Running   *float64 `json:"running,omitempty"`
	Ended     *float64 `json:"ended,omitempty"`
	Took      float64  `json:"took"`
	Failed    bool     `json:"failed,omitempty"`
	Critical  bool     `json:"critical,omitempty"`
}

func (s *startup) report() startupReport {
	out := startupReport{Version: jsonVersion, Begun: fullTime(s.begun), Total: s.total.Seconds(), Later: s.later, Jobs: []startReport{}}
	at := func(d time.Duration) *float64 {
		if d == never {
			return nil
		}
		seconds := d.Seconds()
		return &seconds
	}
	for _, f := range s.starts {
		out.Jobs = append(out.Jobs, startReport{Job: f.job, Instance: f.instance, Task: f.task, Reason: f.reason, Event: f.event, By: f.by,
			Starting: at(f.at[starting]), PreStart: at(f.at[preStart]), Spawned: at(f.at[spawned]), PostStart: at(f.at[postStart]),
			Running: at(f.at[running]), Ended: at(f.ended), Took: f.took().Seconds(), Failed: f.failed, Critical: f.critical})
	}
	return out
}

// text lists the starts, those that took longest first.
func (s *startup) text() string {
	var out strings.Builder
	if len(s.starts) == 0 {
		return "nothing is known of the start of a job\n"
	}
	fmt.Fprintf(&out, "%s from the beginning of the session to its last start, %s\n", millis(s.total), s.counted())
	var names []string
	for _, f := range s.path {
		names = append(names, printable(f.name)+" ("+millis(f.took())+")")
	}
	fmt.Fprintf(&out, "critical path, marked with *: %s\n\n", strings.Join(names, ", "))
	rows := slices.Clone(s.starts)
	slices.SortStableFunc(rows, func(a, b *firstStart) int { return cmp.Compare(b.took(), a.took()) })
	fmt.Fprintf(&out, "%10s  %10s    JOB\n", "TOOK", "BEGAN")
	for _, f := range rows {
		mark := " "
		if f.critical {
			mark = "*"
		}
		fmt.Fprintf(&out, "%10s  %10s  %s %s\n", millis(f.took()), millis(f.at[starting]), mark, f.line())
	}
	return out.String()
}

// counted says how many jobs there are, and how many were left out.
func (s *startup) counted() string {
	text := fmt.Sprintf("%d jobs", len(s.starts))
	if len(s.starts) == 1 {
		text = "1 job"
	}
	if s.later > 0 {
		text += fmt.Sprintf("; %d started later (--all)", s.later)
	}
	return text
}

// line gives the name, and what is special.
func (f *firstStart) line() string {
	text := printable(f.name)
	switch {
	case f.failed:
		text += " (failed)"
	case f.underWay():
		text += " (under way: " + f.current() + ")"
	case f.task:
		text += " (task)"
	}
	return text + ": " + printable(f.cause())
}

// current is the phase that it is in.
func (f *firstStart) current() string {
	for p := numPhases - 1; p > starting; p-- {
		if f.at[p] != never {
			return p.String()
		}
	}
	return starting.String()
}
