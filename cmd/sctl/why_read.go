package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
)

// moment is a time as JSON has times here; the zero one is not known.
type moment struct{ time.Time }

func (m moment) MarshalJSON() ([]byte, error) { return []byte(`"` + fullTime(m.Time) + `"`), nil }

// whyJob is what is known of a job and of an instance of it, or all of them:
// what the daemon says in answer to Why, and what the client finds out.
type whyJob struct {
	Job      string `json:"job"`
	File     string `json:"file"`
	Override string `json:"override,omitempty"`
	// Instance is the one that was asked for, if one was; it may not be there.
	Instance *string `json:"instance,omitempty"`
	Task     bool    `json:"task,omitempty"`
	// Changed: another definition waits for the last instance's end.
	Changed     bool            `json:"changed,omitempty"`
	StartOn     *whyCondition   `json:"start_on,omitempty"`
	Sockets     []whySocket     `json:"sockets,omitempty"`
	Failure     *whyFailure     `json:"failure,omitempty"`
	MainEnd     *whyEnd         `json:"main_end,omitempty"`
	Rest        *whyRest        `json:"rest,omitempty"`
	Begun       *whyGoal        `json:"begun,omitempty"`
	RespawnAt   *whyRespawn     `json:"respawn,omitempty"`
	Instances   []whyInstance   `json:"instances"`
	Blocking    []whyInstance   `json:"blocking,omitempty"`
	Cycles      []string        `json:"cycles,omitempty"`
	Lingers     *whyStay        `json:"lingers,omitempty"`
	Machine     string          `json:"machine,omitempty"`
	LeftBehind  []processReport `json:"left_behind,omitempty"`
	Manual      string          `json:"manual,omitempty"` // path:line
	Problems    []string        `json:"problems,omitempty"`
	OtherFiles  []string        `json:"other_files,omitempty"`
	Log         *whyLog         `json:"log,omitempty"`
	Next        []whyNext       `json:"next"`
	stopPostfix [][]string
	variable    string // whose value is the name of an instance, if it is that simple
	guesses     bool   // what is not ready in time is taken as it is
	wall        time.Time
	uid         int
	definition  definition
	places      map[string]string
	otherReason string
	// keptFromLogins: "manual" has taken a session-start away. displayless: it
	// waits for the display of a login session, or would; none has one, and then
	// it is not started by hand either.
	keptFromLogins, displayless bool
}

// whyStay is what there is to say of a job that outlives its login session.
// UntilLogout: session-init is to end with the last login, but for what lingers.
type whyStay struct {
	UntilLogout bool     `json:"until_logout"`
	Logins      int      `json:"logins"`
	Jobs        []string `json:"jobs"`
}

type whyCondition struct {
	Text     string       `json:"text"`
	Place    string       `json:"place,omitempty"`
	Operands []whyOperand `json:"operands"`
	postfix  [][]string
}

type whyOperand struct {
	Words []string  `json:"words"`
	Came  bool      `json:"came"`
	Last  *whyEvent `json:"last,omitempty"`
	// Job is that of a job event, About what that job does now.
	Job   string `json:"job,omitempty"`
	About string `json:"about,omitempty"`
}

type whyEvent struct {
	Name     string     `json:"name"`
	Env      []string   `json:"env"`
	At       moment     `json:"at,omitzero"`
	Source   string     `json:"source"`
	Job      string     `json:"job,omitempty"`
	Instance string     `json:"instance,omitempty"`
	Caller   *whyCaller `json:"caller,omitempty"`
}

type whyCaller struct {
	Pid      int    `json:"pid"`
	User     int    `json:"user"`
	Command  string `json:"command,omitempty"`
	Job      string `json:"job,omitempty"`
	Instance string `json:"instance,omitempty"`
}

type whyGoal struct {
	Reason string     `json:"reason"`
	Verb   string     `json:"verb,omitempty"`
	At     moment     `json:"at,omitzero"`
	Caller *whyCaller `json:"caller,omitempty"`
	Events []whyEvent `json:"events,omitempty"`
}

type whyRest struct {
	whyGoal
	Rested   moment `json:"rested,omitzero"`
	Instance string `json:"instance"`
}

// whyEnd is the end of a process; Pid is 0 when none ran.
type whyEnd struct {
	At       moment `json:"at,omitzero"`
	Instance string `json:"instance"`
	Process  string `json:"process,omitempty"`
	Pid      int    `json:"pid,omitempty"`
	Status   *int   `json:"status,omitempty"`
	Signal   string `json:"signal,omitempty"`
	Sender   string `json:"sender,omitempty"`
	Core     bool   `json:"core,omitempty"`
	// Notes are sentences about it that the client has found out.
	Notes []string `json:"notes,omitempty"`
}

type whyFailure struct {
	End     whyEnd `json:"end"`
	Process string `json:"process"`
	Reason  string `json:"reason"`
	Present bool   `json:"present"`
}

// whyRespawn is the limit; 0 is none.
type whyRespawn struct {
	Limit    int     `json:"limit"`
	Interval float64 `json:"interval"` // seconds
}

type whyInstance struct {
	Job        string          `json:"job"`
	Name       string          `json:"instance"`
	Goal       string          `json:"goal"`
	State      string          `json:"state"`
	Since      moment          `json:"since,omitzero"`
	From       whyGoal         `json:"from"`
	Processes  []processReport `json:"processes"`
	Failure    string          `json:"failure,omitempty"`
	Note       string          `json:"note,omitempty"`
	Ready      string          `json:"ready,omitempty"`
	ReadyAfter float64         `json:"ready_after,omitempty"` // seconds
	Lacks      string          `json:"lacks,omitempty"`
	Said       string          `json:"said,omitempty"`
	Stored     []string        `json:"stored,omitempty"`
	StopOn     []whyOperand    `json:"stop_on,omitempty"`
	Waits      []whyWait       `json:"waits,omitempty"`
	Awaited    []whyHolder     `json:"awaited_by,omitempty"`
	Deaths     int             `json:"deaths,omitempty"`
	Window     moment          `json:"window,omitzero"`
	log        string
}

type whyWait struct {
	For      string      `json:"for"`
	Since    moment      `json:"since,omitzero"`
	Deadline moment      `json:"deadline,omitzero"`
	Event    *whyEvent   `json:"event,omitempty"`
	HeldBy   []whyHolder `json:"held_by,omitempty"`
	Process  string      `json:"process,omitempty"`
	Pid      int         `json:"pid,omitempty"`
	Forks    int         `json:"forks,omitempty"`
	Lacks    string      `json:"lacks,omitempty"`
	Killed   bool        `json:"killed,omitempty"`
}

type whyHolder struct {
	Kind     string     `json:"kind"`
	Job      string     `json:"job,omitempty"`
	Instance string     `json:"instance,omitempty"`
	Goal     string     `json:"goal,omitempty"`
	State    string     `json:"state,omitempty"`
	Missing  [][]string `json:"missing,omitempty"`
	Event    string     `json:"event,omitempty"`
	Verb     string     `json:"verb,omitempty"`
}

// whyLog is the end of a log.
type whyLog struct {
	File    string   `json:"file"`
	Written moment   `json:"written,omitzero"`
	Lines   []string `json:"lines"`
}

// whyNext is a command that can be typed next.
type whyNext struct {
	Command string `json:"command"`
	For     string `json:"for"`
}

// told is a dictionary of the daemon's answer. What is not there, or of
// another type, is empty.
type told map[string]any

func (d told) text(key string) string    { s, _ := d[key].(string); return s }
func (d told) flag(key string) bool      { b, _ := d[key].(bool); return b }
func (d told) one(key string) told       { m, _ := d[key].(map[string]any); return m }
func (d told) has(key string) bool       { _, ok := d[key]; return ok }
func (d told) words(key string) []string { w, _ := d[key].([]string); return w }

func (d told) number(key string) int {
	switch n := d[key].(type) {
	case int32:
		return int(n)
	case uint32:
		return int(n)
	}
	return 0
}

// seconds reads microseconds.
func (d told) seconds(key string) float64 {
	n, _ := d[key].(uint64)
	return (time.Duration(n) * time.Microsecond).Seconds()
}

// whySocket is a socket that the daemon holds for a job.
type whySocket struct {
	Address string `json:"address"`
	Waiting int    `json:"waiting,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

// list reads each dictionary of a list.
func list[T any](d told, key string, read func(told) T) []T {
	entries, _ := d[key].([]any)
	var out []T
	for _, entry := range entries {
		if m, ok := entry.(map[string]any); ok {
			out = append(out, read(m))
		}
	}
	return out
}

// whyReader makes of the daemon's times those of the wall.
type whyReader struct{ clock }

// moment gives a time, also one that is to come.
func (r whyReader) moment(d told, key string) moment {
	at, ok := d[key].(uint64)
	if ok && at > r.now {
		return moment{r.wall.Add(time.Duration(at-r.now) * time.Microsecond)}
	}
	return moment{r.time(d[key])}
}

// readWhy reads the answer of Why, which was given at a time of the wall; zero is
// the one that it says itself.
func readWhy(reply api.Reply, wall time.Time) (*whyJob, error) {
	if reply.Err != nil {
		return nil, reply.Err
	}
	var d told
	if len(reply.Body) == 1 {
		d, _ = reply.Body[0].(map[string]any)
	}
	if version, _ := d["version"].(uint32); version != 1 {
		return nil, fmt.Errorf("session-init answers in another version than this program knows")
	}
	r := whyReader{readClock(d)}
	if !wall.IsZero() {
		r.wall = wall
	}
	w := &whyJob{
		Job: d.text("job"), File: d.text("file"), Override: d.text("override"), Changed: d.flag("changed"),
		Instances: list(d, "instances", r.instance), Blocking: list(d, "blocking", r.instance), Cycles: d.words("cycles"),
		Machine: d.text("machine"), wall: r.wall,
	}
	if d.flag("lingers") {
		w.Lingers = &whyStay{d.flag("until_logout"), d.number("logins"), d.words("lingering")}
	}
	if w.Instances == nil {
		w.Instances = []whyInstance{}
	}
	if postfix, _ := d["start_on"].([][]string); postfix != nil {
		condition, err := readCondition(postfix, list(d, "operands", r.operand))
		if err != nil {
			return nil, err
		}
		w.StartOn = condition
	}
	w.Sockets = list(d, "sockets", func(d told) whySocket { return whySocket{d.text("address"), d.number("waiting"), d.text("fault")} })
	w.stopPostfix, _ = d["stop_on"].([][]string)
	if d.has("main_end") {
		end := r.end(d.one("main_end"))
		w.MainEnd = &end
	}
	if rest := d.one("rest"); rest != nil {
		w.Rest = &whyRest{r.goal(rest), r.moment(rest, "rested"), rest.text("instance")}
	}
	if begun := d.one("begun"); begun != nil {
		goal := r.goal(begun)
		w.Begun = &goal
	}
	if f := d.one("failure"); f != nil {
		w.Failure = &whyFailure{r.end(f), f.text("process"), f.text("reason"), f.flag("present")}
	}
	if d.flag("respawn") {
		w.RespawnAt = &whyRespawn{d.number("respawn_limit"), d.seconds("respawn_interval")}
	}
	left, _ := d["left_behind"].([]any)
	w.LeftBehind = readProcesses(left)
	return w, nil
}

// stopOn gives the operands of stop on of a job without an instance, for which
// nothing has come.
func (w *whyJob) stopOn() []whyOperand {
	var out []whyOperand
	for _, words := range w.stopPostfix {
		if !isOperator(words) {
			out = append(out, whyOperand{Words: words, Job: jobOfOperand(words)})
		}
	}
	return out
}

// readCondition puts the operands of a condition, which come in its order, to
// its text.
func readCondition(postfix [][]string, operands []whyOperand) (*whyCondition, error) {
	text, err := infix(postfix)
	if err != nil {
		return nil, err
	}
	if operands == nil {
		operands = []whyOperand{}
	}
	if rest, ok := strings.CutPrefix(text, "("); ok {
		text = strings.TrimSuffix(rest, ")")
	}
	return &whyCondition{Text: text, Operands: operands, postfix: postfix}, nil
}

func (r whyReader) operand(d told) whyOperand {
	o := whyOperand{Words: d.words("words"), Came: d.flag("came")}
	if o.Words == nil {
		o.Words = []string{}
	}
	o.Job = jobOfOperand(o.Words)
	if d.has("last") {
		last := r.event(d.one("last"))
		o.Last = &last
	}
	return o
}

// jobOfOperand gives the job that an operand is about, when it says its name.
func jobOfOperand(words []string) string {
	if len(words) < 2 || !contains(jobEvents(), words[0]) {
		return ""
	}
	name, named := strings.CutPrefix(words[1], "JOB=")
	for _, word := range words[2:] {
		if value, ok := strings.CutPrefix(word, "JOB="); ok && !named && strings.Contains(words[1], "=") {
			name, named = value, true
		}
	}
	if !named && strings.Contains(name, "=") || strings.ContainsAny(name, `*?[\$`) {
		return ""
	}
	return name
}

func (r whyReader) event(d told) whyEvent {
	ev := whyEvent{
		Name: d.text("name"), Env: d.words("env"), At: r.moment(d, "at"), Source: d.text("source"),
		Job: d.text("job"), Instance: d.text("instance"), Caller: r.caller(d),
	}
	if ev.Env == nil {
		ev.Env = []string{}
	}
	return ev
}

func (r whyReader) caller(d told) *whyCaller {
	if !d.has("pid") {
		return nil
	}
	return &whyCaller{d.number("pid"), d.number("user"), d.text("command"), d.text("caller_job"), d.text("caller_instance")}
}

func (r whyReader) goal(d told) whyGoal {
	return whyGoal{d.text("reason"), d.text("verb"), r.moment(d, "at"), r.caller(d), list(d, "events", r.event)}
}

func (r whyReader) end(d told) whyEnd {
	end := whyEnd{At: r.moment(d, "at"), Instance: d.text("instance"), Process: d.text("kind"), Pid: d.number("pid"),
		Signal: d.text("signal"), Sender: d.text("sender"), Core: d.flag("core")}
	if d.has("status") {
		status := d.number("status")
		end.Status = &status
	}
	return end
}

func (r whyReader) instance(d told) whyInstance {
	in := whyInstance{
		Job: d.text("job"), Name: d.text("instance"), Goal: d.text("goal"), State: d.text("state"), Since: r.moment(d, "since"),
		From: r.goal(d.one("from")), Failure: d.text("failure"), Note: d.text("note"), Ready: d.text("ready"), Lacks: d.text("lacks"),
		ReadyAfter: d.seconds("ready_after"), Said: d.text("said"), Stored: d.words("stored"), StopOn: list(d, "operands", r.operand),
		Waits: list(d, "waits", r.wait), Awaited: list(d, "awaited_by", r.holder),
		Deaths: d.number("deaths"), Window: r.moment(d, "window"), log: d.text("log"), Processes: []processReport{},
	}
	processes, _ := d["processes"].([]any)
	for _, entry := range processes {
		if pair, _ := entry.([]any); len(pair) == 2 {
			kind, _ := pair[0].(string)
			pid, _ := pair[1].(int32)
			in.Processes = append(in.Processes, processReport{Kind: kind, Pid: int(pid)})
		}
	}
	return in
}

func (r whyReader) wait(d told) whyWait {
	w := whyWait{
		For: d.text("for"), Since: r.moment(d, "since"), Deadline: r.moment(d, "deadline"), HeldBy: list(d, "held_by", r.holder),
		Process: d.text("process"), Pid: d.number("pid"), Forks: d.number("forks"), Lacks: d.text("lacks"), Killed: d.flag("killed"),
	}
	if d.has("event") {
		ev := r.event(d.one("event"))
		w.Event = &ev
	}
	return w
}

func (r whyReader) holder(d told) whyHolder {
	missing, _ := d["missing"].([][]string)
	return whyHolder{d.text("kind"), d.text("job"), d.text("instance"), d.text("goal"), d.text("state"), missing,
		d.text("event"), d.text("verb")}
}
