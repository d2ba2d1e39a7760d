package conf

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/session-init/session-init/session/conf/notice"
)

// target is what a notice is about: a file of a search directory, or the
// whole of it when path is empty.
type target struct {
	index int
	path  string
}

// A watchSet holds what was looked up where, and has the kernel tell when it
// changes. Whoever looks says so first, so that no change falls between.
// It is safe for concurrent use.
//
// The kernel watches inodes and knows one name of each; a directory that is
// reached by two real paths (a bind mount, or an old name that was not yet
// seen to go) is watched under the first and heard under both.
type watchSet struct {
	log    Logger
	dirt   *dirt
	roots  []Dir
	notify notice.Notifier // nil: nothing is told
	// outlook watches directories of which a few names matter; nil: they are
	// watched like the others.
	outlook *outlook

	// adding is held around calls of the notifier and changes of paths and
	// inodes; mu around everything in memory, and never while the notifier
	// is called, for that waits until the notices before it were taken.
	adding sync.Mutex
	mu     sync.Mutex
	full   bool // the kernel's limit was reached, and that was said
	dirs   map[string]*watched
	paths  map[string]inode
	inodes map[inode][]string
}

// watched holds who wants to know of a directory.
type watched struct {
	names map[string][]claim
	// lists: every name counts; the target's path is the directory's own.
	lists []claim
	// whole: what is written to files counts too, because it is listed or a
	// link leads to a file in it. Else it is for the outlook.
	whole bool
	// wide: a link in it leads on, or something in it may not be looked at.
	wide bool
}

// claim is one who wants to know, and the generation of the walk that last
// asked.
type claim struct {
	target
	gen uint64
}

// claimed returns the list with a claim in it.
func claimed(list []claim, t target, gen uint64) []claim {
	for i := range list {
		if list[i].target == t {
			list[i].gen = gen
			return list
		}
	}
	return append(list, claim{t, gen})
}

// needsWhole tells whether somebody wants to know what is written to files.
func (w *watched) needsWhole() bool {
	if len(w.lists) > 0 {
		return true
	}
	for _, claims := range w.names {
		for _, c := range claims {
			if c.path != "" {
				return true
			}
		}
	}
	return false
}

func newWatchSet(log Logger, d *dirt, roots []Dir, n notice.Notifier) *watchSet {
	return &watchSet{
		log: log, dirt: d, roots: roots, notify: n,
		dirs:   make(map[string]*watched),
		paths:  make(map[string]inode),
		inodes: make(map[inode][]string),
	}
}

// name asks for notice of name in the directory dir, a real path. fresh says
// that the directory was not asked for in this walk yet.
func (ws *watchSet) name(dir, name string, t target, gen uint64, fresh bool) {
	ws.mu.Lock()
	w := ws.dir(dir)
	w.names[name] = claimed(w.names[name], t, gen)
	if t.path != "" && !w.whole {
		w.whole, fresh = true, true
	}
	ws.mu.Unlock()
	if fresh {
		ws.add(dir)
	}
}

// list asks for notice of everything in the directory dir, which the user
// knows by the path of t.
func (ws *watchSet) list(dir string, t target, gen uint64) {
	ws.mu.Lock()
	w := ws.dir(dir)
	w.lists, w.whole = claimed(w.lists, t, gen), true
	ws.mu.Unlock()
	ws.add(dir)
}

// widen asks for notice of what goes from dir, or changes its mode there: a
// link in it leads on, or what is in it may not be looked at, or not be
// watched by itself.
func (ws *watchSet) widen(dir string) {
	ws.mu.Lock()
	w := ws.dirs[dir]
	narrow := w != nil && !w.wide
	if narrow {
		w.wide = true
	}
	ws.mu.Unlock()
	if narrow {
		ws.add(dir)
	}
}

func (ws *watchSet) dir(dir string) *watched {
	w := ws.dirs[dir]
	if w == nil {
		w = &watched{names: make(map[string][]claim)}
		ws.dirs[dir] = w
	}
	return w
}

// add sees to it that dir is watched. It is cheap when it is already, and
// always done, for a watch ends unseen when its directory goes.
func (ws *watchSet) add(dir string) {
	if ws.notify == nil {
		return
	}
	// If it hangs, then here and not under the lock.
	id, err := inodeOf(dir)
	if err != nil {
		return // the look that follows says so
	}
	if err := ws.watch(dir, id); errors.Is(err, fs.ErrPermission) {
		ws.widen(filepath.Dir(dir))
	}
}

// watch has the directory watched that is called dir.
func (ws *watchSet) watch(dir string, id inode) error {
	ws.adding.Lock()
	defer ws.adding.Unlock()
	ws.mu.Lock()
	w := ws.dirs[dir]
	far := ws.outlook != nil && w != nil && !w.whole
	wide := w != nil && w.wide
	ws.mu.Unlock()
	if far {
		err := ws.outlook.guard(dir, id, wide)
		if err != nil {
			ws.refused(dir, err)
		}
		return err
	}
	if old, ok := ws.paths[dir]; ok && old != id {
		ws.forget(dir)
	}
	lead := dir
	for len(ws.inodes[id]) > 0 {
		lead = ws.inodes[id][0]
		if lead == dir {
			break
		}
		if found, err := inodeOf(lead); err == nil && found == id {
			break
		}
		ws.forget(lead)
		lead = dir
	}
	if err := ws.notify.Add(lead); err != nil {
		ws.refused(dir, err)
		return err
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if !slices.Contains(ws.inodes[id], dir) {
		ws.inodes[id] = append(ws.inodes[id], dir)
	}
	ws.paths[dir] = id
	return nil
}

func (ws *watchSet) refused(dir string, err error) {
	ws.mu.Lock()
	told := ws.full
	limit := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOMEM)
	ws.full = told || limit
	ws.mu.Unlock()
	if limit && !told {
		ws.log.Warn("cannot watch " + dir + ": the kernel's limit is reached (fs.inotify.max_user_watches); " +
			"what changes there, and in other directories from now on, counts at the next explicit reload only")
		return
	}
	ws.log.Debug("cannot watch "+dir, "why", err)
}

// forget ends the watch of dir. If the directory has another name that is
// still asked for, the watch goes on under that. adding is held.
//
// What was told of dir and not yet taken goes with the watch, so that all who
// have a stake in it look again: the one who found out that dir is not what it
// was is one of several trees, and the notice that was to tell the others is
// among those that go.
func (ws *watchSet) forget(dir string) {
	ws.mu.Lock()
	id, added := ws.paths[dir]
	if !added {
		ws.mu.Unlock()
		return
	}
	delete(ws.paths, dir)
	names := ws.inodes[id]
	at := slices.Index(names, dir)
	names = slices.Delete(names, at, at+1)
	if len(names) == 0 {
		delete(ws.inodes, id)
	} else {
		ws.inodes[id] = names
	}
	ws.mu.Unlock()
	if at == 0 {
		// The error would be that the watch went with its directory.
		_ = ws.notify.Remove(dir)
		if len(names) > 0 {
			if err := ws.notify.Add(names[0]); err != nil {
				ws.refused(names[0], err)
			}
		}
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.markDir(dir, lost)
	for _, name := range names {
		ws.markDir(name, lost)
	}
}

// markDir has every tree with a stake in dir walked again. mu is held.
func (ws *watchSet) markDir(dir string, what change) {
	w := ws.dirs[dir]
	if w == nil {
		return
	}
	for _, claims := range w.names {
		for _, c := range claims {
			ws.dirt.mark(target{index: c.index}, what)
		}
	}
	for _, c := range w.lists {
		ws.dirt.mark(target{index: c.index}, what)
	}
}

// sweep drops what the search directory of that index asked for before the
// walk of generation gen.
func (ws *watchSet) sweep(index int, gen uint64) {
	ws.adding.Lock()
	defer ws.adding.Unlock()
	var idle, far, near []string
	ws.mu.Lock()
	stale := func(c claim) bool { return c.index == index && c.gen < gen }
	for dir, w := range ws.dirs {
		for name, claims := range w.names {
			claims = slices.DeleteFunc(claims, stale)
			if len(claims) == 0 {
				delete(w.names, name)
			} else {
				w.names[name] = claims
			}
		}
		w.lists = slices.DeleteFunc(w.lists, stale)
		_, added := ws.paths[dir]
		whole := w.needsWhole()
		switch {
		case len(w.names) == 0 && len(w.lists) == 0:
			delete(ws.dirs, dir)
			idle = append(idle, dir)
		case ws.outlook == nil:
		case whole:
			near = append(near, dir)
		case added:
			w.whole = false
			far = append(far, dir)
		}
	}
	ws.mu.Unlock()
	slices.Sort(idle)
	for _, dir := range idle {
		ws.forget(dir)
	}
	for _, dir := range far {
		ws.withdraw(dir)
	}
	if ws.outlook == nil {
		return
	}
	for _, dir := range slices.Concat(idle, near) {
		if ws.outlook.leave(dir) {
			// As in forget. Nobody has a stake in what is idle.
			ws.mu.Lock()
			ws.markDir(dir, went)
			ws.mu.Unlock()
		}
	}
}

// withdraw leaves dir to the outlook from now on. adding is held.
func (ws *watchSet) withdraw(dir string) {
	id, err := inodeOf(dir)
	if err != nil {
		return // a notice of that is under way
	}
	if err := ws.outlook.guard(dir, id, true); err != nil {
		ws.refused(dir, err)
		return
	}
	ws.forget(dir)
}

// pump takes notices until there are no more, and never waits for anything
// that reads files: the kernel's queue must not fill while we do.
func (ws *watchSet) pump() {
	ws.notify.Pump(ws.deliver, func(err error) {
		if err == notice.ErrOverflow {
			ws.log.Info("changes of job files came faster than they could be told; reading all again")
		} else {
			ws.log.Warn("cannot follow changes of job files; reading all again", "why", err)
		}
		ws.dirt.markAll()
	})
}

// deliver turns a notice into dirt. The order in which targets are marked
// does not matter: dirt is a set.
func (ws *watchSet) deliver(n notice.Notice) {
	path := filepath.Clean(n.Path)
	base := filepath.Base(path)
	gone, content := n.Gone, n.Written
	what := came
	switch {
	case gone:
		what = went
	case n.Whole:
		what = whole
	case content:
		what = written
	case n.Mode:
		what = altered
	}

	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, dir := range ws.namesOf(filepath.Dir(path)) {
		w := ws.dirs[dir]
		if w == nil {
			continue
		}
		for _, c := range w.names[base] {
			// A directory on the way is not changed by what is written.
			if c.path != "" || !content {
				ws.dirt.mark(c.target, what)
			}
		}
		if ignored(base) {
			continue
		}
		for _, c := range w.lists {
			file := target{index: c.index, path: filepath.Join(c.path, base)}
			// Only a job file changes by being written; the rest might be
			// a directory that came, or one of ours that went.
			_, ours := ws.dirs[filepath.Join(dir, base)]
			if ws.roots[c.index].classify(file.path).kind != noJob || !content && (ours || !gone) {
				ws.dirt.mark(file, what)
			}
		}
	}
	// The same path may be a watched directory that tells of itself, which
	// counts where the one above it may not be watched.
	if gone || n.Mode {
		for _, dir := range ws.namesOf(path) {
			ws.markDir(dir, went)
		}
	}
}

// claimed returns the names that are asked for in dir. It is for the outlook,
// like the next three.
func (ws *watchSet) claimed(dir string) []string {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if w := ws.dirs[dir]; w != nil {
		return slices.Sorted(maps.Keys(w.names))
	}
	return nil
}

func (ws *watchSet) came(dir, name string) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	w := ws.dirs[dir]
	if w == nil || len(w.names[name]) == 0 {
		return false
	}
	for _, c := range w.names[name] {
		ws.dirt.mark(c.target, came)
	}
	return true
}

func (ws *watchSet) gone(dir string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.markDir(dir, went)
}

func (ws *watchSet) lost() {
	for i := range ws.roots {
		ws.dirt.mark(target{index: i}, came)
	}
}

// namesOf returns the paths asked for of the directory that is watched as
// dir. mu is held.
func (ws *watchSet) namesOf(dir string) []string {
	id, ok := ws.paths[dir]
	if !ok {
		return []string{dir}
	}
	return ws.inodes[id]
}

func inodeOf(path string) (inode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return inode{}, err
	}
	return stampOf(info).inode, nil
}
