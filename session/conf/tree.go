package conf

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/maphash"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Bounds of one search directory, for links that lead to the root of the
// file system and the like. Each directory costs a watch, of which users have
// a limited number.
const (
	maxDepth = 40
	maxDirs  = 10000
)

// A tree is one search directory as it was last read. One goroutine at a
// time works on it; what it finds it hands over in an outcome.
type tree struct {
	index int
	dir   Dir
	root  string // the path of dir
	// skip holds the other search directories.
	skip  map[string]bool
	watch *watchSet
	quit  <-chan struct{}

	seed maphash.Seed
	// reads, for tests, is called before each file that is opened.
	reads func(path string)

	gen uint64
	found
}

// found is what a walk sees.
type found struct {
	files map[string]*file  // by path
	dirs  map[string]string // the real path of each directory
	notes map[string]note   // what is wrong, by path
}

// note is a warning for the log.
type note struct{ text string }

// outcome is what work on a tree has found to be new.
type outcome struct {
	index int
	// changed holds the files that are others than before, by job and path.
	changed []replaced
	notes   []note
	// begun are files, by path, that go on to count as they did, since who has
	// opened them seems about to write.
	begun []string
}

// replaced is one path with what is there now in place of what was: nil is
// nothing. Not both are nil, and both are of the same job.
type replaced struct{ before, after *file }

func (r replaced) file() *file { return cmp.Or(r.after, r.before) }

func sortReplaced(list []replaced) {
	slices.SortFunc(list, func(a, b replaced) int {
		return cmp.Or(strings.Compare(a.file().name, b.file().name), strings.Compare(a.file().path, b.file().path))
	})
}

// newFound has room for as many files.
func newFound(files int) found {
	return found{
		files: make(map[string]*file, files),
		dirs:  make(map[string]string),
		notes: make(map[string]note),
	}
}

// do does the work and returns what is new.
func (t *tree) do(w work) outcome {
	if !w.walk && !w.reread {
		if out, ok := t.examine(w); ok {
			return out
		}
	}
	return t.walk(w)
}

// walk reads the tree. Files whose stamp is the same and which are not
// called by name are not opened, unless all are to be read.
func (t *tree) walk(w work) outcome {
	t.gen++
	k := &walker{tree: t, work: w, found: newFound(len(t.files)), wanted: make(map[string]bool)}
	k.finder = finder{known: make(map[string]bool), looked: k.looked, linked: t.watch.widen}
	k.reader.recently = int64(t.watch.dirt.idle.Seconds())
	real, info, err := k.finder.follow(t.root)
	switch {
	case err == nil && info.IsDir():
		k.descend(t.root, real, []inode{stampOf(info).inode})
	case err == nil:
		k.note(t.root, "cannot read job files in %s: it is not a directory", t.root)
	case !absent(err):
		k.unreadable(t.root, err)
	}
	if t.closed() {
		return outcome{index: t.index}
	}
	t.watch.sweep(t.index, t.gen)

	out := outcome{index: t.index, begun: k.begun}
	for path, f := range k.files {
		if before := t.files[path]; before != f {
			out.changed = append(out.changed, replaced{before, f})
		}
	}
	for path, f := range t.files {
		if k.files[path] == nil {
			out.changed = append(out.changed, replaced{before: f})
		}
	}
	sortReplaced(out.changed)
	for _, path := range slices.Sorted(maps.Keys(k.notes)) {
		if n := k.notes[path]; n != t.notes[path] {
			out.notes = append(out.notes, n)
		}
	}
	t.found = k.found
	return out
}

// examine looks at the named files alone. ok is false when one of them turns
// out to be more than a file; nothing has changed then.
func (t *tree) examine(w work) (out outcome, ok bool) {
	k := &walker{tree: t, work: w, found: newFound(0), wanted: make(map[string]bool)}
	k.finder = finder{known: make(map[string]bool), looked: k.looked, linked: t.watch.widen}
	k.reader.recently = int64(t.watch.dirt.idle.Seconds())
	paths := slices.Sorted(maps.Keys(w.names))
	for _, path := range paths {
		real, ok := t.dirs[filepath.Dir(path)]
		if _, isDir := t.dirs[path]; isDir || !ok {
			return outcome{}, false
		}
		if !k.look(path, filepath.Join(real, filepath.Base(path))) {
			return outcome{}, false
		}
	}

	out = outcome{index: t.index, begun: k.begun}
	for _, path := range paths {
		if n, ok := k.notes[path]; !ok {
			delete(t.notes, path)
		} else if n != t.notes[path] {
			t.notes[path] = n
			out.notes = append(out.notes, n)
		}
		before, after := t.files[path], k.files[path]
		if before == after {
			continue
		}
		if after == nil {
			delete(t.files, path)
		} else {
			t.files[path] = after
		}
		out.changed = append(out.changed, replaced{before, after})
	}
	sortReplaced(out.changed)
	return out, true
}

func (t *tree) closed() bool {
	select {
	case <-t.quit:
		return true
	default:
		return false
	}
}

// A walker is one pass over a tree, or over some files of it.
type walker struct {
	*tree
	work work
	found
	finder finder
	reader reader
	wanted map[string]bool // directories that this pass has asked to watch
	link   string          // the job file or directory that is being followed
	left   string          // the first directory beyond maxDirs
	begun  []string        // see outcome
}

// looked asks for notice of what the finder looks at. What leads to the file
// at the end of a link changes that file; what leads elsewhere, anything.
func (k *walker) looked(dir, name string, last bool) {
	t := target{index: k.index}
	if last {
		t.path = k.link
	}
	k.watch.name(dir, name, t, k.gen, !k.wanted[dir])
	k.wanted[dir] = true
}

func (k *walker) note(path, format string, args ...any) {
	k.notes[path] = note{fmt.Sprintf(format, args...)}
}

// descend reads the directory that the user knows as path. above holds the
// directories that it is in, itself last.
func (k *walker) descend(path, real string, above []inode) {
	if k.closed() {
		return
	}
	if len(above) > maxDepth {
		k.note(path, "cannot read job files in %s: it is more than %d directories deep", path, maxDepth)
		return
	}
	if len(k.dirs) >= maxDirs {
		k.note(k.root, "cannot read all job files in %s: there are more than %d directories, the first left out is %s",
			k.root, maxDirs, cmp.Or(k.left, path))
		k.left = cmp.Or(k.left, path)
		return
	}
	k.dirs[path] = real
	k.watch.list(real, target{k.index, path}, k.gen)
	k.wanted[real] = true
	list, err := readDir(real)
	if err != nil {
		if !absent(err) {
			k.unreadable(path, err)
		}
		return
	}
	for _, item := range list {
		name := item.Name()
		if ignored(name) {
			continue
		}
		here, there := filepath.Join(path, name), filepath.Join(real, name)
		switch {
		case item.IsDir():
			if info, err := os.Lstat(there); err == nil {
				k.enter(here, there, info, above)
			}
		case item.Type()&fs.ModeSymlink != 0:
			if real, info, ok := k.chase(here, there); !ok {
				continue
			} else if info.IsDir() {
				k.enter(here, real, info, above)
			} else {
				k.take(here, real, info)
			}
		case k.dir.classify(here).kind == noJob:
		case item.Type().IsRegular() && k.rereads(here):
			k.read(here, there)
		default:
			if info, err := os.Lstat(there); err == nil {
				k.take(here, there, info)
			}
		}
	}
}

// enter descends into a sub-directory unless it is none of ours.
func (k *walker) enter(path, real string, info fs.FileInfo, above []inode) {
	name := filepath.Base(path)
	if k.dir.Autostart || versionControl(name) || flattened(name) && k.skip[path] {
		return
	}
	id := stampOf(info).inode
	if slices.Contains(above, id) {
		k.note(path, "cannot read job files in %s: it leads back to a directory that holds it", path)
		return
	}
	k.descend(path, real, append(slices.Clip(above), id))
}

// look deals with one name anew, known to be in a directory of the tree. It
// returns false if it is, or leads to, a directory.
func (k *walker) look(path, real string) bool {
	info, err := os.Lstat(real)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		var ok bool
		if real, info, ok = k.chase(path, real); !ok {
			return true
		}
	}
	switch {
	case err == nil && info.IsDir():
		return false
	case err == nil:
		k.take(path, real, info)
	case !absent(err) && k.dir.classify(path).kind != noJob:
		k.fault(path, 0, err)
	}
	return true
}

// chase follows a symbolic link. ok is false if it leads nowhere; then all
// was said.
func (k *walker) chase(path, at string) (real string, info fs.FileInfo, ok bool) {
	k.link = path
	real, info, err := k.finder.follow(at)
	k.link = ""
	isJob := k.dir.classify(path).kind != noJob
	switch {
	case err == nil:
		return real, info, true
	case absent(err) && isJob:
		k.note(path, "%s: symbolic link leads nowhere: there is no %s", path, real)
	case absent(err):
	case isJob:
		k.fault(path, 0, err)
	default:
		k.note(path, "cannot follow %s: %s", path, why(err))
	}
	return real, nil, false
}

// rereads tells whether the file at path is to be read whatever it looks
// like, be it because nothing is known of it.
func (k *walker) rereads(path string) bool {
	if _, called := k.work.names[path]; called || k.work.reread {
		return true
	}
	return k.tree.files[path] == nil
}

// take reads a file if its name makes it one of ours.
func (k *walker) take(path, real string, info fs.FileInfo) {
	if k.dir.classify(path).kind == noJob {
		return
	}
	if !k.rereads(path) {
		if before := k.tree.files[path]; before.mark != 0 && before.mark == stampOf(info).mark(k.seed) {
			k.keep(path)
			return
		}
	}
	if !info.Mode().IsRegular() {
		k.irregular(path)
		return
	}
	k.read(path, real)
}

func (k *walker) irregular(path string) {
	k.note(path, "%s: cannot be a job file: it is not a regular file", path)
}

// keep has what was known of the file at path, if anything, go on to count.
func (k *walker) keep(path string) {
	if before := k.tree.files[path]; before != nil {
		k.files[before.path] = before
	}
	if n, ok := k.tree.notes[path]; ok {
		k.notes[path] = n
	}
}

// read reads the file that the user knows as path, which was a regular one a
// moment ago, and enters it.
func (k *walker) read(path, real string) {
	if k.work.writing[path] {
		k.keep(path)
		return
	}
	if k.reads != nil {
		k.reads(path)
	}
	text, stamp, err := k.reader.read(real)
	switch {
	case err == errNotRegular:
		k.irregular(path)
		return
	case absent(err):
		return
	case err != nil:
		k.fault(path, stamp.mark(k.seed), err)
		return
	}
	switch sum := sumOf(k.seed, text); {
	case k.known(path, sum, false, stamp.mark(k.seed)):
	case k.reader.begun && !k.work.reread && k.work.names[path] != entire:
		k.keep(path)
		k.begun = append(k.begun, path)
	default:
		k.enterFile(&file{sum: sum, mark: stamp.mark(k.seed), aside: &aside{text: bytes.Clone(text)}}, path)
	}
}

// fault enters a file whose text cannot be had.
func (k *walker) fault(path string, m mark, err error) {
	fault := why(err)
	if sum := sumOf(k.seed, []byte(fault)); !k.known(path, sum, true, m) {
		k.enterFile(&file{sum: sum, faulty: true, mark: m, aside: &aside{fault: fault}}, path)
	}
}

// known enters the file that was at path before, if it says the same.
func (k *walker) known(path string, sum sum, faulty bool, m mark) bool {
	before := k.tree.files[path]
	if before == nil || before.sum != sum || before.faulty != faulty {
		return false
	}
	before.mark = m
	k.files[before.path] = before
	return true
}

func (k *walker) enterFile(f *file, path string) {
	f.place, f.index = k.dir.classify(path), uint16(k.index)
	k.files[f.path] = f
}

// unreadable says that a directory cannot be read, and leaves what was known
// of it as it was: that is no proof that its files are gone.
func (k *walker) unreadable(path string, err error) {
	k.note(path, "cannot read job files in %s: %s", path, why(err))
	inside := func(name string) bool {
		return strings.HasPrefix(name, path) && (name == path || name[len(path)] == '/' || path == "/")
	}
	for name, f := range k.tree.files {
		if inside(name) {
			k.files[name] = f
		}
	}
	for name, real := range k.tree.dirs {
		if inside(name) {
			k.dirs[name] = real
		}
	}
}

// readDir lists a directory by name. It opens nothing else, and does not
// block on a pipe that took the directory's place.
func readDir(path string) ([]fs.DirEntry, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, nil
}
