package session

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/engine"
)

// Definitions of an earlier daemon that the first load did not find: the file of
// such a job is gone, or it is broken, or cannot be read, or lies where nobody
// answers. Only the first is a reason to drop it.

// vanishPatience is how long it is waited for what a look at files tells. What it
// tells later is not lost.
const vanishPatience = time.Second

// keptClass is a job, and the file of its definition; no path: it never had one.
type keptClass struct{ name, path string }

// dropVanished looks, after the first load, at the definitions of an earlier
// daemon that were not loaded: those whose files are gone are dropped, and of the
// others the last good definition stays.
func (d *Daemon) dropVanished() {
	d.mu.Lock()
	loaded := d.loaded
	d.loaded = nil
	view := d.engine.View()
	for _, name := range view.ClassNames() {
		if class, ok := view.Class(name); ok && !loaded[name] {
			d.kept = append(d.kept, keptClass{name, class.Path})
		}
	}
	d.mu.Unlock()
	d.dropKept()
}

// dropKept drops what dropVanished kept and whose file is gone by now. The
// watcher does not know these, so that is found by an explicit reload. A look may
// never end: each directory has a goroutine of its own, no lock is held
// meanwhile, and nobody waits for longer than vanishPatience.
func (d *Daemon) dropKept() {
	d.mu.Lock()
	var dirs []string
	inside := make(map[string][]keptClass)
	for _, kept := range d.kept {
		dir := filepath.Dir(kept.path)
		if d.looking[dir] {
			continue // an earlier look hangs there
		}
		if inside[dir] == nil {
			dirs = append(dirs, dir)
		}
		inside[dir] = append(inside[dir], kept)
	}
	for _, dir := range dirs {
		d.looking[dir] = true
	}
	d.mu.Unlock()

	looked := make(chan struct{}, len(dirs))
	for _, dir := range dirs {
		d.guard.Go("look for job files that are gone", func() {
			for _, kept := range inside[dir] {
				if isVanished(kept.path) {
					d.forget(kept)
				}
			}
			d.mu.Lock()
			delete(d.looking, dir)
			d.mu.Unlock()
			looked <- struct{}{}
		})
	}
	patience := time.NewTimer(vanishPatience)
	defer patience.Stop()
	for range dirs {
		select {
		case <-looked:
		case <-patience.C:
			return
		case <-d.ended:
			return
		}
	}
}

// isVanished tells whether there is proof that a file is gone. That it cannot be
// looked at, for want of rights or since the disk fails, is none.
func isVanished(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)
}

// forget drops a definition whose file is gone.
func (d *Daemon) forget(kept keptClass) {
	d.mu.Lock()
	d.kept = slices.DeleteFunc(d.kept, func(k keptClass) bool { return k == kept })
	d.mu.Unlock()
	d.Read(func(v engine.View) {
		// Another file may define the job by now.
		if class, ok := v.Class(kept.name); ok && class.Path == kept.path {
			d.Step(engine.DropClass{Name: kept.name})
		}
	})
}
