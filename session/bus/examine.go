package bus

import (
	"os"
	"strconv"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/wire"
)

// What is looked up outside of the engine, beside it.

// maxBeside bounds the questions of clients on a bus that are looked into at a
// time.
const maxBeside = 8

// beside calls f where it may take its time: on the goroutine of the client's
// reader, which has nothing else to do meanwhile, or, since all clients on a bus
// have one reader, on one of its own.
func (c *call) beside(f func()) {
	s := c.server
	if c.conn.link == nil {
		f()
		return
	}
	if s.asides.Add(1) > maxBeside {
		s.asides.Add(-1)
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many questions are looked into: %d", maxBeside))
		return
	}
	s.guard.GoIn(&s.workers, "question of a client on the bus", func() {
		defer s.asides.Add(-1)
		defer func() {
			if v := recover(); v != nil {
				c.answer(nil, c.fault(v))
			}
		}()
		f()
	})
}

// await calls ask on the engine's goroutine for an instance that exists, and
// returns what ask hands to done, which it does some time later. ok is false
// when the call has been answered already, or the client is gone.
func await[T any](c *call, ask func(v engine.View, done func(T))) (result T, ok bool) {
	found := make(chan T, 1)
	none := make(chan struct{})
	c.server.backend.Read(func(v engine.View) {
		defer func() {
			if v := recover(); v != nil {
				c.reply(nil, c.fault(v))
				close(none)
			}
		}()
		if gone := c.object.missing(v); gone != nil {
			c.reply(nil, gone)
			close(none)
			return
		}
		ask(v, func(result T) { found <- result })
	})
	select {
	case result = <-found:
		return result, true
	case <-none:
	case <-c.conn.gone:
	case <-c.server.done:
	}
	return result, false
}

// branch is a process with its parent.
type branch struct {
	pid, parent int
	command     string
}

// branches are the value of GetProcessTree.
type branches []branch

// Signature is that of pid, parent and command line of each; see wire.Encoder.
func (branches) Signature() string { return "a(iis)" }

// Encode writes them.
func (l branches) Encode(w *wire.Writer) {
	array := w.Array('(')
	for _, b := range l {
		w.Struct()
		w.Int32(int32(b.pid))
		w.Int32(int32(b.parent))
		w.String(strings.ToValidUTF8(b.command, "?"))
	}
	w.EndArray(array)
}

// getProcessTree is the method GetProcessTree. A process that has ended
// meanwhile is left out.
func getProcessTree(c *call) {
	c.beside(func() {
		list, ok := await(c, func(_ engine.View, done func([]engine.Stray)) {
			c.server.list(subject{c.object.job, c.object.instance}, done)
		})
		if !ok {
			return
		}
		tree := branches{}
		for _, p := range list {
			stat, err := readSome("/proc/"+strconv.Itoa(p.Pid)+"/stat", 4096)
			if err != nil {
				continue
			}
			_, parent := parseStat(stat)
			tree = append(tree, branch{p.Pid, parent, p.Command})
		}
		c.answer([]any{tree}, nil)
	})
}

// getLog is the method GetLog: the log of the instance, and where its end is,
// in bytes: what is written from then on stands after that.
func getLog(c *call) {
	c.beside(func() {
		path, ok := await(c, func(v engine.View, done func(string)) {
			class, _ := v.Class(c.object.job)
			done(c.server.backend.LogPath(class, c.object.instance))
		})
		if !ok {
			return
		}
		if path == "" {
			c.answer([]any{path, uint64(0)}, nil)
			return
		}
		type measured struct {
			size int64
			err  error
		}
		log, ok := lookAt(c, "look at a log", func() measured {
			size, err := c.server.sizeOf(path)
			return measured{size, err}
		})
		switch {
		case !ok:
		case log.err != nil && !os.IsNotExist(log.err):
			c.answer(nil, failf(api.ErrFailed, "cannot look at the log: %v", log.err))
		default:
			c.answer([]any{path, uint64(log.size)}, nil)
		}
	})
}

// sizeOf returns the size of a file in bytes, 0 with an error.
func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Finding is a warning about a job that is loaded; see package lint, whose
// rules name it.
type Finding struct {
	Job, Rule, Path string
	Line, Column    int
	Text            string
}

// findings are the value of Lint.
type findings []Finding

// Signature is that of job, rule, path, line, column and text of each; see
// wire.Encoder.
func (findings) Signature() string { return "a(sssuus)" }

// Encode writes them.
func (l findings) Encode(w *wire.Writer) {
	array := w.Array('(')
	for _, f := range l {
		w.Struct()
		w.String(f.Job)
		w.String(f.Rule)
		w.String(f.Path)
		w.Uint32(uint32(f.Line))
		w.Uint32(uint32(f.Column))
		w.String(f.Text)
	}
	w.EndArray(array)
}

// lintJobs is the method Lint. It reads all job files, where these are: one
// such question is looked into at a time.
func lintJobs(c *call) {
	c.beside(func() {
		found, ok := await(c, func(v engine.View, done func(seen)) { done(look(v)) })
		if !ok {
			return
		}
		s := c.server
		if !s.linting.CompareAndSwap(false, true) {
			c.answer(nil, failf(api.ErrLimitsExceeded, "the job files are being looked at already"))
			return
		}
		list, ok := alone(c, "look at all jobs", func() findings {
			defer s.linting.Store(false)
			return s.backend.Lint(found.classes)
		})
		if ok {
			c.answer([]any{list}, nil)
		}
	})
}

// alone returns what f does, which looks where it may hang: on a goroutine for
// which nobody waits whose client has gone, nor does the end of the server. ok is
// false then, and when the call was answered since f panicked.
func alone[T any](c *call, where string, f func() T) (result T, ok bool) {
	found, fault := make(chan T, 1), make(chan *failure, 1)
	c.server.guard.Go(where, func() {
		defer func() {
			if v := recover(); v != nil {
				fault <- c.fault(v)
			}
		}()
		found <- f()
	})
	select {
	case result = <-found:
		return result, true
	case fail := <-fault:
		c.answer(nil, fail)
	case <-c.conn.gone:
	case <-c.server.done:
	}
	return result, false
}

// maxHanging bounds the looks at files, of all clients, that have not come to
// their end: each that hangs holds a thread.
const maxHanging = 64

// lookAt is alone for a look at a file that any client may have us take.
func lookAt[T any](c *call, where string, f func() T) (result T, ok bool) {
	s := c.server
	if s.hanging.Add(1) > maxHanging {
		s.hanging.Add(-1)
		c.answer(nil, failf(api.ErrLimitsExceeded, "too many files are looked at: %d", maxHanging))
		return result, false
	}
	return alone(c, where, func() T {
		defer s.hanging.Add(-1)
		return f()
	})
}
