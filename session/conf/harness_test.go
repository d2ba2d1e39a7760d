package conf

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/session-init/session-init/session/conf/inotify"
	"github.com/session-init/session-init/session/job"
)

// patience is how long a test waits for what must come; it never waits for
// what must not.
const patience = 3 * time.Minute

// tempDir returns a directory by its real path.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// put writes a file in place, with the directories that it needs.
func put(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

// swap writes a file as careful editors do.
func swap(t testing.TB, path, text string) {
	t.Helper()
	put(t, path+"~new~", text)
	must(t, os.Rename(path+"~new~", path))
}

func link(t testing.TB, target, path string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.Symlink(target, path))
}

// relink makes a symbolic link point elsewhere in one step.
func relink(t testing.TB, target, path string) {
	t.Helper()
	link(t, target, path+".tmp~")
	must(t, os.Rename(path+".tmp~", path))
}

func drop(t testing.TB, path string) {
	t.Helper()
	must(t, os.RemoveAll(path))
}

// parseFake takes any text for the description of a job, but for those that
// begin with "broken" or "odd".
func parseFake(name, path string, text []byte) (*job.Class, []job.Problem) {
	problem := job.Problem{Path: path, Line: 3, Col: 7, Msg: string(text)}
	class := job.NewClass(name)
	class.Path, class.Description = path, string(text)
	switch {
	case bytes.HasPrefix(text, []byte("broken")):
		return nil, []job.Problem{problem}
	case bytes.HasPrefix(text, []byte("odd")):
		problem.Warning = true
		return class, []job.Problem{problem}
	}
	return class, nil
}

// applyFake makes the override's text the author of the class.
func applyFake(class *job.Class, path string, text []byte) (*job.Class, []job.Problem) {
	if bytes.HasPrefix(text, []byte("broken")) {
		return nil, []job.Problem{{Path: path, Line: 1, Col: 2, Msg: string(text)}}
	}
	laid := *class
	laid.Override, laid.Author = path, string(text)
	return &laid, nil
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// desk is a Watcher with what it has said so far.
type desk struct {
	t      *testing.T
	root   string
	w      *Watcher
	log    *logBuffer
	parsed atomic.Int64

	batches chan []Change
	// jobs tells of each job "PATH: TEXT", and " + PATH: TEXT" of its
	// override, without the root.
	jobs map[string]string
}

// open makes a Watcher of directories below a new root. Nothing is loaded.
func open(t *testing.T, dirs ...string) *desk {
	return openWith(t, Options{}, tempDir(t), dirs...)
}

func openWith(t *testing.T, opts Options, root string, dirs ...string) *desk {
	t.Helper()
	d := &desk{t: t, root: root, log: &logBuffer{}, batches: make(chan []Change, 10000), jobs: make(map[string]string)}
	list := make([]Dir, len(dirs))
	for i, dir := range dirs {
		list[i] = Dir{Path: filepath.Join(d.root, dir), Autostart: filepath.Base(dir) == "autostart"}
	}
	opts.Logger = slog.New(slog.NewTextHandler(d.log, nil))
	if opts.Notifier == nil {
		opts.Notifier = inotify.Open
	}
	if opts.Debounce == 0 {
		opts.Debounce = 10 * time.Millisecond
	}
	if opts.Writing == 0 {
		// What counts before is not held back.
		opts.Writing = time.Hour
	}
	if opts.Patience == 0 {
		// Nothing hangs here, however busy the machine is.
		opts.Patience = time.Hour
	}
	opts.Parse = func(name, path string, text []byte) (*job.Class, []job.Problem) {
		d.parsed.Add(1)
		return parseFake(name, path, text)
	}
	opts.Apply = applyFake
	d.w = New(list, opts, func(changes []Change) {
		if len(changes) == 0 {
			t.Error("apply called without a change")
		}
		d.batches <- changes
	})
	t.Cleanup(d.w.Close)
	return d
}

func (d *desk) path(name string) string    { return filepath.Join(d.root, name) }
func (d *desk) put(name, text string)      { d.t.Helper(); put(d.t, d.path(name), text) }
func (d *desk) swap(name, text string)     { d.t.Helper(); swap(d.t, d.path(name), text) }
func (d *desk) drop(name string)           { d.t.Helper(); drop(d.t, d.path(name)) }
func (d *desk) move(from, to string)       { d.t.Helper(); must(d.t, os.Rename(d.path(from), d.path(to))) }
func (d *desk) mkdir(name string)          { d.t.Helper(); must(d.t, os.MkdirAll(d.path(name), 0o755)) }
func (d *desk) link(target, name string)   { d.t.Helper(); link(d.t, target, d.path(name)) }
func (d *desk) relink(target, name string) { d.t.Helper(); relink(d.t, target, d.path(name)) }
func (d *desk) says(text string) bool      { return strings.Contains(d.log.String(), text) }
func (d *desk) times(text string) int      { return strings.Count(d.log.String(), text) }
func (d *desk) strip(path string) string   { return strings.TrimPrefix(path, d.root+"/") }
func (d *desk) tell(c *job.Class) (known string) {
	known = d.strip(c.Path) + ": " + c.Description
	if c.Override != "" {
		known += " + " + d.strip(c.Override) + ": " + c.Author
	}
	return known
}

// watched lists the directories that the kernel watches for us.
func (d *desk) watched() []string {
	ws := d.w.trees[0].watch
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return slices.Sorted(maps.Keys(ws.paths))
}

func (d *desk) take(changes []Change) {
	d.t.Helper()
	last := ""
	for i, c := range changes {
		name := c.Name()
		if i > 0 && name <= last {
			d.t.Errorf("%q after %q in one batch; want them sorted, each once", name, last)
		}
		last = name
		if c.Set == nil {
			if _, ok := d.jobs[name]; !ok {
				d.t.Errorf("%q dropped, which was not there", name)
			}
			delete(d.jobs, name)
			continue
		}
		now := d.tell(c.Set)
		if d.jobs[name] == now {
			d.t.Errorf("%q set to what it was: %q", name, now)
		}
		d.jobs[name] = now
	}
}

// load loads, or reads again, and returns the number of changes.
func (d *desk) load() (changes int) {
	d.t.Helper()
	must(d.t, d.w.Load())
	for {
		select {
		case batch := <-d.batches:
			changes += len(batch)
			d.take(batch)
		default:
			return changes
		}
	}
}

// want compares all that is defined: "NAME = WHAT" for each job.
func (d *desk) want(jobs ...string) {
	d.t.Helper()
	if got := d.list(); !slices.Equal(got, jobs) {
		d.t.Errorf("jobs =\n\t%s\nwant\n\t%s\nlog:\n%s", strings.Join(got, "\n\t"), strings.Join(jobs, "\n\t"), d.log)
	}
}

func (d *desk) list() []string {
	var list []string
	for name, what := range d.jobs {
		list = append(list, fmt.Sprintf("%s = %s", name, what))
	}
	slices.Sort(list)
	return list
}

// until waits for all that is defined to be just that, as long as changes go on
// coming.
func (d *desk) until(jobs ...string) {
	d.t.Helper()
	// The list of many is not made for each of many batches.
	for len(d.jobs) != len(jobs) || !slices.Equal(d.list(), jobs) {
		select {
		case batch := <-d.batches:
			d.take(batch)
		case <-time.After(patience):
			d.want(jobs...)
			d.t.FailNow()
		}
	}
}

// live loads, and begins to follow.
func (d *desk) live() {
	d.t.Helper()
	d.load()
	d.w.Start()
}

// eventually waits for a condition that comes without a change of a job.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// within takes the next batch of changes that are due for a reason.
func within(t *testing.T, what string, batches <-chan []Change) []Change {
	t.Helper()
	select {
	case batch := <-batches:
		return batch
	case <-time.After(patience):
		t.Fatalf("in vain waited for: %s", what)
		return nil
	}
}
