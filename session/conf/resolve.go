package conf

import (
	"fmt"
	"log/slog"

	"github.com/session-init/session-init/session/job"
)

// inForce is the definition of a job that was given out last.
type inForce struct {
	// source is the file it is from, base what that file alone says, and
	// index the source's search directory.
	source *file
	base   *job.Class
	index  int
	// tried is the override that stands beside the source, applied the one
	// that is in force with it: the same, or nil if it is broken.
	tried, applied *file
}

// A resolver decides which files define each job. It belongs to the
// Watcher's goroutine and reads nothing.
type resolver struct {
	log   *slog.Logger
	parse func(name, path string, text []byte) (*job.Class, []job.Problem)
	apply func(class *job.Class, path string, text []byte) (*job.Class, []job.Problem)

	groups []map[string]group // by search directory, then by job
	force  map[string]*inForce
	// advice is what was said of each job whose first file is broken.
	advice map[string]string
}

func newResolver(dirs int, opts Options) *resolver {
	r := &resolver{
		log: opts.Logger, parse: opts.Parse, apply: opts.Apply,
		groups: make([]map[string]group, dirs),
		force:  make(map[string]*inForce),
		advice: make(map[string]string),
	}
	for i := range r.groups {
		r.groups[i] = make(map[string]group)
	}
	return r
}

// update takes in what a tree found about one job.
func (r *resolver) update(index int, name string, g group) {
	before := r.groups[index][name]
	if g.empty() {
		delete(r.groups[index], name)
	} else {
		r.groups[index][name] = g
	}
	if len(g.confs) < 2 {
		return
	}
	for i, f := range g.confs[1:] {
		if i+1 < len(before.confs) && before.confs[i+1].path == f.path && before.confs[0].path == g.confs[0].path {
			continue
		}
		r.log.Warn(fmt.Sprintf("%s: not used: %s defines the job %s as well", f.path, g.confs[0].path, name))
	}
}

// resolve returns what has changed for a job, if anything has.
func (r *resolver) resolve(name string) (change Change, changed bool) {
	before := r.force[name]
	now, advice := r.choose(name, before)
	if r.advice[name] != advice {
		if advice != "" {
			r.log.Warn(advice)
			r.advice[name] = advice
		} else {
			delete(r.advice, name)
		}
	}
	if now == nil {
		if before == nil {
			return Change{}, false
		}
		delete(r.force, name)
		r.log.Debug("job " + name + " is defined no more")
		return Change{Drop: name}, true
	}

	now.tried = r.overrideOf(name, now.index)
	same := before != nil && now.source.same(before.source)
	if same {
		now.base = before.base
		if now.tried.same(before.tried) {
			now.tried, now.applied = before.tried, before.applied
			r.force[name] = now
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
	r.force[name] = now
	if same && now.applied.same(before.applied) {
		return Change{}, false
	}
	attrs := []any{"path", now.source.path}
	if now.applied != nil {
		attrs = append(attrs, "override", now.applied.path)
	}
	r.log.Debug("job "+name+" is defined", attrs...)
	return Change{Set: class}, true
}

// choose finds the file that defines a job: the first of its name. If that
// is broken and the job has a definition, the file which that is from goes
// on to count, in its last good form; without one, the next that is good
// counts. nil is returned if none does; advice is what the user should know.
func (r *resolver) choose(name string, before *inForce) (now *inForce, advice string) {
	var first *file
	var rest []*inForce
	for i := range r.groups {
		for _, f := range r.groups[i][name].confs {
			c := &inForce{source: f, index: i}
			if first != nil {
				rest = append(rest, c)
				continue
			}
			first = f
			if r.good(f) {
				c.base = f.class
				return c, ""
			}
			rest = append(rest, c)
		}
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

// overrideOf returns the override for a job that is defined in the search
// directory of that index, or nil: the first one there or earlier.
func (r *resolver) overrideOf(name string, index int) *file {
	for _, groups := range r.groups[:index+1] {
		if list := groups[name].overrides; len(list) > 0 {
			return list[0]
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
	if f.fault != "" {
		r.log.Error(f.path + ": cannot read the job file: " + f.fault)
		return false
	}
	class, problems := r.parse(f.name, f.path, f.text)
	f.text = nil
	if !r.report(problems, true) {
		f.class = class
	}
	return f.class != nil
}

// lay returns class with the override over it, or nil if that is broken.
func (r *resolver) lay(over *file, class *job.Class) *job.Class {
	told := over.parsed
	over.parsed = true
	if over.fault != "" {
		if !told {
			r.log.Error(over.path + ": cannot read the override, it is not applied: " + over.fault)
		}
		return nil
	}
	laid, problems := r.apply(class, over.path, over.text)
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
