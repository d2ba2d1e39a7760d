package conf

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/desktop"
	"github.com/session-init/session-init/session/job"
)

// Entries says how jobs are made of desktop entries.
type Entries struct {
	// Locale is that of names and descriptions, as LC_MESSAGES has it.
	Locale string
	// Event begins the first phase; desktop.SessionStart if it is empty.
	Event string
	// Inherit: the desktop is the one in the daemon's own environment, since
	// the event does not say.
	Inherit bool
}

// Locale gives the locale of messages; env gives the value of an environment
// variable, as locale(7) has it.
func Locale(env func(string) string) string {
	return cmp.Or(env("LC_ALL"), env("LC_MESSAGES"), env("LANG"))
}

// make makes a job of a desktop entry. Warnings about the form of other
// people's files are left out: there is a verb that shows them.
func (e Entries) make(path string, text []byte) (class *job.Class, gone bool, problems []job.Problem) {
	made, problems := desktop.Make(path, text, e.Locale)
	return made.Class, made.Gone, slices.DeleteFunc(problems, func(p job.Problem) bool { return p.Warning })
}

// EntryFiles gives the paths of the desktop entries in directories, those that
// count more first. A directory that is not there has none; the error tells of
// others that cannot be read.
func EntryFiles(dirs []Dir) (paths []string, err error) {
	for _, dir := range dirs {
		list, listErr := readDir(dir.Path)
		if listErr != nil && !absent(listErr) {
			err = errors.Join(err, fmt.Errorf("cannot read %s: %s", dir.Path, why(listErr)))
		}
		for _, item := range list {
			if path := filepath.Join(dir.Path, item.Name()); dir.classify(path).kind == entryFile {
				paths = append(paths, path)
			}
		}
	}
	return paths, err
}

// phases follows which phases the jobs of desktop entries start in, and gives
// each of these a job. It belongs to the Watcher's goroutine.
type phases struct {
	entries Entries
	used    map[string]desktop.Phase // by job
	jobs    map[string]*job.Class    // in force, by name
	same    applications
}

func newPhases(entries Entries) *phases {
	if entries.Event == "" {
		entries.Event = desktop.SessionStart
	}
	return &phases{entries: entries, used: make(map[string]desktop.Phase), jobs: make(map[string]*job.Class), same: newApplications()}
}

// settle adds to changes, sorted by name, what they change of the phases and
// of other entries.
func (p *phases) settle(changes []Change) []Change {
	changes = p.same.settle(changes)
	dirty := false
	for _, c := range changes {
		before, was := p.used[c.Name()]
		phase, is := desktop.PhaseOf(c.Set)
		if was == is && before == phase {
			continue
		}
		dirty = true
		delete(p.used, c.Name())
		if is {
			p.used[c.Name()] = phase
		}
	}
	if !dirty {
		return changes
	}
	jobs := make(map[string]*job.Class)
	for _, class := range desktop.PhaseJobs(slices.Sorted(maps.Values(p.used)), p.entries.Event, p.entries.Inherit) {
		jobs[class.Name] = class
	}
	for _, name := range slices.Sorted(maps.Keys(p.jobs)) {
		if jobs[name] == nil {
			changes = append(changes, Change{Drop: name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(jobs)) {
		if before := p.jobs[name]; before != nil && before.StartOn.String() == jobs[name].StartOn.String() {
			jobs[name] = before
		} else {
			changes = append(changes, Change{Set: jobs[name]})
		}
	}
	p.jobs = jobs
	slices.SortStableFunc(changes, func(a, b Change) int { return strings.Compare(a.Name(), b.Name()) })
	return changes
}
