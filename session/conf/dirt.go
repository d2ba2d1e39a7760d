package conf

import (
	"sync"
	"time"
)

// maxNames is how many changed files of one search directory are kept by
// name; beyond that the directory is read whole. No more than as many are
// waited for while they are written.
const maxNames = 1 << 16

// work is what has to be looked at in one search directory.
type work struct {
	// walk asks for the whole tree, reading what looks changed; reread for
	// every file to be read, whatever it looks like.
	walk, reread bool
	// names holds files, by their path below the search directory as the
	// user sees it, that have changed for certain.
	names map[string]standing
	// writing holds files that somebody is writing: they go on to count as
	// they did.
	writing map[string]bool
}

// standing is what was told of a file that has changed.
type standing uint8

const (
	unsaid  standing = iota // nothing of whether it is whole
	another                 // it is another than before, which may have just been begun
	entire                  // it is to count as it is, even if it looks as if just begun
)

func (w *work) empty() bool {
	return !w.walk && !w.reread && len(w.names) == 0
}

// merge adds what came later.
func (w *work) merge(later work) {
	w.walk = w.walk || later.walk
	w.reread = w.reread || later.reread
	for name, s := range later.names {
		w.name(name, s)
	}
	w.writing = later.writing
}

// name adds a file. What was told before holds on, unless it was of another file.
func (w *work) name(path string, s standing) {
	if w.reread {
		return
	}
	if len(w.names) >= maxNames {
		w.reread, w.names = true, nil
		return
	}
	if w.names == nil {
		w.names = make(map[string]standing)
	}
	if s == unsaid {
		s = w.names[path]
	}
	w.names[path] = s
}

// change is what has happened to a file.
type change uint8

const (
	came    change = iota // it is new, or another: it may have just been opened
	whole                 // who wrote it has closed it, or renamed it
	went                  // half of the time it is about to come back
	lost                  // the same, and what was told of it may be lost
	written               // and who does may go on
	altered               // its mode or owner
)

// standing is what that says of the file.
func (c change) standing() standing {
	switch c {
	case whole:
		return entire
	case came, went, lost:
		return another
	}
	return unsaid
}

// dirt collects work from the notices of the kernel until it is time to do
// it. It is safe for concurrent use.
type dirt struct {
	// wake gets a value when there was nothing to wait for and now is.
	wake chan struct{}
	// idle is how long who writes a file may rest until it counts as it is.
	idle time.Duration

	mu    sync.Mutex
	trees []work
	dirty bool
	// gone holds what went away and has not come back.
	gone        map[target]struct{}
	first, last time.Time
	// writing holds files that are written, and not closed.
	writing map[target]writing
}

// writing is when somebody began to write to a file, and wrote last.
type writing struct{ first, last time.Time }

// ends returns when the file counts as it is: who writes it without end must
// not keep it from that for ever.
func (w writing) ends(idle time.Duration) time.Time {
	end, latest := w.last.Add(idle), w.first.Add(5*idle)
	if end.Before(latest) {
		return end
	}
	return latest
}

func newDirt(trees int, idle time.Duration) *dirt {
	return &dirt{
		wake: make(chan struct{}, 1), idle: idle, trees: make([]work, trees),
		gone: make(map[target]struct{}), writing: make(map[target]writing),
	}
}

// mark adds what has happened to a target's file, or to something in its tree
// if it names none: then the whole of that is looked at.
func (d *dirt) mark(t target, what change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, open := d.writing[t]; t.path != "" && (what == written || what == altered && open) && d.await(t) {
		return
	}
	delete(d.writing, t)
	if what == lost {
		// That a file was closed may be among it.
		for w := range d.writing {
			if w.index == t.index {
				delete(d.writing, w)
			}
		}
		what = went
	}
	if what == went {
		d.gone[t] = struct{}{}
	} else {
		delete(d.gone, t)
	}
	if t.path == "" {
		d.trees[t.index].walk = true
	} else {
		d.trees[t.index].name(t.path, what.standing())
	}
	d.touch()
}

// await has a file go on to count as it did, until who writes it closes it.
// It returns false when there are too many of them. mu is held.
func (d *dirt) await(t target) bool {
	if len(d.writing) >= maxNames {
		return false
	}
	delete(d.gone, t)
	now := time.Now()
	if w, ok := d.writing[t]; ok {
		d.writing[t] = writing{w.first, now}
		return true
	}
	d.writing[t] = writing{now, now}
	if len(d.writing) == 1 {
		d.rouse()
	}
	return true
}

// begun says of files that they look as if just opened by who is to write
// them. What was heard of them since is stronger.
func (d *dirt) begun(index int, paths []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, path := range paths {
		t := target{index, path}
		if _, heard := d.trees[index].names[path]; !heard && !d.await(t) {
			d.trees[index].name(path, entire)
			d.touch()
		}
	}
}

// markAll asks for everything to be read again, since notices were lost: that
// a file was closed may have been among them.
func (d *dirt) markAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.trees {
		d.trees[i].reread = true
	}
	clear(d.writing)
	d.touch()
}

// touch is called when there is work. mu is held.
func (d *dirt) touch() {
	d.last = time.Now()
	if !d.dirty {
		d.dirty, d.first = true, d.last
		d.rouse()
	}
}

func (d *dirt) rouse() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// due returns how long to wait before the work should be done, 0 for now. ok
// is false when there is none. The wait ends debounce after the last notice,
// or half of that when all that went away is back; ten times debounce after
// the first notice it ends in any case. It ends, too, when who writes a file
// has taken too long.
func (d *dirt) due(debounce time.Duration) (wait time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.dirty {
		quiet := debounce
		if len(d.gone) == 0 {
			quiet /= 2
		}
		wait, ok = min(d.last.Add(quiet).Sub(now), d.first.Add(10*debounce).Sub(now)), true
	}
	for _, w := range d.writing {
		if left := w.ends(d.idle).Sub(now); !ok || left < wait {
			wait, ok = left, true
		}
	}
	return max(wait, 0), ok
}

// take returns the work for each search directory and leaves none, but for
// files that are written.
func (d *dirt) take() []work {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for t, w := range d.writing {
		if !w.ends(d.idle).After(now) {
			delete(d.writing, t)
			d.trees[t.index].name(t.path, entire)
		}
	}
	for t := range d.writing {
		todo := &d.trees[t.index]
		delete(todo.names, t.path)
		if todo.writing == nil {
			todo.writing = make(map[string]bool)
		}
		todo.writing[t.path] = true
	}
	return d.leave()
}

// drop returns nothing and leaves nothing: all is about to be read as it is.
func (d *dirt) drop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.writing)
	d.leave()
}

// leave begins anew. mu is held.
func (d *dirt) leave() []work {
	trees := d.trees
	d.trees = make([]work, len(trees))
	d.dirty = false
	clear(d.gone)
	return trees
}
