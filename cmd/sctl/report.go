package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
)

// The forms of --json. Each has a schema in share/schema; jsonVersion changes
// when the meaning of a field does, not when one is added.

// jobsReport is what list, status, start, stop and restart say with --json.
type jobsReport struct {
	Version int          `json:"version"`
	Jobs    []*jobReport `json:"jobs"`
}

// jobReport is a job and its instances.
type jobReport struct {
	Name        string           `json:"name"`
	Description string           `json:"description,omitempty"`
	Manual      bool             `json:"manual,omitempty"`
	LastFailure string           `json:"last_failure,omitempty"`
	Rested      string           `json:"rested,omitempty"` // RFC 3339
	LeftBehind  []processReport  `json:"left_behind,omitempty"`
	Instances   []instanceReport `json:"instances"`

	rested time.Time
}

// instanceReport is one instance. What is told with list --long only, or not
// known, is left out.
type instanceReport struct {
	Name      string          `json:"name"`
	Goal      string          `json:"goal"`
	State     string          `json:"state"`
	Processes []processReport `json:"processes"`
	Note      string          `json:"note,omitempty"`
	Since     string          `json:"since,omitempty"` // RFC 3339
	Respawns  *int            `json:"respawns,omitempty"`
	Count     *int            `json:"process_count,omitempty"`
	Memory    *uint64         `json:"memory,omitempty"` // bytes
	CPU       *float64        `json:"cpu,omitempty"`    // seconds

	since time.Time
}

// processReport is a process: its part in the job, or its command line and
// those that it has made.
type processReport struct {
	Kind     string          `json:"kind,omitempty"`
	Pid      int             `json:"pid"`
	Command  string          `json:"command,omitempty"`
	Children []processReport `json:"children,omitempty"`
}

// encode writes a value as indented JSON.
func (c *command) encode(value any) error {
	if c.options.quiet {
		return nil
	}
	encoder := json.NewEncoder(c.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// fullTime is how JSON has times.
func fullTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2006-01-02T15:04:05.000Z07:00")
}

// reportJobs asks for jobs and their instances, by name.
func (c *command) reportJobs(paths []string) ([]*jobReport, error) {
	const awaited = "for session-init to answer"
	var jobs []*jobReport
	requests := make([]api.Request, 0, 3*len(paths))
	for _, path := range paths {
		requests = append(requests,
			api.Request{Path: path, Interface: api.JobInterface, Member: "GetAllInstances"},
			api.Request{Path: path, Interface: api.PropertiesInterface, Member: "Get", Args: []any{api.JobInterface, "description"}},
			api.GetAll(path, api.JobExtension))
	}
	replies, err := c.callAll(awaited, requests...)
	if err != nil {
		return nil, err
	}
	var instances []api.Request
	owners := make(map[string]*jobReport)
	for i, path := range paths {
		name, _, _, ok := api.ParsePath(path)
		if !ok {
			return nil, fmt.Errorf("session-init answered with the path %q, which is no job's", path)
		}
		own := replies[3*i : 3*i+3]
		if own[0].Err != nil {
			if gone(own[0].Err) {
				continue
			}
			return nil, own[0].Err
		}
		list, err := oneList(own[0].Body)
		if err != nil {
			return nil, err
		}
		report := &jobReport{Name: name, Instances: []instanceReport{}}
		if own[1].Err == nil {
			report.Description, _ = oneString(own[1].Body)
		}
		if properties, err := own[2].Properties(); err == nil {
			report.LastFailure, _ = properties["last_failure"].(string)
			report.Manual, _ = properties["manual"].(bool)
			left, _ := properties["left_behind"].([]any)
			report.LeftBehind = readProcesses(left)
		}
		jobs, owners[name] = append(jobs, report), report
		for _, path := range list {
			instances = append(instances, api.GetAll(path, api.InstanceInterface), api.GetAll(path, api.InstanceExtension))
		}
	}
	if replies, err = c.callAll(awaited, instances...); err != nil {
		return nil, err
	}
	for i := 0; i < len(instances); i += 2 {
		info, err := replies[i].Instance()
		if gone(err) {
			continue // since it was asked for
		}
		if err != nil {
			return nil, err
		}
		job, _, _, _ := api.ParsePath(instances[i].Path)
		if owner := owners[job]; owner != nil {
			report := newInstanceReport(info)
			if properties, err := replies[i+1].Properties(); err == nil {
				report.Note, _ = properties["note"].(string)
			}
			owner.Instances = append(owner.Instances, report)
		}
	}
	for _, report := range jobs {
		slices.SortFunc(report.Instances, func(a, b instanceReport) int { return strings.Compare(a.Name, b.Name) })
	}
	slices.SortFunc(jobs, func(a, b *jobReport) int { return strings.Compare(a.Name, b.Name) })
	return jobs, nil
}

func newInstanceReport(info api.InstanceInfo) instanceReport {
	report := instanceReport{Name: info.Name, Goal: info.Goal, State: info.State, Processes: []processReport{}}
	for _, p := range info.Processes {
		report.Processes = append(report.Processes, processReport{Kind: p.Kind, Pid: p.Pid})
	}
	return report
}

// readProcesses reads pairs of pid and command line.
func readProcesses(list []any) []processReport {
	var out []processReport
	for _, entry := range list {
		if pair, _ := entry.([]any); len(pair) == 2 {
			pid, _ := pair[0].(int32)
			command, _ := pair[1].(string)
			out = append(out, processReport{Pid: int(pid), Command: command})
		}
	}
	return out
}

// measure adds what list --long tells: since when, how often respawned, and
// what /proc says of the processes.
func (c *command) measure(jobs []*jobReport) error {
	requests := make([]api.Request, len(jobs))
	for i, report := range jobs {
		requests[i] = api.Request{Path: api.JobPath(report.Name), Interface: api.JobExtension, Member: "Why"}
	}
	replies, err := c.callAll("for session-init to answer", requests...)
	if err != nil {
		return err
	}
	for i, report := range jobs {
		if replies[i].Err != nil || len(replies[i].Body) != 1 {
			continue
		}
		why, _ := replies[i].Body[0].(map[string]any)
		clock := readClock(why)
		rest, _ := why["rest"].(map[string]any)
		report.rested = clock.time(rest["rested"])
		report.Rested = fullTime(report.rested)
		list, _ := why["instances"].([]any)
		for _, entry := range list {
			told, _ := entry.(map[string]any)
			name, _ := told["instance"].(string)
			for k := range report.Instances {
				if in := &report.Instances[k]; in.Name == name {
					in.since = clock.time(told["since"])
					in.Since = fullTime(in.since)
					deaths, _ := told["deaths"].(uint32)
					respawns := int(deaths)
					in.Respawns = &respawns
				}
			}
		}
	}
	processes, err := c.allProcesses(jobs)
	if err != nil {
		return err
	}
	for i, report := range jobs {
		for k := range report.Instances {
			in, list := &report.Instances[k], processes[i][k]
			count := len(list)
			in.Count = &count
			var memory uint64
			var cpu float64
			seen := false
			for _, p := range list {
				if use, ok := readUse(procRoot, p.Pid); ok {
					memory, cpu, seen = memory+use.memory, cpu+use.cpu.Seconds(), true
				}
			}
			if seen {
				in.Memory, in.CPU = &memory, &cpu
			}
		}
	}
	return nil
}

// allProcesses asks for the processes of every instance of the jobs.
func (c *command) allProcesses(jobs []*jobReport) ([][][]processReport, error) {
	var requests []api.Request
	for _, report := range jobs {
		for _, in := range report.Instances {
			requests = append(requests, api.Request{Path: api.InstancePath(report.Name, in.Name),
				Interface: api.InstanceExtension, Member: "GetProcesses"})
		}
	}
	replies, err := c.callAll("for session-init to answer", requests...)
	if err != nil {
		return nil, err
	}
	out := make([][][]processReport, len(jobs))
	for i, report := range jobs {
		for range report.Instances {
			var list []processReport
			if reply := replies[0]; reply.Err == nil && len(reply.Body) == 1 {
				entries, _ := reply.Body[0].([]any)
				list = readProcesses(entries)
			}
			out[i], replies = append(out[i], list), replies[1:]
		}
	}
	return out, nil
}

// clock translates the daemon's times into those of the wall.
type clock struct {
	now  uint64 // microseconds of the daemon's clock
	wall time.Time
}

func readClock(why map[string]any) clock {
	now, _ := why["now"].(uint64)
	wall, _ := why["wall"].(uint64)
	return clock{now, time.UnixMicro(int64(wall))}
}

// time gives the time of a value of Why, or none.
func (c clock) time(value any) time.Time {
	at, ok := value.(uint64)
	if !ok || at == 0 || at > c.now {
		return time.Time{}
	}
	return c.wall.Add(-time.Duration(c.now-at) * time.Microsecond)
}

// listReport is list with --long or --json.
func (c *command) listReport(paths []string) error {
	jobs, err := c.reportJobs(paths)
	if err != nil {
		return err
	}
	if c.options.long {
		if err := c.measure(jobs); err != nil {
			return err
		}
	}
	if c.options.json {
		return c.encodeJobs(jobs)
	}
	c.listLong(jobs)
	return nil
}

func (c *command) encodeJobs(jobs []*jobReport) error {
	if jobs == nil {
		jobs = []*jobReport{}
	}
	return c.encode(jobsReport{Version: jsonVersion, Jobs: jobs})
}

// statusJSON is status of a job with --json.
func (c *command) statusJSON(name string) error {
	jobs, err := c.reportJobs([]string{api.JobPath(name)})
	if err == nil && len(jobs) == 0 {
		_, err = c.manager("GetJobByName", name)
	}
	if err != nil {
		return err
	}
	return c.encodeJobs(jobs)
}

// instanceJSON is the status of one instance with --json: the job with no
// other, and with none when it has gone.
func (c *command) instanceJSON(name, instance string) error {
	jobs, err := c.reportJobs([]string{api.JobPath(name)})
	if err != nil {
		return err
	}
	for _, report := range jobs {
		report.Instances = slices.DeleteFunc(report.Instances, func(in instanceReport) bool { return in.Name != instance })
	}
	return c.encodeJobs(jobs)
}
