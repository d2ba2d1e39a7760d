package engine

import (
	"maps"
	"slices"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Descriptors that come with events: the engine knows each by a number, which
// the loop chooses. One is kept as long as the event is not over, or somebody
// has it whom the event started: an instance has it from its start on, over
// respawns, until another start brings something else, or it comes to rest.

// keepFiles counts one more who has these.
func (e *Engine) keepFiles(files ...uint64) {
	for _, file := range files {
		if file == 0 {
			continue
		}
		if e.files == nil {
			e.files = make(map[uint64]int)
		}
		e.files[file]++
	}
}

// dropFiles counts one less; what nobody has any more is closed.
func (e *Engine) dropFiles(files ...uint64) {
	for _, file := range files {
		switch {
		case file == 0:
		case e.files[file] > 1:
			e.files[file]--
		default:
			delete(e.files, file)
			e.do(DropFile{File: file})
		}
	}
}

// filesOf are those that came with events.
func filesOf(evs []*events.Event) (out []uint64) {
	for _, ev := range evs {
		if ev.File != 0 {
			out = append(out, ev.File)
		}
	}
	return out
}

// filesFor are those that a process of the instance gets.
func (in *instance) filesFor(kind job.ProcessKind) []uint64 {
	if kind != job.Main {
		return nil
	}
	return in.files
}

// begin has a start come into force when the instance enters starting.
func (e *Engine) begin(in *instance, newer *beginning) {
	e.keepFiles(newer.files...)
	if in.newer != nil {
		e.dropFiles(in.newer.files...)
	}
	in.newer = newer
}

// forgetFiles is called when an instance has come to rest.
func (e *Engine) forgetFiles(in *instance) {
	e.dropFiles(in.files...)
	if in.newer != nil {
		e.dropFiles(in.newer.files...)
	}
}

// Files are the descriptors that came with events and are somebody's, by
// number; see Emit.
func (e *Engine) Files() []uint64 { return slices.Sorted(maps.Keys(e.files)) }
