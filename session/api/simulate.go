package api

import (
	"fmt"

	"github.com/session-init/session-init/session/wire"
)

// Question is one thing that Simulate is asked about: a verb (emit, start,
// stop, force-stop, restart, define, remove), an event or a job, its
// variables, and for define the text of the job file.
type Question struct {
	Verb, Name string
	Env        []string
	Text       string
}

// Questions are asked one after the other.
type Questions []Question

// Signature is the type of the argument; see wire.Encoder.
func (Questions) Signature() string { return "a(ssass)" }

// Encode writes them.
func (q Questions) Encode(w *wire.Writer) {
	array := w.Array('(')
	for _, question := range q {
		w.Struct()
		w.String(question.Verb)
		w.String(question.Name)
		w.Strings(question.Env)
		w.String(question.Text)
	}
	w.EndArray(array)
}

// Simulate is the request for what would come of questions, in at most so many
// lines; 0 is the daemon's own bound. Foresight reads its reply.
func Simulate(questions []Question, assume []string, lines uint32) Request {
	return Request{Path: ManagerPath, Interface: ManagerExtension, Member: "Simulate", Args: []any{Questions(questions), append([]string{}, assume...), lines}}
}

// Foreseen is one thing that would happen.
type Foreseen struct {
	At                                 int64 // microseconds from now
	Kind, Job, Instance, Process, Text string
	Words                              []string
	Cause                              int // the number of the line, from 0, that it came of; -1 for none
}

// Foresight is the reply to Simulate.
type Foresight struct {
	Lines    []Foreseen
	Assumed  []string
	Complete bool // all has come to rest within the bound
}

// Foresight reads the reply.
func (r Reply) Foresight() (f Foresight, err error) {
	if r.Err != nil {
		return f, r.Err
	}
	wrong := fmt.Errorf("cannot read what would happen: the answer has another type")
	if len(r.Body) != 3 {
		return f, wrong
	}
	var ok [3]bool
	var list []any
	list, ok[0] = r.Body[0].([]any)
	f.Assumed, ok[1] = r.Body[1].([]string)
	f.Complete, ok[2] = r.Body[2].(bool)
	if ok != [3]bool{true, true, true} {
		return f, wrong
	}
	for i, entry := range list {
		fields, _ := entry.([]any)
		if len(fields) != 8 {
			return f, wrong
		}
		var line Foreseen
		var ok [8]bool
		line.At, ok[0] = fields[0].(int64)
		for k, text := range [...]*string{&line.Kind, &line.Job, &line.Instance, &line.Process, &line.Text} {
			*text, ok[k+1] = fields[k+1].(string)
		}
		line.Words, ok[6] = fields[6].([]string)
		var cause int32
		cause, ok[7] = fields[7].(int32)
		line.Cause = int(cause)
		// A cause stands before what came of it: whoever follows them comes to
		// an end.
		if ok != [8]bool{true, true, true, true, true, true, true, true} || line.Cause >= i || line.Cause < -1 {
			return f, wrong
		}
		f.Lines = append(f.Lines, line)
	}
	return f, nil
}
