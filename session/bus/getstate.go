package bus

import (
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// What GetState tells, in Upstart's form as far as clients look at it; the
// keys are described in session-init-bus(7). Keys may be added.
type (
	stateText struct {
		// Sessions are Upstart's sessions of a chroot in its form; here the login
		// sessions.
		Sessions    []stateLogin  `json:"sessions"`
		Events      []stateEvent  `json:"events"`
		Environment []string      `json:"job_environment"`
		ConfSources []stateSource `json:"conf_sources"`
	}
	stateLogin struct {
		ID      uint64   `json:"id"`
		State   string   `json:"state"`
		Leader  int      `json:"leader"`
		Display string   `json:"display"`
		Env     []string `json:"env"`
		Jobs    []string `json:"jobs"`
	}
	stateEvent struct {
		Name     string   `json:"name"`
		Env      []string `json:"env"`
		Progress string   `json:"progress"`
		Failed   bool     `json:"failed"`
	}
	stateSource struct {
		Path  string      `json:"path"`
		Files []stateFile `json:"conf_files"`
	}
	stateFile struct {
		Path     string     `json:"path"`
		Override string     `json:"override,omitempty"`
		Class    stateClass `json:"job_class"`
	}
	stateClass struct {
		Name        string                  `json:"name"`
		Path        string                  `json:"path"`
		Description string                  `json:"description"`
		Author      string                  `json:"author"`
		Version     string                  `json:"version"`
		Usage       string                  `json:"usage"`
		Instance    string                  `json:"instance"`
		Task        bool                    `json:"task"`
		Respawn     bool                    `json:"respawn"`
		Expect      string                  `json:"expect"`
		StartOn     [][]string              `json:"start_on"`
		StopOn      [][]string              `json:"stop_on"`
		Emits       []string                `json:"emits"`
		Env         []string                `json:"env"`
		Export      []string                `json:"export"`
		Process     map[string]stateCommand `json:"process"`
		Jobs        []stateJob              `json:"jobs"`
	}
	stateCommand struct {
		Script  bool   `json:"script"`
		Command string `json:"command"`
	}
	stateJob struct {
		Name      string         `json:"name"`
		Path      string         `json:"path"`
		Goal      string         `json:"goal"`
		State     string         `json:"state"`
		Processes []stateProcess `json:"processes"`
	}
	stateProcess struct {
		Process string `json:"process"`
		Pid     int    `json:"pid"`
	}
)

// seen is what the engine's goroutine hands over: definitions do not change,
// so the text can be made beside it, which for thousands of jobs takes a while.
type seen struct {
	classes   []*job.Class
	instances [][]engine.InstanceInfo
	events    []events.SavedEvent
	logins    []stateLogin
	table     events.Env
}

func look(v engine.View) seen {
	var out seen
	for _, name := range v.ClassNames() {
		class, _ := v.Class(name)
		out.classes = append(out.classes, class)
		out.instances = append(out.instances, v.Instances(name))
	}
	out.events = v.Events()
	for _, s := range v.Logins() {
		out.logins = append(out.logins, stateLogin{s.ID, loginState(s), s.Leader, s.Display, list(s.Env), list(v.InLogin(s.ID))})
	}
	out.table, _ = v.Env("", "")
	return out
}

// getState makes its text beside the engine: who asks for it often holds up
// nobody else.
func getState(c *call) {
	c.beside(func() {
		s, ok := await(c, func(v engine.View, done func(seen)) { done(look(v)) })
		if !ok {
			return
		}
		text, err := json.Marshal(s.state(c.server.backend.ConfDirs()))
		if err != nil {
			c.answer(nil, failf(api.ErrFailed, "cannot tell the state: %v", err))
			return
		}
		c.answer([]any{string(text)}, nil)
	})
}

// state sorts the jobs by the directories that their files are in.
func (s seen) state(dirs []string) stateText {
	out := stateText{Sessions: list(s.logins), Events: []stateEvent{}, Environment: list(s.table), ConfSources: []stateSource{}}
	for _, ev := range s.events {
		progress := events.Pending
		if ev.Handling {
			progress = events.Handling
		}
		out.Events = append(out.Events, stateEvent{ev.Name, list(ev.Env), progress.String(), ev.Failed})
	}
	at := make(map[string]int, len(dirs))
	source := func(dir string) int {
		i, known := at[dir]
		if !known {
			i = len(out.ConfSources)
			at[dir] = i
			out.ConfSources = append(out.ConfSources, stateSource{Path: dir, Files: []stateFile{}})
		}
		return i
	}
	for _, dir := range dirs {
		source(dir)
	}
	for i, class := range s.classes {
		at := source(sourceOf(class.Path, dirs))
		out.ConfSources[at].Files = append(out.ConfSources[at].Files,
			stateFile{class.Path, class.Override, describe(class, s.instances[i])})
	}
	return out
}

// sourceOf gives the directory that a job file was found in: the innermost of
// those that are searched, or that of the file when it is in none of them; empty
// for a job that is in no file.
func sourceOf(path string, dirs []string) string {
	if path == "" {
		return ""
	}
	best := ""
	for _, dir := range dirs {
		if strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") && len(dir) > len(best) {
			best = dir
		}
	}
	if best == "" {
		return filepath.Dir(path)
	}
	return best
}

// list makes an empty array of what is nil, which JSON would have as null.
func list[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

func describe(class *job.Class, instances []engine.InstanceInfo) stateClass {
	out := stateClass{
		Name: class.Name, Path: api.JobPath(class.Name),
		Description: class.Description, Author: class.Author, Version: class.Version, Usage: class.Usage,
		Instance: class.Instance, Task: class.Task, Respawn: class.Respawn, Expect: class.Expect.String(),
		StartOn: list(class.StartOn.Postfix()), StopOn: list(class.StopOn.Postfix()),
		Emits: list(class.Emits), Env: list(class.Env), Export: list(class.Export),
		Process: map[string]stateCommand{}, Jobs: []stateJob{},
	}
	for kind, p := range class.Processes {
		if p != nil {
			out.Process[job.ProcessKind(kind).String()] = stateCommand{p.Script, p.Text}
		}
	}
	for _, in := range instances {
		entry := stateJob{in.Name, api.InstancePath(in.Class, in.Name), in.Goal.String(), in.State.String(), []stateProcess{}}
		for _, p := range in.Processes {
			entry.Processes = append(entry.Processes, stateProcess{p.Kind.String(), p.Pid})
		}
		out.Jobs = append(out.Jobs, entry)
	}
	return out
}
