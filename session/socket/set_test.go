package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/job"
)

const patience = 3 * time.Minute

// holder is a keeper for tests.
type holder struct {
	mu   sync.Mutex
	held map[string]*os.File
	left map[string]*os.File // for the next
}

func (h *holder) Hold(name string, fd int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return err
	}
	if before := h.held[name]; before != nil {
		before.Close()
	}
	if len("hold "+name) > 256 {
		return errors.New("the keeper takes no such message")
	}
	h.held[name] = os.NewFile(uintptr(copied), name)
	return nil
}

func (h *holder) Drop(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if file := h.held[name]; file != nil {
		file.Close()
	}
	delete(h.held, name)
	return nil
}

func (h *holder) Names() (names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.left {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (h *holder) Take(name string) *os.File {
	h.mu.Lock()
	defer h.mu.Unlock()
	file := h.left[name]
	delete(h.left, name)
	return file
}

// next makes what is held that of the next daemon.
func (h *holder) next(t *testing.T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = make(map[string]*os.File)
	for name, file := range h.held {
		copied, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			t.Fatal(err)
		}
		h.left[name] = os.NewFile(uintptr(copied), name)
	}
}

// world is a Set and what it has told.
type world struct {
	t *testing.T
	*Set
	holder *holder
	dir    string
	told   chan string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir(), holder: &holder{held: make(map[string]*os.File)}}
	w.renew()
	t.Cleanup(func() {
		w.Close(true)
		for _, name := range sortedNames(w.holder.held) {
			w.holder.held[name].Close()
		}
	})
	return w
}

func sortedNames(m map[string]*os.File) (names []string) {
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// renew puts the Set of another daemon in the place of that of a dead one.
func (w *world) renew() {
	if w.Set != nil {
		w.Close(false)
	}
	w.holder.next(w.t)
	w.told = make(chan string, 100)
	w.Set = New(Options{
		Guard: guard.New(nil), Holder: w.holder, Runtime: w.dir,
		Called: func(class, address string) { w.told <- "called " + class + " " + address },
		Opened: func(class string, faults []Fault) {
			w.told <- strings.TrimSpace(fmt.Sprintln("opened", class, faults))
		},
	})
}

func (w *world) hears(want string) {
	w.t.Helper()
	select {
	case got := <-w.told:
		if got != want {
			w.t.Fatalf("the set says %q; want %q", got, want)
		}
	case <-time.After(patience):
		w.t.Fatalf("waited in vain for %q", want)
	}
}

func (w *world) path(name string) job.Socket {
	return job.Socket{Proto: job.ProtoUnix, Path: filepath.Join(w.dir, name), Mode: 0o640}
}

// silence has a listener listen no more and keep its port, which is given to
// nobody who wants any port, and to those who ask for this one.
func silence(t *testing.T, listener net.Listener) {
	t.Helper()
	raw, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if controlErr := raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_RDWR) }); controlErr != nil || err != nil {
		t.Fatal(controlErr, err)
	}
}

// dial connects, and the connection stays in the queue.
func (w *world) dial(network, address string) {
	w.t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
}

// given returns the names of what a job gets.
func (w *world) given(class, instance string) string {
	w.t.Helper()
	fds, names, sockets, err := w.Files(class, instance, nil)
	for _, fd := range fds {
		unix.Close(fd)
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(sockets, " ", strings.Join(names, ":"))
}

func TestAwait(t *testing.T) {
	w := newWorld(t)
	a, b := w.path("deep/down/a"), w.path("b")
	b.Name = "bee"
	w.Listen("svc", []job.Socket{a, b})
	w.hears("opened svc []")
	if info, err := os.Stat(a.Path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the path is %v, %v; want the mode 0640", info, err)
	}
	w.Await("svc")
	w.dial("unix", a.Path)
	w.hears("called svc unix:" + a.Path)
	// Nobody looks until it is asked for again; then what waits still counts.
	w.dial("unix", b.Path)
	w.Await("nobody")
	if got := w.given("svc", ""); got != "2 svc:bee" {
		t.Errorf("the job gets %q", got)
	}
	select {
	case told := <-w.told:
		t.Fatalf("the set says %q and was not asked", told)
	default:
	}
	w.Await("svc")
	first := <-w.told
	if first != "called svc unix:"+a.Path && first != "called svc unix:"+b.Path {
		t.Errorf("the set says %q", first)
	}
	// The same address keeps its socket, with what waits there.
	w.Listen("svc", []job.Socket{b})
	w.hears("opened svc []")
	w.Await("svc")
	w.hears("called svc unix:" + b.Path)
	if _, err := os.Lstat(a.Path); !os.IsNotExist(err) {
		t.Errorf("the path of a socket that nobody wants: %v", err)
	}
	w.Listen("svc", nil)
	if _, err := net.Dial("unix", b.Path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("a connection to a socket that nobody wants: %v", err)
	}
	if len(w.holder.held) > 0 {
		t.Errorf("%q are held", sortedNames(w.holder.held))
	}
}

func TestOpen(t *testing.T) {
	w := newWorld(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	takenAt := netip.MustParseAddrPort(taken.Addr().String())
	os.WriteFile(filepath.Join(w.dir, "file"), nil, 0o600)
	os.Symlink("elsewhere", filepath.Join(w.dir, "link"))
	for _, path := range []string{w.dir + "/busy", "@" + w.dir} {
		other, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
	}
	self, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	outside := job.Socket{Proto: job.ProtoUnix, Path: w.dir + "/../none/x"}
	for _, c := range []struct {
		want  job.Socket
		fault string
	}{
		{w.path("busy"), fmt.Sprintf("another program listens there: process %d (%s)", os.Getpid(), strings.TrimSpace(string(self)))},
		{job.Socket{Proto: job.ProtoUnix, Path: "@" + w.dir}, "another program listens there"},
		{w.path("file"), "there is a file at that path, and it is no socket"},
		{w.path("link"), "there is a file at that path, and it is no socket"},
		{w.path("file/x"), "not a directory"},
		{outside, "there is no directory " + filepath.Dir(outside.Path)},
		{job.Socket{Proto: job.ProtoInet, Addr: takenAt.Addr(), Port: takenAt.Port()}, "another program uses the port"},
		{job.Socket{Proto: job.ProtoInet, Addr: netip.MustParseAddr("192.0.2.1"), Port: 9}, "the machine does not have that address"},
		{job.Socket{Fault: "no such thing", Proto: "x"}, "no such thing"},
	} {
		w.Listen("svc", []job.Socket{c.want})
		w.hears("opened svc [{" + c.want.Address() + " " + c.fault + "}]")
		if got, want := w.given("svc", ""), "cannot listen on "+c.want.Address()+": "+c.fault; got != want {
			t.Errorf("the job gets %q; want %q", got, want)
		}
	}
	// What was in the way has gone.
	silence(t, taken)
	w.Listen("svc", []job.Socket{{Proto: job.ProtoInet, Addr: takenAt.Addr(), Port: takenAt.Port()}})
	w.hears("opened svc []")
	w.dial("tcp", takenAt.String())
}

// TestTakeOver: the next daemon has the sockets with what waits there, and lets
// go of those that nobody wants.
func TestTakeOver(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.path("a"), w.path("b"), w.path("c")
	w.Listen("svc", []job.Socket{a, b, c})
	w.hears("opened svc []")
	w.dial("unix", a.Path)
	w.renew()
	w.dial("unix", a.Path)
	os.Remove(c.Path)
	w.Listen("svc", []job.Socket{a, c})
	w.hears("opened svc []")
	w.Await("svc")
	w.hears("called svc unix:" + a.Path)
	w.dial("unix", c.Path)
	if _, err := os.Lstat(b.Path); err != nil {
		t.Error(err)
	}
	w.Forget()
	if _, err := os.Lstat(b.Path); !os.IsNotExist(err) {
		t.Errorf("a path that nobody wants: %v", err)
	}
	names, fds := w.Handover()
	if len(names) != 2 || len(fds) != 2 || !slices.Equal(sortedNames(w.holder.held), slices.Sorted(slices.Values(names))) {
		t.Errorf("Handover = %q, %d; %q are held", names, fds, sortedNames(w.holder.held))
	}
}

// TestChanges: what is wanted may change as fast as it likes.
func TestChanges(t *testing.T) {
	w := newWorld(t)
	var last []job.Socket
	for i := range 200 {
		last = nil
		for k := range 4 {
			if (i+k)%3 > 0 {
				last = append(last, w.path(fmt.Sprint(k)))
			}
		}
		w.Listen("svc", last)
		w.Await("svc")
		if i%50 == 49 {
			w.Listen("svc", nil)
			w.Listen("svc", last)
			w.Await("svc")
		}
		for len(w.told) > 0 {
			<-w.told
		}
	}
	w.WaitFor("svc")
	if w.Busy("svc") {
		t.Error("it is still busy")
	}
	for k := range 4 {
		want := w.path(fmt.Sprint(k))
		wanted := slices.ContainsFunc(last, func(s job.Socket) bool { return s.Path == want.Path })
		if conn, err := net.Dial("unix", want.Path); (err == nil) != wanted {
			t.Errorf("%s is wanted: %v; a connection gives %v", want.Path, wanted, err)
		} else if err == nil {
			conn.Close()
		}
	}
}

func TestStore(t *testing.T) {
	w := newWorld(t)
	store := func(name string, fds ...int) error {
		var given []int
		for _, fd := range fds {
			copied, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
			if err != nil {
				t.Fatal(err)
			}
			given = append(given, copied)
		}
		return w.Store("svc", "one", name, given)
	}
	r, wr, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer wr.Close()
	// What is stored already is not stored twice.
	if err := errors.Join(store("a", int(r.Fd())), store("a:b", int(wr.Fd())), store("x", int(r.Fd()))); err != nil {
		t.Error(err)
	}
	const all = "0 a:stored"
	if got := w.given("svc", "one"); got != all {
		t.Errorf("the instance gets %q; want %q", got, all)
	}
	if got := w.given("svc", "two"); got != "0 " {
		t.Errorf("another instance gets %q", got)
	}
	w.renew()
	w.TakeStores(func(class, instance string) bool { return class+"/"+instance == "svc/one" })
	if got := w.given("svc", "one"); got != all {
		t.Errorf("after another daemon the instance gets %q; want %q", got, all)
	}
	w.Remove("svc", "one", "stored")
	if got := w.given("svc", "one"); got != "0 a" {
		t.Errorf("the instance gets %q", got)
	}
	// Names that are too long for the keeper survive it, too.
	long, instance := strings.Repeat("long", 60), strings.Repeat("i", 300)
	if err := store(long, int(wr.Fd())); err != nil {
		t.Errorf("a long name: %v", err)
	}
	for range 2 {
		if err := w.Store("svc", instance, "b", []int{event(t)}); err != nil {
			t.Errorf("a long instance: %v", err)
		}
	}
	w.Remove("svc", instance, "none")
	for range 2 {
		w.renew()
		w.TakeStores(func(class, instance string) bool { return class == "svc" })
		if got := w.given("svc", "one"); got != "0 a:"+long {
			t.Errorf("after another daemon the instance gets %q", got)
		}
		if got := w.Stored("svc", instance); !slices.Equal(got, []string{"b", "b"}) {
			t.Errorf("after another daemon %q is stored; want b and b", got)
		}
	}
	if names, fds := w.Handover(); len(names) != 7 || len(fds) != 7 {
		t.Errorf("Handover() = %q; want 4 descriptors and 3 files of names", names)
	}
	w.RemoveAll("svc", instance)
	w.RemoveAll("svc", "one")
	if got := w.given("svc", "one"); got != "0 " || len(w.holder.held) > 0 {
		t.Errorf("the instance gets %q, %q are held", got, sortedNames(w.holder.held))
	}
	for range maxStored {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Store("svc", "one", "e", []int{fd}); err != nil {
			t.Fatal(err)
		}
	}
	if err := store("more", int(r.Fd())); err == nil || !strings.Contains(err.Error(), "more than 128") {
		t.Errorf("one more: %v", err)
	}
	for i := maxStored; i < maxStoredAll; i++ {
		if err := w.Store("svc", fmt.Sprint(i/100), "e", []int{event(t)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Store("svc", "two", "e", []int{event(t)}); err == nil || !strings.Contains(err.Error(), "384 are kept for all jobs together") {
		t.Errorf("one more of all: %v", err)
	}
	w.RemoveAll("svc", "2")
	if err := w.Store("svc", instance, "b", []int{event(t)}); err != nil {
		t.Errorf("when others are given up: %v", err)
	}
	w.renew()
	w.TakeStores(func(string, string) bool { return false })
	if len(w.holder.held) > 0 {
		t.Errorf("%d are held for nobody", len(w.holder.held))
	}
}
