package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/lint"
)

// maxHopeless bounds the reasons why a condition cannot come true, maxProblems
// the mistakes of files.
const (
	maxHopeless = 2
	maxProblems = 8
)

// readFiles adds what the files of the job say: where each stanza stands,
// mistakes, and other files of that name.
func (q *whyQuestion) readFiles(w *whyJob) {
	q.readPlaces(w)
	if w.definition.file == "" {
		return // session-init makes it itself
	}
	class, _, err := w.definition.ofFiles(q.readJobText)
	switch {
	case err != nil:
		w.Problems = append(w.Problems, fmt.Sprint(err))
		w.otherReason = "its files cannot be used as they are; what was good before holds"
	case !w.Changed && !bytes.Equal(job.Print(class), w.definition.text):
		w.Problems = append(w.Problems, "the files say something else by now: "+q.again("sctl reload-configuration")+" reads them")
	}
	q.otherFiles(w)
	if err == nil && w.Failure != nil {
		w.Problems = append(w.Problems, w.searched(class)...)
		w.Problems = append(w.Problems, q.doubts(w)...)
	}
	if len(w.Instances) == 0 && w.StartOn != nil && err == nil {
		w.Problems = append(w.Problems, q.hopeless(w)...)
	}
}

// searched says where the program of a job that failed for the lack of it was
// looked for, when the job's own words say where.
func (w *whyJob) searched(class *job.Class) []string {
	_, program, missing := strings.Cut(w.Failure.Reason, "cannot execute ")
	program, _, named := strings.Cut(program, ": ")
	if !missing || !named || strings.Contains(program, "/") {
		return nil
	}
	for _, entry := range slices.Backward(class.Env) {
		if search, ok := strings.CutPrefix(entry, "PATH="); ok {
			return []string{"programs are looked for in its PATH, " + search}
		}
	}
	return nil
}

// doubts are what is right by the rules in a job's files and most likely not
// meant.
func (q *whyQuestion) doubts(w *whyJob) []string {
	r := newReading()
	if r.load(q.dirs()) != nil {
		return nil
	}
	var out []string
	for _, path := range []string{w.File, w.Override} {
		for _, f := range r.found[path] {
			if f.Warning && len(out) < maxHopeless {
				out = append(out, fmt.Sprintf("%s:%d:%d: %s", f.Path, f.Line, f.Col, f.Msg))
			}
		}
	}
	return out
}

// readPlaces adds what the definition in force says, and where each stanza
// stands.
func (q *whyQuestion) readPlaces(w *whyJob) {
	inForce, _ := job.Parse(w.Job, w.File, w.definition.text)
	if inForce == nil {
		inForce = job.NewClass(w.Job)
	}
	w.Task = inForce.Task
	if name, ok := strings.CutPrefix(inForce.Instance, "$"); ok && isVariable(strings.Trim(name, "{}")) {
		w.variable = strings.Trim(name, "{}")
	}
	w.guesses = inForce.Expect.Settles() && inForce.ReadyTimeout <= 0
	w.places = map[string]string{}
	said, _ := w.definition.said(q.readJobText)
	for _, s := range said {
		if s.Path == "" {
			continue
		}
		place := fmt.Sprintf("%s:%d", s.Path, s.Line)
		w.places[s.Text] = place
		words := strings.Fields(s.Text)
		for n := min(len(words), 2); n > 0; n-- {
			w.places[strings.Join(words[:n], " ")] = place
		}
	}
	if w.StartOn != nil {
		w.StartOn.Place = w.places["start on"]
	} else {
		w.Manual = w.places["manual"]
		w.keptFromLogins = inForce.Manual != nil && slices.ContainsFunc(inForce.Manual.Nodes, func(n events.Node) bool {
			return n.Op == events.OpMatch && n.Match.Name == sessionStart
		})
	}
}

func isVariable(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) < 0
}

// dirs are the directories that session-init reads, as far as the places of its
// jobs tell: those of the user unless no job is from there, and others.
func (q *whyQuestion) dirs() []conf.Dir {
	usual := q.jobDirs()
	var others []conf.Dir
	ofUser := false
	for _, file := range q.someFiles() {
		switch dir := (conf.Dir{Path: rootOf(file.job, file.path)}); {
		case !filepath.IsAbs(file.path):
		case searched(file.path, usual) != "":
			ofUser = true
		case !slices.Contains(others, dir):
			others = append(others, dir)
		}
	}
	if len(others) > 0 && !ofUser {
		return others
	}
	return append(usual, others...)
}

// rootOf gives the directory that was searched when the file of a job was
// found in it: a job net/dhcp is one level down.
func rootOf(name, file string) string {
	root := filepath.Dir(file)
	for range strings.Count(name, "/") {
		root = filepath.Dir(root)
	}
	return root
}

// otherFiles finds the files of that name that do not count.
func (q *whyQuestion) otherFiles(w *whyJob) {
	for _, dir := range q.jobDirs() {
		path := filepath.Join(dir.Path, w.Job+".conf")
		if path == w.File || w.File == "" {
			continue
		}
		if _, err := os.Stat(path); err == nil {
			w.OtherFiles = append(w.OtherFiles, path)
		}
	}
}

// hopeless says why the condition can never come true, if that can be seen.
func (q *whyQuestion) hopeless(w *whyJob) []string {
	r := newReading()
	if r.load(q.dirs()) != nil {
		return nil
	}
	came := func(text string) bool {
		return slices.ContainsFunc(w.StartOn.Operands, func(o whyOperand) bool {
			return o.Last != nil && strings.Contains(text, "'"+strings.Join(o.Words, " ")+"'")
		})
	}
	var out []string
	for _, f := range lint.Check(r.jobs(), q.lintWorld()) {
		never := f.Rule == lint.NeverStarts || f.Rule == lint.NeverMatches || f.Rule == lint.Cycle || f.Rule == lint.UnknownEvent
		if f.Job == w.Job && never && !came(f.Msg) && len(out) < maxHopeless && strings.HasPrefix(w.StartOn.Place, fmt.Sprintf("%s:%d", f.Path, f.Line)) {
			out = append(out, fmt.Sprintf("%s:%d:%d: %s", f.Path, f.Line, f.Col, f.Msg))
		}
	}
	return out
}

// whyFile is a file that should define a job and does not.
type whyFile struct {
	Job      string    `json:"job"`
	Problems []string  `json:"problems"`
	Next     []whyNext `json:"next"`
}

// noJob answers for a word that is no job: it may be an event, or the name of
// a file with mistakes.
func (q *whyQuestion) noJob(err error) (*whyReport, error) {
	if !q.byName && len(q.env) == 0 {
		about, eventErr := q.event()
		if eventErr != nil {
			return nil, eventErr
		}
		if about != nil {
			return &whyReport{Time: moment{about.wall}, Event: about}, nil
		}
	}
	if problems := q.broken(); len(problems) > 0 {
		return &whyReport{Broken: &whyFile{q.job, problems, []whyNext{
			{"sctl check-config " + q.job, "shows the lines"}, {"sctl edit " + q.job, "mends them"}}}}, nil
	}
	return nil, q.unknown(q.job, err)
}

// broken gives the mistakes for which there is no job of that name.
func (q *whyQuestion) broken() []string {
	r := newReading()
	if r.load(q.dirs()) != nil {
		return nil
	}
	var out []string
	for _, path := range slices.Sorted(maps.Keys(r.about)) {
		if r.about[path] != q.job {
			continue
		}
		for _, f := range r.found[path] {
			if !f.Warning {
				out = append(out, f.Error())
			}
		}
	}
	return out[:min(len(out), maxProblems)]
}

type jobPlace struct{ job, path string }

// maxAsked bounds the jobs that are asked where their files are.
const maxAsked = 64

// someFiles gives where the files of some jobs are: of a session-init that was
// started with --confdir nothing else tells.
func (q *whyQuestion) someFiles() []jobPlace {
	paths, err := q.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	if err != nil {
		return nil
	}
	paths = paths[:min(len(paths), maxAsked)]
	requests := make([]api.Request, len(paths))
	for i, path := range paths {
		requests[i] = api.Request{Path: path, Interface: api.JobExtension, Member: "GetDefinition"}
	}
	replies, err := q.callAll("for session-init to answer", requests...)
	if err != nil {
		return nil
	}
	var out []jobPlace
	for i, reply := range replies {
		name, _, _, _ := api.ParsePath(paths[i])
		if d, err := readDefinition(name, reply.Body); reply.Err == nil && err == nil {
			out = append(out, jobPlace{name, d.file})
		}
	}
	return out
}

// lastLog gives the end of the log of the instance that is told of.
func (q *whyQuestion) lastLog(w *whyJob) *whyLog {
	path := ""
	switch {
	case len(w.Instances) == 1:
		path = w.Instances[0].log
	case len(w.Instances) == 0:
		var err error
		path, err = q.callString(api.JobPath(w.Job), api.PropertiesInterface, "Get", api.JobExtension, "log")
		if err != nil {
			return nil
		}
		if w.Rest != nil && w.Rest.Instance != "" && path != "" {
			path = strings.TrimSuffix(path, ".log") + "-" + logStem(w.Rest.Instance) + ".log"
		}
	}
	if path == "" {
		return nil
	}
	out := &whyLog{File: path, Lines: []string{}}
	text, at, err := logTail(path)
	if err != nil || len(text) == 0 {
		return nil
	}
	out.Written = moment{at}
	for _, line := range lastLines([][]byte{text}, maxLogLines) {
		out.Lines = append(out.Lines, colourless(line))
	}
	return out
}

// tailBytes is how much of a log is read: it may be large.
const tailBytes = 64 << 10

// logTail reads the end of a log, and says when it was written to.
func logTail(path string) (text []byte, at time.Time, err error) {
	file, err := openLog(path)
	if err != nil {
		return nil, at, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, at, err
	}
	if _, err := file.Seek(max(dataStart(file), info.Size()-tailBytes), io.SeekStart); err != nil {
		return nil, at, err
	}
	text, err = io.ReadAll(io.LimitReader(file, tailBytes))
	return text, info.ModTime(), err
}

// colourless gives a line without its colours.
func colourless(line string) string {
	line = strings.ToValidUTF8(strings.TrimRight(line, " \r\n"), "?")
	var out strings.Builder
	for line != "" {
		if n := colourLength(line); n > 0 {
			line = line[n:]
			continue
		}
		out.WriteByte(line[0])
		line = line[1:]
	}
	return out.String()
}
