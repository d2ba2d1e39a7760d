package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/lint"
)

// The rules under which the problems of single texts are told; those of the
// whole set are package lint's.
const (
	ruleSyntax   lint.Rule = "syntax"   // an error: the file defines no job
	ruleDoubtful lint.Rule = "doubtful" // right by the rules, and hardly meant
	ruleFiles    lint.Rule = "files"    // what keeps a file from counting
)

// checkConfig reads job files as the daemon would, and tells what is wrong
// with them. As initctl it asks the daemon for the jobs that it has, as
// Upstart's does.
func checkConfig(c *command) error {
	if c.style.isInitctl() {
		return c.checkConditions()
	}
	c.doing, c.awaited = "check the job files", "for job files to be read"
	type result struct {
		report *checkReport
		err    error
	}
	done := make(chan result, 1)
	go func() {
		report, err := c.gather()
		done <- result{report, err}
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return r.err
		}
		return c.printReport(r.report)
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
}

// gather reads and judges.
func (c *command) gather() (*checkReport, error) {
	chosen, err := c.choose()
	if err != nil {
		return nil, err
	}
	dirs := c.flagDirs()
	var further []string
	for _, dir := range chosen.dirs {
		if searched(dir, dirs) == "" {
			further = append(further, dir)
		}
	}
	dirs = conf.FromFlags(dirs, nil, further, nil)
	r := newReading()
	if err := r.load(dirs); err != nil {
		return nil, err
	}
	r.neighbours(chosen.files, dirs)
	for _, path := range chosen.files {
		if err := r.file(path, dirs); err != nil {
			return nil, err
		}
	}
	for _, name := range chosen.jobs {
		if !r.names[name] {
			return nil, fmt.Errorf("there is no job, file or directory '%s'", name)
		}
	}
	jobs := r.jobs()
	out := &checkReport{texts: r.texts}
	world := c.lintWorld()
	for _, name := range slices.Sorted(maps.Keys(r.names)) {
		if r.classes[name] == nil {
			world.Broken = append(world.Broken, name)
		}
	}
	found := lint.Check(jobs, world)
	for _, path := range slices.Sorted(maps.Keys(r.found)) {
		found = append(found, r.found[path]...)
	}
	if len(chosen.files)+len(chosen.jobs) == 0 {
		found = append(found, r.notes...)
	}
	counted := make(map[string]bool)
	for _, path := range slices.Sorted(maps.Keys(r.about)) {
		if name := r.about[path]; !counted[name] && (len(c.args) == 0 || chosen.has(path, name)) {
			counted[name] = true
			out.jobs++
		}
	}
	for _, f := range found {
		if f.Path == "" || len(c.args) == 0 || chosen.has(f.Path, f.Job) {
			out.found = append(out.found, f)
		}
	}
	slices.SortStableFunc(out.found, func(a, b lint.Finding) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	for i := range out.found {
		out.shorten(&out.found[i], chosen.typed)
	}
	return out, nil
}

// choice is what the arguments name: files and directories by their absolute
// paths.
type choice struct {
	files, dirs, jobs []string
	typed             []typedPath
}

// typedPath is a path of the command line, which messages repeat.
type typedPath struct{ whole, typed string }

// choose sorts the arguments. What does not exist as a path is a job, unless it
// looks like a path.
func (c *command) choose() (choice, error) {
	var out choice
	for _, arg := range c.args {
		info, err := os.Stat(arg)
		switch {
		case arg == "":
			return out, usageError("the name of a file, directory or job may not be empty")
		case err != nil && (os.IsNotExist(err) && !isPath(arg)):
			out.jobs = append(out.jobs, arg)
			continue
		case err != nil:
			return out, fmt.Errorf("%s: %w", arg, reasonOf(err))
		}
		whole, err := filepath.Abs(arg)
		if err != nil {
			return out, err
		}
		out.typed = append(out.typed, typedPath{whole, filepath.Clean(arg)})
		if info.IsDir() {
			out.dirs = append(out.dirs, whole)
		} else {
			out.files = append(out.files, whole)
		}
	}
	return out, nil
}

// isPath reports whether an argument can only be meant as a path.
func isPath(arg string) bool {
	return filepath.IsAbs(arg) || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") ||
		strings.HasSuffix(arg, ".conf") || strings.HasSuffix(arg, ".override") || strings.HasSuffix(arg, "/")
}

// has reports whether a problem is about what was chosen.
func (c *choice) has(path, name string) bool {
	if slices.Contains(c.jobs, name) {
		return true
	}
	for _, file := range c.files {
		if path == file || besides(file) == path {
			return true
		}
	}
	for _, dir := range c.dirs {
		if path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") {
			return true
		}
	}
	return false
}

// besides gives the override beside a job file, and the job file beside an
// override.
func besides(path string) string {
	if stem, ok := strings.CutSuffix(path, ".override"); ok {
		return stem + ".conf"
	}
	return strings.TrimSuffix(path, ".conf") + ".override"
}

// reading is what was read: classes, their texts, and what was said of them.
type reading struct {
	mu      sync.Mutex
	texts   map[string][]byte // by path
	about   map[string]string // the job of each path
	found   map[string][]lint.Finding
	names   map[string]bool // jobs that a file defines, or should
	classes map[string]*job.Class
	said    map[string]bool // lines of the log that found holds
	notes   []lint.Finding
}

func newReading() *reading {
	return &reading{
		texts:   make(map[string][]byte),
		about:   make(map[string]string),
		found:   make(map[string][]lint.Finding),
		names:   make(map[string]bool),
		classes: make(map[string]*job.Class),
		said:    make(map[string]bool),
	}
}

// load reads directories as the daemon does.
func (r *reading) load(dirs []conf.Dir) error {
	w := conf.New(dirs, conf.Options{Logger: note{r}, Parse: r.parse, Apply: r.apply},
		func(changes []conf.Change) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, change := range changes {
				if change.Set != nil {
					r.classes[change.Set.Name] = change.Set
				}
			}
		})
	err := w.Load()
	w.Close()
	return err
}

func (r *reading) parse(name, path string, text []byte) (*job.Class, []job.Problem) {
	class, problems := job.Parse(name, path, text)
	r.keep(name, path, text, problems)
	return class, problems
}

func (r *reading) apply(class *job.Class, path string, text []byte) (*job.Class, []job.Problem) {
	laid, problems := job.Apply(class, path, text)
	r.keep(class.Name, path, text, problems)
	return laid, problems
}

// keep notes a text that was read and what is wrong with it; what was noted
// of the same file before is forgotten.
func (r *reading) keep(name, path string, text []byte, problems []job.Problem) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[name] = true
	r.texts[path], r.about[path] = bytes.Clone(text), name
	found := make([]lint.Finding, 0, len(problems))
	for _, p := range problems {
		rule := ruleSyntax
		if p.Warning {
			rule = ruleDoubtful
		}
		found = append(found, lint.Finding{Problem: p, Job: name, Rule: rule})
		r.said[fmt.Sprintf("%s:%d:%d: %s", p.Path, p.Line, p.Col, p.Msg)] = true
	}
	r.found[path] = found
}

// file reads one file, whether or not the daemon would find it, with the
// override beside it.
func (r *reading) file(path string, dirs []conf.Dir) error {
	name, isOverride := jobOf(path, dirs)
	if class := r.classes[name]; class != nil && (class.Path == path || class.Override == path) {
		return nil // it was read, with the override that counts
	}
	text, err := conf.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, reasonOf(err))
	}
	beside, err := conf.ReadFile(besides(path))
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("%s: %w", besides(path), reasonOf(err))
	}
	file, override := path, besides(path)
	if isOverride {
		file, override = override, file
		text, beside = beside, text
		if err != nil {
			// Without its job file it defines nothing, but can be read.
			r.apply(job.NewClass(name), override, beside)
			return nil
		}
	}
	class, _ := r.parse(name, file, text)
	if class == nil && err == nil {
		// It cannot count, but what is wrong with it can be said.
		r.apply(job.NewClass(name), override, beside)
	} else if err == nil {
		if laid, _ := r.apply(class, override, beside); laid != nil {
			class = laid
		}
	}
	if class != nil {
		r.classes[name] = class
	}
	return nil
}

// neighbours reads the job files in the directories of files that the daemon
// does not look into: most likely they are meant to be together.
func (r *reading) neighbours(files []string, dirs []conf.Dir) {
	done := make(map[string]bool)
	for _, file := range files {
		dir := filepath.Dir(file)
		if done[dir] || searched(dir, dirs) != "" {
			continue
		}
		done[dir] = true
		list, err := os.ReadDir(dir)
		if err != nil {
			continue // the file itself can be read all the same
		}
		for _, item := range list {
			path := filepath.Join(dir, item.Name())
			if _, override, ok := conf.JobName(dir, path); ok && !override && !item.IsDir() {
				// What is wrong with it is not asked for.
				_ = r.file(path, dirs)
			}
		}
	}
}

// searched gives the search directory that a path is in, or "".
func searched(path string, dirs []conf.Dir) string {
	for _, dir := range dirs {
		if path == dir.Path || strings.HasPrefix(path, strings.TrimSuffix(dir.Path, "/")+"/") {
			return dir.Path
		}
	}
	return ""
}

// jobOf gives the job that a file is about, as the search directory that it
// is in has it, else by the file's own name.
func jobOf(path string, dirs []conf.Dir) (name string, override bool) {
	roots := []string{filepath.Dir(path)}
	if root := searched(path, dirs); root != "" {
		roots = []string{root, roots[0]}
	}
	for _, root := range roots {
		if name, override, ok := conf.JobName(root, path); ok {
			return name, override
		}
	}
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base)), strings.HasSuffix(base, ".override")
}

// jobs gives the classes with their texts, by name.
func (r *reading) jobs() []lint.Job {
	out := make([]lint.Job, 0, len(r.classes))
	for _, name := range slices.Sorted(maps.Keys(r.classes)) {
		class := r.classes[name]
		out = append(out, lint.Job{Class: class, Text: r.texts[class.Path], Override: r.texts[class.Override]})
	}
	return out
}

// note makes problems of what the reader says of files and directories, and
// leaves out what it says of their text.
type note struct{ *reading }

func (n note) Debug(string, ...any)        {}
func (n note) Info(string, ...any)         {}
func (n note) Warn(text string, _ ...any)  { n.take(text, true) }
func (n note) Error(text string, _ ...any) { n.take(text, false) }

func (n note) take(text string, warning bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.said[text] {
		n.notes = append(n.notes, lint.Finding{Rule: ruleFiles, Problem: job.Problem{Msg: text, Warning: warning}})
	}
}
