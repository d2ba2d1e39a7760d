package conf

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/session-init/session-init/session/job"
)

// inForce is the definition of a job that was given out last.
type inForce struct {
	// source is the file it is from, base what that file alone says, and
	// index the search directory whose turn it was.
	source *file
	base   *job.Class
	index  uint16
	// tried is the override that stands beside the source, applied the one
	// that is in force with it: the same, or nil if it is broken.
	tried, applied *file
}

// A resolver decides which files define each job. It belongs to the
// Watcher's goroutine and reads nothing.
//
// Nearly all jobs have one file, and the definition in it is in force: of
// these only the file is held, which says so itself.
type resolver struct {
	log     Logger
	parse   func(name, path string, text []byte) (*job.Class, []job.Problem)
	apply   func(class *job.Class, path string, text []byte) (*job.Class, []job.Problem)
	entries Entries

	// one holds the file of each job that has just one, several the others'
	// in their order.
	one     map[string]*file
	several map[string][]*file
	// force holds what is in force where no file says so.
	force map[string]*inForce
	// advice is what was said of each job whose first file is broken.
	advice map[string]string
}

func newResolver(opts Options) *resolver {
	return &resolver{
		log: opts.Logger, parse: opts.Parse, apply: opts.Apply, entries: opts.Entries,
		one:     make(map[string]*file),
		several: make(map[string][]*file),
		force:   make(map[string]*inForce),
		advice:  make(map[string]string),
	}
}

// files returns the files of a job, the search directories in their order,
// and in each job files before overrides, that which counts first. The list
// must not be changed.
func (r *resolver) files(name string) []*file {
	if f := r.one[name]; f != nil {
		return []*file{f}
	}
	return r.several[name]
}

func order(a, b *file) int {
	return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(a.kind, b.kind), a.before(b.place))
}

// update takes in what a tree has found to be other than before, sorted by
// job, and adds the jobs to names.
func (r *resolver) update(changed []replaced, names map[string]bool) {
	if len(r.one) == 0 {
		r.one = make(map[string]*file, len(changed))
	}
	for len(changed) > 0 {
		n := 1
		name := changed[0].file().name
		for n < len(changed) && changed[n].file().name == name {
			n++
		}
		r.exchange(name, changed[:n])
		changed = changed[n:]
		names[name] = true
	}
}

// exchange takes in changes of one job's files, in one search directory.
func (r *resolver) exchange(name string, changed []replaced) {
	before := r.files(name)
	after := slices.Clone(before)
	for _, c := range changed {
		if c.before != nil {
			r.keepInForce(c.before)
			after = slices.DeleteFunc(after, func(f *file) bool { return f == c.before })
		}
		if c.after != nil {
			after = append(after, c.after)
		}
	}
	delete(r.one, name)
	delete(r.several, name)
	switch len(after) {
	case 0:
	case 1:
		r.one[after[0].name] = after[0]
	default:
		slices.SortFunc(after, order)
		r.several[after[0].name] = after
		r.tellUnused(name, changed[0].file().index, before, after)
	}
}

// tellUnused says which files of one search directory define a job that
// another one there defines first, unless it has said so.
func (r *resolver) tellUnused(name string, index uint16, before, after []*file) {
	told, now := defining(before, index), defining(after, index)
	for i := 1; i < len(now); i++ {
		if i < len(told) && told[i].path == now[i].path && told[0].path == now[0].path {
			continue
		}
		r.log.Warn(fmt.Sprintf("%s: not used: %s defines the job %s as well", now[i].path, now[0].path, name))
	}
}

// defining returns the job files of one search directory.
func defining(files []*file, index uint16) []*file {
	var list []*file
	for _, f := range files {
		if f.index == index && f.kind.defines() {
			list = append(list, f)
		}
	}
	return list
}

// keepInForce writes down that the definition in f is in force, should it be:
// f itself is about to go.
func (r *resolver) keepInForce(f *file) {
	if f.inForce {
		f.inForce = false
		r.force[f.name] = &inForce{source: f, base: f.class, index: f.index}
	}
}

// give says that now is in force, nil for nothing.
func (r *resolver) give(name string, files []*file, now *inForce) {
	delete(r.force, name)
	if now == nil {
		return
	}
	f := now.source
	if now.tried == nil && now.base == f.class && now.index == f.index && slices.Contains(files, f) {
		f.inForce = true
		return
	}
	r.force[f.name] = now
}

// resolve returns what has changed for a job, if anything has.
func (r *resolver) resolve(name string) (change Change, changed bool) {
	files := r.files(name)
	for _, f := range files {
		r.keepInForce(f)
	}
	before := r.force[name]
	now, advice := r.choose(name, files, before)
	if r.advice[name] != advice {
		if advice != "" {
			r.log.Warn(advice)
			r.advice[name] = advice
		} else {
			delete(r.advice, name)
		}
	}
	if now == nil {
		r.give(name, files, nil)
		if before == nil {
			return Change{}, false
		}
		r.log.Debug("job " + name + " is defined no more")
		return Change{Drop: name}, true
	}

	now.tried = overrideOf(files, now.index)
	same := before != nil && now.source.same(before.source)
	if same {
		now.base = before.base
		if now.tried.same(before.tried) {
			now.tried, now.applied = before.tried, before.applied
			r.give(name, files, now)
			return Change{}, false
		}
	}
	class := now.base
	now.applied = nil
	if over := now.tried; over != nil {
		if laid := r.lay(over, class); laid != nil {
			class, now.applied = laid, over
		}
	}
	r.give(name, files, now)
	if same && now.applied.same(before.applied) {
		return Change{}, false
	}
	if now.applied != nil {
		r.log.Debug("job "+name+" is defined", "path", now.source.path, "override", now.applied.path)
	} else {
		r.log.Debug("job "+name+" is defined", "path", now.source.path)
	}
	return Change{Set: class}, true
}

// choose finds the file that defines a job: the first of its name. If that
// is broken and the job has a definition, the file which that is from goes
// on to count, in its last good form; without one, the next that is good
// counts. nil is returned if none does; advice is what the user should know.
func (r *resolver) choose(name string, files []*file, before *inForce) (now *inForce, advice string) {
	var first *file
	var rest []*inForce
	for _, f := range files {
		if !f.kind.defines() {
			continue
		}
		c := &inForce{source: f, index: f.index}
		if first != nil {
			rest = append(rest, c)
			continue
		}
		first = f
		if r.good(f) {
			c.base = f.class
			return c, ""
		}
		if f.gone {
			return nil, ""
		}
		rest = append(rest, c)
	}
	if first == nil {
		return nil, ""
	}
	broken := "job " + name + ": " + first.path + " is broken; "
	if before != nil {
		for _, c := range rest {
			if c.source.path != before.source.path {
				continue
			}
			if r.good(c.source) {
				c.base = c.source.class
				return c, broken + c.source.path + " is used instead"
			}
			kept := *before
			kept.index = c.index
			return &kept, broken + "its last good definition stays"
		}
	}
	for _, c := range rest[1:] {
		if r.good(c.source) {
			c.base = c.source.class
			return c, broken + c.source.path + " is used instead"
		}
	}
	return nil, ""
}

// overrideOf returns the override among files for a job that is defined in
// the search directory of that index, or nil: the first one there or earlier.
func overrideOf(files []*file, index uint16) *file {
	for _, f := range files {
		if f.kind == overrideFile && f.index <= index {
			return f
		}
	}
	return nil
}

// good tells whether f defines a job. Its text is looked at once, and only
// when somebody asks, so that what nobody uses is not complained about.
func (r *resolver) good(f *file) bool {
	if f.parsed {
		return f.class != nil
	}
	f.parsed = true
	if f.faulty {
		r.log.Error(f.path + ": cannot read the job file: " + f.aside.fault)
		return false
	}
	var class *job.Class
	var problems []job.Problem
	if f.kind == entryFile {
		class, f.gone, problems = r.entries.make(f.path, f.aside.text)
	} else {
		class, problems = r.parse(f.name, f.path, f.aside.text)
	}
	f.aside = nil
	if !r.report(problems, true) {
		f.class = class
	}
	return f.class != nil
}

// lay returns class with the override over it, or nil if that is broken.
func (r *resolver) lay(over *file, class *job.Class) *job.Class {
	told := over.parsed
	over.parsed = true
	if over.faulty {
		if !told {
			r.log.Error(over.path + ": cannot read the override, it is not applied: " + over.aside.fault)
		}
		return nil
	}
	laid, problems := r.apply(class, over.path, over.aside.text)
	if r.report(problems, !told) || laid == nil {
		if !told {
			r.log.Warn("job " + over.name + ": " + over.path + " is broken and not applied")
		}
		return nil
	}
	return laid
}

// report logs problems, if tell is set, and tells whether one of them is an
// error.
func (r *resolver) report(problems []job.Problem, tell bool) (broken bool) {
	for _, p := range problems {
		broken = broken || !p.Warning
		if !tell {
			continue
		}
		if p.Warning {
			r.log.Warn(sentence(p))
		} else {
			r.log.Error(sentence(p))
		}
	}
	return broken
}

// sentence writes a problem as compilers do, without what is not known.
func sentence(p job.Problem) string {
	switch {
	case p.Line == 0:
		return fmt.Sprintf("%s: %s", p.Path, p.Msg)
	case p.Col == 0:
		return fmt.Sprintf("%s:%d: %s", p.Path, p.Line, p.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Path, p.Line, p.Col, p.Msg)
}
