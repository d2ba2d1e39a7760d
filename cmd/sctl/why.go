package main

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
)

// whyReport is what why says with --json: of a job, or of an event that jobs
// wait for, or of a job file that defines no job.
type whyReport struct {
	Version int       `json:"version"`
	Time    moment    `json:"time,omitzero"`
	Job     *whyJob   `json:"job,omitempty"`
	Event   *whyAbout `json:"event,omitempty"`
	Broken  *whyFile  `json:"broken,omitempty"`
}

// whySources are what is asked beside session-init and the files.
type whySources struct {
	// wall is the moment of the answer; zero is what session-init says.
	wall time.Time
	uid  int
	// corePattern is where the kernel puts core files; see core(5).
	corePattern func() string
	// kernelLog gives the last messages of the kernel, or false.
	kernelLog func() ([]string, bool)
	// memoryKills gives the cgroup of ours in which processes were ended for
	// lack of memory, and how many.
	memoryKills func() (group string, kills int)
}

// showWhy says why a job runs, or does not.
func showWhy(c *command) error {
	return c.why(whySources{uid: os.Getuid(), corePattern: corePattern, kernelLog: kernelLog, memoryKills: memoryKills})
}

func (c *command) why(from whySources) error {
	q := &whyQuestion{command: c, whySources: from}
	if len(c.args) == 2 && !strings.Contains(c.args[1], "=") {
		q.instance, q.byName = c.args[1], true
		c.args = c.args[:1]
	}
	t, err := c.target("tell about")
	if err != nil {
		return err
	}
	q.job, q.env = t.job, t.env
	if q.byName {
		c.doing = "tell about '" + instanceName(t.job, q.instance) + "'"
	}
	if t.own {
		q.instance, q.byName = t.instance, true
	}
	report, err := q.answer()
	if err != nil {
		return err
	}
	report.Version = jsonVersion
	report.retype(c)
	if c.options.json {
		return c.encode(report)
	}
	for _, line := range q.screen(report) {
		c.print(line)
	}
	return nil
}

// whyQuestion is one invocation.
type whyQuestion struct {
	*command
	whySources
	job, instance string
	env           []string
	// byName: an instance was asked for, which may have the empty name.
	byName bool
}

func (q *whyQuestion) answer() (*whyReport, error) {
	whole, err := q.ask(api.JobPath(q.job))
	if gone(err) {
		return q.noJob(err)
	}
	if err != nil {
		return nil, err
	}
	if len(q.env) > 0 {
		if err := q.nameInstance(whole); err != nil {
			return nil, err
		}
	}
	if q.byName {
		if err := q.narrow(whole); err != nil {
			return nil, err
		}
	}
	if err := q.enrich(whole); err != nil {
		return nil, err
	}
	return &whyReport{Time: moment{whole.wall}, Job: whole}, nil
}

// ask asks why of a job or of an instance.
func (q *whyQuestion) ask(path string) (*whyJob, error) {
	job, _, isInstance, _ := api.ParsePath(path)
	iface := api.JobExtension
	if isInstance {
		iface = api.InstanceExtension
	}
	replies, err := q.callAll("for session-init to answer",
		api.Request{Path: path, Interface: iface, Member: "Why"},
		api.Request{Path: api.JobPath(job), Interface: api.JobExtension, Member: "GetDefinition"})
	if err != nil {
		return nil, err
	}
	w, err := readWhy(replies[0], q.wall)
	if err != nil {
		return nil, err
	}
	if replies[1].Err != nil {
		return nil, replies[1].Err
	}
	w.uid = q.uid
	w.definition, err = readDefinition(job, replies[1].Body)
	return w, err
}

// nameInstance finds the name of the instance that variables choose. One that
// is not there has no name that session-init would tell.
func (q *whyQuestion) nameInstance(w *whyJob) error {
	path, err := q.callString(api.JobPath(q.job), api.JobInterface, "GetInstance", q.env)
	switch {
	case api.IsName(err, api.ErrUnknownInstance) && len(w.Instances) == 0:
		return nil
	case err != nil:
		return err
	}
	_, q.instance, q.byName, _ = api.ParsePath(path)
	return nil
}

// narrow leaves of the answer what is about one instance.
func (q *whyQuestion) narrow(w *whyJob) error {
	w.Instance = &q.instance
	ran := q.ran(w)
	one, err := q.ask(api.InstancePath(q.job, q.instance))
	switch {
	case gone(err):
		if !ran && (len(w.Instances) > 0 || q.instance != "") {
			return &api.Error{Name: api.ErrUnknownInstance, Message: "Unknown instance: " + instanceName(q.job, q.instance)}
		}
		w.Instances, w.Blocking, w.Cycles = []whyInstance{}, nil, nil
	case err != nil:
		return err
	default:
		one.Instance = w.Instance
		*w = *one
	}
	// What is remembered of a job may be about another instance.
	if w.Rest != nil && w.Rest.Instance != q.instance {
		w.Rest, w.Begun = nil, nil
	}
	if w.Failure != nil && w.Failure.End.Instance != q.instance {
		w.Failure = nil
	}
	if w.MainEnd != nil && w.MainEnd.Instance != q.instance {
		w.MainEnd = nil
	}
	return nil
}

// ran tells whether something is known of an instance that is at rest.
func (q *whyQuestion) ran(w *whyJob) bool {
	return w.Rest != nil && w.Rest.Instance == q.instance || w.Failure != nil && w.Failure.End.Instance == q.instance
}

// enrich adds what the client finds out by itself.
func (q *whyQuestion) enrich(w *whyJob) error {
	q.readFiles(w)
	q.relate(w)
	for _, end := range w.ends() {
		q.noteEnd(end)
	}
	w.Log = q.lastLog(w)
	w.Next = w.next()
	return nil
}

// ends are the ends of processes that are told of.
func (w *whyJob) ends() []*whyEnd {
	var out []*whyEnd
	if w.Failure != nil {
		out = append(out, &w.Failure.End)
	}
	if w.MainEnd != nil {
		out = append(out, w.MainEnd)
	}
	return out
}

// maxRelated bounds the jobs of operands that are asked about.
const maxRelated = 16

// relate says of the jobs that missing operands name what they do now.
func (q *whyQuestion) relate(w *whyJob) {
	if len(w.Instances) > 0 {
		return
	}
	q.relateLogins(w)
	if w.StartOn == nil {
		return
	}
	w.relateStartup()
	var names []string
	var requests []api.Request
	for _, o := range w.StartOn.Operands {
		if o.Job != "" && !o.Came && !slices.Contains(names, o.Job) && len(names) < maxRelated {
			names = append(names, o.Job)
			requests = append(requests, api.Request{Path: api.JobPath(o.Job), Interface: api.JobExtension, Member: "Why"})
		}
	}
	if len(requests) == 0 {
		return
	}
	replies, err := q.callAll("for session-init to answer", requests...)
	if err != nil {
		return // it is an addition
	}
	for i := range w.StartOn.Operands {
		o := &w.StartOn.Operands[i]
		n := slices.Index(names, o.Job)
		if n < 0 || o.Came {
			continue
		}
		other, err := readWhy(replies[n], q.wall)
		switch {
		case gone(err):
			o.About = "there is no job " + o.Job
			if near := q.nearest(o.Job); near != "" {
				o.About += " (did you mean '" + near + "'?)"
			}
		case err == nil:
			o.About = q.about(other)
		}
	}
}
