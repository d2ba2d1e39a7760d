package conf

import (
	"sync"
	"time"
)

// maxNames is how many changed files of one search directory are kept by
// name; beyond that the directory is read whole.
const maxNames = 1 << 16

// work is what has to be looked at in one search directory.
type work struct {
	// walk asks for the whole tree, reading what looks changed; reread for
	// every file to be read, whatever it looks like.
	walk, reread bool
	// names holds files, by their path below the search directory as the
	// user sees it, that have changed for certain.
	names map[string]struct{}
}

func (w *work) empty() bool {
	return !w.walk && !w.reread && len(w.names) == 0
}

func (w *work) merge(other work) {
	w.walk = w.walk || other.walk
	w.reread = w.reread || other.reread
	for name := range other.names {
		w.name(name)
	}
}

func (w *work) name(path string) {
	if w.reread {
		return
	}
	if len(w.names) >= maxNames {
		w.reread, w.names = true, nil
		return
	}
	if w.names == nil {
		w.names = make(map[string]struct{})
	}
	w.names[path] = struct{}{}
}

// dirt collects work from the notices of the kernel until it is time to do
// it. It is safe for concurrent use.
type dirt struct {
	// wake gets a value when the dirt was clean and is no more.
	wake chan struct{}

	mu    sync.Mutex
	trees []work
	dirty bool
	// gone holds what went away and has not come back.
	gone        map[target]struct{}
	first, last time.Time
}

func newDirt(trees int) *dirt {
	return &dirt{wake: make(chan struct{}, 1), trees: make([]work, trees), gone: make(map[target]struct{})}
}

// mark adds a target's file, or its whole tree if it names none. gone says
// that something went away, which half of the time means that it is about to
// come back.
func (d *dirt) mark(t target, gone bool) {
	d.touch(func() {
		if gone {
			d.gone[t] = struct{}{}
		} else {
			delete(d.gone, t)
		}
		if t.path == "" {
			d.trees[t.index].walk = true
		} else {
			d.trees[t.index].name(t.path)
		}
	})
}

// markAll asks for everything to be read again.
func (d *dirt) markAll() {
	d.touch(func() {
		for i := range d.trees {
			d.trees[i].reread = true
		}
	})
}

func (d *dirt) touch(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
	d.last = time.Now()
	if d.dirty {
		return
	}
	d.dirty, d.first = true, d.last
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// due returns how long to wait before the work should be done, 0 for now. ok
// is false when there is none. The wait ends debounce after the last notice,
// or half of that when all that went away is back; ten times debounce after
// the first notice it ends in any case.
func (d *dirt) due(debounce time.Duration) (wait time.Duration, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.dirty {
		return 0, false
	}
	quiet := debounce
	if len(d.gone) == 0 {
		quiet /= 2
	}
	now := time.Now()
	wait = min(d.last.Add(quiet).Sub(now), d.first.Add(10*debounce).Sub(now))
	return max(wait, 0), true
}

// take returns the work for each search directory and leaves none.
func (d *dirt) take() []work {
	d.mu.Lock()
	defer d.mu.Unlock()
	trees := d.trees
	d.trees = make([]work, len(trees))
	d.dirty = false
	clear(d.gone)
	return trees
}
