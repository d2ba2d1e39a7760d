package conf

import (
	"maps"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/desktop"
	"github.com/session-init/session-init/session/job"
)

// applications follows which desktop entries step back, since another job that
// starts by itself is the same application. It belongs to the Watcher's
// goroutine.
type applications struct {
	entries map[string]*job.Class // as the files have them, by name of the job
	yields  map[string]string     // the job instead, by name of the entry's
	names   map[string][]string   // of jobs that start by themselves, by name of the job
	jobs    map[string][]string   // the opposite, sorted
}

func newApplications() applications {
	return applications{make(map[string]*job.Class), make(map[string]string), make(map[string][]string), make(map[string][]string)}
}

// settle replaces, in changes, the jobs of entries that step back, and adds
// those that do so, or do not any more, since something else has changed.
func (a *applications) settle(changes []Change) []Change {
	touched := make(map[string]bool) // names of applications
	at := make(map[string]int)
	for i, c := range changes {
		name := c.Name()
		at[name] = i
		if a.entries[name] != nil || c.Set != nil && isEntryJob(c.Set) {
			delete(a.entries, name)
			delete(a.yields, name)
		}
		if c.Set != nil && isEntryJob(c.Set) {
			a.entries[name] = c.Set
			for _, known := range desktop.Names(c.Set) {
				touched[known] = true
			}
			a.know(name, nil, touched)
			continue
		}
		a.know(name, c.Set, touched)
	}
	if len(touched) == 0 || len(a.entries) == 0 {
		return changes
	}
	added := false
	for _, name := range slices.Sorted(maps.Keys(a.entries)) {
		class := a.entries[name]
		known := desktop.Names(class)
		if !slices.ContainsFunc(known, func(n string) bool { return touched[n] }) {
			continue
		}
		to := a.instead(known)
		i, changed := at[name]
		switch {
		case !changed && to == a.yields[name]:
			continue
		case !changed:
			i = len(changes)
			changes, added = append(changes, Change{}), true
		}
		changes[i] = Change{Set: class}
		delete(a.yields, name)
		if to != "" {
			a.yields[name] = to
			changes[i].Set = desktop.Yield(class, to)
		}
	}
	if added {
		slices.SortStableFunc(changes, func(a, b Change) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return changes
}

// isEntryJob tells whether a job is that of an entry, and starts by itself. One
// that has an override is as its user wants it.
func isEntryJob(c *job.Class) bool {
	return strings.HasSuffix(c.Path, desktop.Suffix) && strings.HasPrefix(c.Name, desktop.JobPrefix) && c.StartOn != nil && c.Override == ""
}

// know notes a job that is of no entry; nil for one that is not there, or does
// not start by itself.
func (a *applications) know(name string, class *job.Class, touched map[string]bool) {
	for _, known := range a.names[name] {
		a.jobs[known] = slices.DeleteFunc(a.jobs[known], func(n string) bool { return n == name })
		if len(a.jobs[known]) == 0 {
			delete(a.jobs, known)
		}
		touched[known] = true
	}
	delete(a.names, name)
	if class == nil || class.StartOn == nil || strings.HasPrefix(name, desktop.JobPrefix) {
		return
	}
	a.names[name] = desktop.Names(class)
	for _, known := range a.names[name] {
		i, _ := slices.BinarySearch(a.jobs[known], name)
		a.jobs[known] = slices.Insert(a.jobs[known], i, name)
		touched[known] = true
	}
}

// instead returns the job that is known by one of the names.
func (a *applications) instead(known []string) string {
	for _, name := range known {
		if jobs := a.jobs[name]; len(jobs) > 0 {
			return jobs[0]
		}
	}
	return ""
}
