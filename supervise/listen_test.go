package supervise

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// hearing is one way in which a process may come to listen, or not.
type hearing struct {
	kind    string // as listener.c has it, or "stranger"
	forks   int
	address string // "path" and "abstract" get names of their own
}

func (h hearing) String() string {
	return fmt.Sprintf("%s, %d forks, %s", h.kind, h.forks, h.address)
}

// listens tells whether it ever does.
func (h hearing) listens() bool {
	return !slices.Contains([]string{"never", "stranger", "dies"}, h.kind)
}

func hearings(t *testing.T) (list []hearing) {
	addresses := []string{"path", "abstract", "tcp", "path,tcp,abstract"}
	if probe, err := net.Listen("tcp6", "[::1]:0"); err == nil {
		probe.Close()
		addresses = append(addresses, "tcp6")
	} else {
		t.Logf("without IPv6: %v", err)
	}
	for _, kind := range []string{"comes", "late", "child", "first", "never", "stranger", "dies"} {
		for forks := range 5 {
			for _, address := range addresses {
				list = append(list, hearing{kind, forks, address})
			}
		}
	}
	return list
}

// TestListen: what is reported of a process that is to listen is true, however
// often it forks and whoever of it listens.
func TestListen(t *testing.T) {
	listener := compile(t, "listener")
	const together = 35
	for list := hearings(t); len(list) > 0; list = list[min(together, len(list)):] {
		batch := list[:min(together, len(list))]
		t.Run(batch[0].kind, func(t *testing.T) {
			w := newWorld(t, Options{})
			dir := t.TempDir()
			for i, h := range batch {
				w.hear(listener, ProcID(i+1), h, filepath.Join(dir, strconv.Itoa(i)))
			}
			for i, h := range batch {
				w.checkHearing(ProcID(i+1), h, filepath.Join(dir, strconv.Itoa(i)))
			}
		})
	}
}

// hear starts a listener; file is where it leaves what it has done.
func (w *world) hear(listener string, id ProcID, h hearing, file string) {
	kind := h.kind
	if kind == "stranger" {
		kind = "never"
	}
	w.Start(Spec{ID: id, Owner: uint64(id), Path: listener, Follow: FollowListen,
		Argv: []string{"listener", kind, strconv.Itoa(h.forks), h.addresses(file), file}})
	if h.kind == "stranger" {
		w.spawned(id)
		for address := range strings.SplitSeq(h.addresses(file), ",") {
			w.t.Cleanup(listenOn(w.t, address))
		}
	}
}

// addresses gives names to those that have none.
func (h hearing) addresses(file string) string {
	return strings.NewReplacer("path", file+".s", "abstract", "@"+strings.TrimPrefix(file, "/")).Replace(h.address)
}

// on is what is to be told of the addresses, ports left out.
func (h hearing) on(file string) []string {
	var out []string
	for address := range strings.SplitSeq(h.addresses(file), ",") {
		switch address {
		case "tcp":
			out = append(out, "tcp 127.0.0.1")
		case "tcp6":
			out = append(out, "tcp [::1]")
		default:
			out = append(out, "unix:"+address)
		}
	}
	return out
}

// listenOn has the test listen, and returns what ends that.
func listenOn(t *testing.T, address string) func() {
	t.Helper()
	network, host := "unix", address
	switch address {
	case "tcp":
		network, host = "tcp4", "127.0.0.1:0"
	case "tcp6":
		network, host = "tcp6", "[::1]:0"
	}
	l, err := net.Listen(network, host)
	if err != nil {
		t.Fatal(err)
	}
	return func() { l.Close() }
}

// pidIn waits for a pid in a file.
func (w *world) pidIn(file string) (pid int) {
	w.t.Helper()
	poll(w.t, file, func() bool {
		text, err := os.ReadFile(file)
		pid, _ = strconv.Atoi(string(text))
		return err == nil && pid != 0
	})
	return pid
}

// surveyed waits until it was asked n times more what listens.
func (w *world) surveyed(n uint64) {
	w.t.Helper()
	round := func() uint64 {
		answer := make(chan uint64)
		w.send(func() { answer <- w.listens.round })
		return <-answer
	}
	from := round()
	poll(w.t, "surveys", func() bool { return round() >= from+n })
}

// checkHearing waits for what must be reported and checks it.
func (w *world) checkHearing(id ProcID, h hearing, file string) {
	w.t.Helper()
	rest := w.pidIn(file)
	var listener int
	if h.listens() {
		listener = w.pidIn(file + ".listens")
	}
	w.await(fmt.Sprintf("main of %v", h), func(all []Event) bool {
		var t told
		var heard []Listens
		for _, ev := range all {
			t.take(id, ev)
			if ev, is := ev.(Listens); is && ev.ID == id {
				heard = append(heard, ev)
			}
		}
		if t.over || t.settled || len(heard) > 1 || len(heard) > 0 && !h.listens() {
			w.t.Fatalf("%v: %+v, %+v", h, t, heard)
		}
		if t.pid != rest || h.listens() && len(heard) == 0 {
			return false
		}
		if h.listens() {
			w.checkHeard(h, file, heard[0], listener, rest)
		}
		return true
	})
	switch h.kind {
	case "never", "stranger":
		w.surveyed(5)
		for _, ev := range w.events() {
			if ev, is := ev.(Listens); is && ev.ID == id {
				w.t.Errorf("%v: %+v", h, ev)
			}
		}
	case "dies":
		if err := os.WriteFile(file+".go", nil, 0o600); err != nil {
			w.t.Fatal(err)
		}
		if end := w.exited(id); end.Status != 3 || end.Left {
			w.t.Errorf("%v: %+v; want status 3, nothing left", h, end)
		}
	}
	if w.of(id).pid != rest {
		w.t.Errorf("%v: main is %d; want %d", h, w.of(id).pid, rest)
	}
}

func (w *world) checkHeard(h hearing, file string, got Listens, listener, rest int) {
	w.t.Helper()
	// Who calls listen first may have been found, or who has the socket then.
	if got.Pid != listener && (h.kind != "first" || gone(listener) && got.Pid != rest && h.forks < 2) {
		w.t.Errorf("%v: process %d listens; want %d", h, got.Pid, listener)
	}
	want := h.on(file)
	for _, on := range got.On {
		// Of several, some may not have been there when it was looked.
		address := on
		if at := strings.LastIndexByte(on, ':'); strings.HasPrefix(on, "tcp") {
			address = on[:at]
		}
		if !slices.Contains(want, address) {
			w.t.Errorf("%v: listens on %q; want %q", h, got.On, want)
		}
	}
	if len(got.On) == 0 {
		w.t.Errorf("%v: listens on nothing", h)
	}
}

// TestListenHidden: a process that hides its descriptors is found by its socket's
// peer, also when another process made the socket and is gone.
func TestListenHidden(t *testing.T) {
	listener := compile(t, "listener")
	for _, forks := range []int{0, 1} {
		t.Run(strconv.Itoa(forks), func(t *testing.T) {
			w := newWorld(t, Options{})
			file := filepath.Join(t.TempDir(), "f")
			h := hearing{"hides", forks, "path"}
			w.hear(listener, 1, h, file)
			defer listenOn(t, file+".stranger")()
			w.checkHearing(1, h, file)
		})
	}
}

// TestListenBefore: a socket that listened before does not count, one that came
// later does; and who waits for nobody does not ask.
func TestListenBefore(t *testing.T) {
	w := newWorld(t, Options{})
	dir := t.TempDir()
	defer listenOn(t, dir+"/before")()
	spec := sleeper(1)
	spec.Owner, spec.Follow = 1, FollowListen
	w.Start(spec)
	w.spawned(1)
	defer listenOn(t, dir+"/after")()
	w.surveyed(1)
	var on []string
	done := make(chan error)
	w.send(func() {
		sockets, err := w.socketsOf(w.byID[1].follow.listen, os.Getpid())
		for _, one := range sockets {
			on = append(on, one.String())
		}
		done <- err
	})
	if err := <-done; err != nil || !slices.Equal(on, []string{"unix:" + dir + "/after"}) {
		t.Errorf("we listen on %q, %v; want the one that came after", on, err)
	}
	w.Kill(1, unix.SIGKILL, false)
	w.exited(1)
	poll(t, "the end of surveys", func() bool {
		answer := make(chan int)
		w.send(func() { answer <- w.listens.diag.fd })
		return <-answer < 0
	})
}

// TestListenText: without sock_diag the same is read as text.
func TestListenText(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a b")
	addresses := []string{file, "@" + file, "tcp"}
	var want []string
	for _, address := range addresses {
		defer listenOn(t, address)()
	}
	ours, err := socketInodes(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	list, err := listensIn(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	d := diag{fd: -1}
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if untold := d.dump(func(tell []byte) {
		if one := readSocket(tell); slices.Contains(ours, one.inode) {
			want = append(want, fmt.Sprint(one.inode, " ", one.kind, " ", one))
		}
	}); len(untold) > 0 {
		t.Fatalf("nothing was told of the families %d", untold)
	}
	var got []string
	for _, one := range list {
		if !slices.Contains(ours, one.inode) {
			continue
		}
		got = append(got, fmt.Sprint(one.inode, " ", one.kind, " ", one))
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, name := range []string{"unix:" + file, "unix:@" + file} {
		if !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, " "+name) }) {
			t.Errorf("listensIn = %q; want %q in it", got, name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("listensIn = %q; want what sock_diag says, %q", got, want)
	}
}

// TestListenWithoutModule: a family for which the kernel has no module is read as
// text, and not asked about again; the others are asked as ever.
func TestListenWithoutModule(t *testing.T) {
	file := filepath.Join(t.TempDir(), "socket")
	s := &Supervisor{self: os.Getpid(), listens: listening{diag: diag{fd: -1}}}
	defer s.listens.close()
	d := &s.listens.diag
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	for i, family := range families {
		if family == unix.AF_INET {
			// Of which no kernel has ever told anything.
			d.requests[i] = diagRequest(unix.AF_X25)
		}
	}
	fd := d.fd
	for _, address := range []string{file, "tcp"} {
		defer listenOn(t, address)()
		s.survey()
		count := 0
		ours, err := socketInodes(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		for _, inode := range ours {
			if s.listens.known[inode] != nil {
				count++
			}
		}
		if want := map[string]int{file: 1, "tcp": 2}[address]; count != want {
			t.Errorf("with %s %d of ours are known; want %d", address, count, want)
		}
	}
	if want := [len(families)]bool{false, true, false}; d.absent != want || d.fd != fd {
		t.Errorf("absent = %v, descriptor %d; want %v, and %d still", d.absent, d.fd, want, fd)
	}
	// Another socket does not change that.
	d.close()
	asked := 0
	if untold := d.dump(func([]byte) { asked++ }); len(untold) != 1 || untold[0] != unix.AF_INET || asked == 0 {
		t.Errorf("dump tells nothing of %d, and of %d sockets; want of family %d, and of some", untold, asked, unix.AF_INET)
	}
}

// TestListenAway: a process in a network namespace of its own is found by the
// text of that.
func TestListenAway(t *testing.T) {
	unshare := testkit.NeedNetworks(t)
	listener := compile(t, "listener")
	w := newWorld(t, Options{})
	file := filepath.Join(t.TempDir(), "f")
	w.Start(Spec{ID: 1, Owner: 1, Path: unshare[0], Follow: FollowListen,
		Argv: append(unshare, listener, "late", "0", file+".s", file)})
	w.checkHearing(1, hearing{"late", 0, "path"}, file)
}

// TestListenInterval: it is asked seldom enough.
func TestListenInterval(t *testing.T) {
	now := time.Now()
	since := func(ago ...time.Duration) *listening {
		l := &listening{}
		for _, d := range ago {
			l.waiting = append(l.waiting, &process{follow: following{listen: &awaiting{since: now.Add(-d)}}})
		}
		return l
	}
	for _, test := range []struct {
		l    *listening
		cost time.Duration
		want time.Duration
	}{
		{since(0), 0, time.Millisecond},
		{since(5 * time.Second), 50 * time.Microsecond, time.Millisecond},
		{since(10 * time.Second), 50 * time.Microsecond, 2 * time.Millisecond},
		{since(90 * time.Second), 0, 18 * time.Millisecond},
		{since(time.Hour), 0, 20 * time.Millisecond},
		{since(time.Hour, time.Second), 0, time.Millisecond},
		{since(0), 500 * time.Microsecond, 8 * time.Millisecond},
		{since(0), time.Second, 20 * time.Millisecond},
	} {
		if got := test.l.interval(now, test.cost); got != test.want {
			t.Errorf("interval = %s; want %s", got, test.want)
		}
	}
}

// TestSocketTells: what the kernel tells is read as it is, and what it cannot
// have told is refused.
func TestSocketTells(t *testing.T) {
	for _, test := range []struct {
		parse      func(string) (socket, bool)
		line, want string
	}{
		{parseUnixLine, "0000000000000000: 00000002 00000000 00010000 0001 01 17 /run/a b\n", "17 1 unix:/run/a b"},
		{parseUnixLine, "0000000000000000: 00000002 00000000 00010000 0005 01 17 @x\n", "17 5 unix:@x"},
		{parseUnixLine, "0000000000000000: 00000002 00000000 00010000 0001 01 17\n", "17 1 unix:"},
		{parseUnixLine, "0000000000000000: 00000002 00000000 00000000 0001 03 17 /run/a\n", ""},
		{parseUnixLine, "Num       RefCount Protocol Flags    Type St Inode Path\n", ""},
		{parseTCPLine, "   0: 00000000:1F90 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 17 1\n", ""},
		{parseTCPLine, "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 0 1\n", ""},
		{parseTCPLine, "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1\n", "17 0 tcp 0.0.0.0:8080"},
		{parseTCPLine, "   0: 000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17 1\n", ""},
		{parseTCPLine, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n", ""},
	} {
		got := ""
		if one, ok := test.parse(test.line); ok {
			got = fmt.Sprint(one.inode, " ", one.kind, " ", one)
		}
		if got != test.want {
			t.Errorf("%q is %q; want %q", test.line, got, test.want)
		}
	}
	for _, name := range []string{"/run/\x01", "/run/\xff"} {
		if got, want := (socket{family: unix.AF_UNIX, path: name}).String(), "unix:"+strconv.Quote(name); got != want {
			t.Errorf("%q is shown as %q; want %q", name, got, want)
		}
	}
	whole := diagRequest(unix.AF_INET)
	for n := 1; n < len(whole); n++ {
		over, err := readMessages(whole[:n], func([]byte) { t.Errorf("a message of %d bytes was taken", n) })
		if over || (err == nil) != (n < unix.NLMSG_HDRLEN) {
			t.Errorf("readMessages of %d bytes = %v, %v", n, over, err)
		}
	}
	for n := range 80 {
		for _, family := range []byte{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, 99} {
			tell := make([]byte, n)
			for i := range tell {
				tell[i] = family
			}
			if _, _, ok := identify(tell); ok {
				readSocket(tell)
			}
		}
	}
}

// BenchmarkSurvey is what one question costs, beside few sockets and many.
func BenchmarkSurvey(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := &Supervisor{self: os.Getpid(), listens: listening{diag: diag{fd: -1}}}
			defer s.listens.close()
			for i := range n {
				l, err := net.Listen("unix", fmt.Sprintf("@session-init-survey-%d-%d", os.Getpid(), i))
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
			}
			for b.Loop() {
				s.survey()
			}
			if len(s.listens.known) < n {
				b.Fatalf("%d are known; want %d", len(s.listens.known), n)
			}
		})
	}
}
