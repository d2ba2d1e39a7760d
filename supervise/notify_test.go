package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sayTo says something to a socket, as a process that is no process of a job.
func sayTo(t *testing.T, path, text string) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, []byte(text), 0, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
}

// saying is what was reported of what a process said.
type saying struct {
	ready, said int
	from        int // who was ready
	refused     []NotifyRefused
}

func (w *world) said(id ProcID) (s saying) {
	for _, ev := range w.events() {
		switch ev := ev.(type) {
		case Notified:
			if ev.ID == id {
				s.said++
				if ev.Ready {
					s.ready++
					s.from = ev.Pid
				}
			}
		case NotifyRefused:
			if ev.ID == id {
				s.refused = append(s.refused, ev)
			}
		case Barrier:
			// The receiver's.
			w.mu.Lock()
			for i, one := range w.all {
				if one == Event(ev) {
					w.all[i] = Orphan{}
					unix.Close(ev.FD)
				}
			}
			w.mu.Unlock()
		}
	}
	return s
}

// notifyCase is one way in which a job that is to notify may behave.
type notifyCase struct {
	forks       int
	order, what string
}

func (c notifyCase) String() string {
	return fmt.Sprintf("%d forks, %s first, %s", c.forks, c.order, c.what)
}

func notifyCases() (list []notifyCase) {
	for forks := range 5 {
		for _, order := range []string{"parent", "child", "both"} {
			for _, what := range []string{"early", "late", "child", "flash", "mainpid", "never", "stranger", "dies"} {
				list = append(list, notifyCase{forks, order, what})
			}
		}
	}
	return list
}

// TestNotifyMatrix: whoever says that a job is ready, and however it came
// there, what is reported is true, the process that stays is followed, and
// nothing is left at the end.
func TestNotifyMatrix(t *testing.T) {
	notifier := compile(t, "notifier")
	const together = 30
	for list := notifyCases(); len(list) > 0; list = list[min(together, len(list)):] {
		batch := list[:min(together, len(list))]
		t.Run(batch[0].String(), func(t *testing.T) {
			w := newWorld(t, Options{})
			dir := t.TempDir()
			for i, c := range batch {
				what := c.what
				if what == "stranger" {
					what = "never"
				}
				file := filepath.Join(dir, strconv.Itoa(i))
				w.Start(Spec{ID: ProcID(i + 1), Owner: uint64(i + 1), Path: notifier, Label: "svc",
					Argv: []string{"notifier", strconv.Itoa(c.forks), c.order, what, file},
					Env:  []string{"NOTIFY_SOCKET=" + file + ".s"}, Notify: file + ".s", Follow: FollowNotify})
			}
			for i, c := range batch {
				w.checkNotify(ProcID(i+1), c, filepath.Join(dir, strconv.Itoa(i)))
			}
		})
	}
}

func (w *world) checkNotify(id ProcID, c notifyCase, file string) {
	w.t.Helper()
	w.spawned(id)
	if c.what == "dies" {
		w.exited(id)
		told, said := w.of(id), w.said(id)
		if said.said > 0 || told.signal != 0 || c.forks == 0 && told.status != 3 || told.status != 0 && told.status != 3 || told.left {
			w.t.Errorf("%v: %+v, %+v; want its end and nothing else", c, told, said)
		}
		return
	}
	rest := w.restOf(wedge{forks: c.forks}, file)
	if c.what == "stranger" {
		sayTo(w.t, file+".s", "READY=1")
		sayTo(w.t, file+".s", "READY=1")
	}
	w.await(fmt.Sprintf("what %v says", c), func([]Event) bool {
		told, said := w.of(id), w.said(id)
		if told.over {
			w.t.Fatalf("%v: %+v ended", c, told)
		}
		return told.pid == rest && (said.ready > 0 || said.said > 0 && (c.what == "never" || len(said.refused) > 0))
	})
	said := w.said(id)
	switch c.what {
	case "never":
		if said.ready != 0 || len(said.refused) != 0 {
			w.t.Errorf("%v: %+v; want nothing ready", c, said)
		}
	case "stranger":
		if said.ready != 0 || len(said.refused) != 1 || said.refused[0].Fault != NotifyStranger || said.refused[0].Pid != os.Getpid() {
			w.t.Errorf("%v: %+v; want one refusal", c, said)
		}
	default:
		if byChild := c.what == "child" || c.what == "flash"; said.ready != 1 || (said.from == rest) == byChild || len(said.refused) != 0 {
			w.t.Errorf("%v: %+v; want it ready by %d", c, said, rest)
		}
	}
	w.Kill(id, unix.SIGTERM, true)
	w.exited(id)
	w.Sweep(uint64(id), unix.SIGTERM, 0)
	w.await("nothing left of "+c.String(), func(all []Event) bool {
		for _, ev := range all {
			if v, is := ev.(Vacated); is && v.Owner == uint64(id) {
				return true
			}
		}
		return false
	})
	if !gone(rest) {
		w.t.Errorf("%v: process %d is left", c, rest)
	}
	if _, err := os.Lstat(file + ".s"); !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("%v: its socket is left: %v", c, err)
	}
}

// TestNotifySockets: a path, and an abstract name; another takes the place of a
// path, and closing the first does not take it away; a directory that is not
// there is a failure that says so.
func TestNotifySockets(t *testing.T) {
	notifier := compile(t, "notifier")
	w := newWorld(t, Options{})
	dir := t.TempDir()
	start := func(id ProcID, path string) {
		w.Start(Spec{ID: id, Owner: uint64(id), Path: notifier, Argv: []string{"notifier", "0", "both", "early", filepath.Join(dir, strconv.Itoa(int(id)))},
			Env: []string{"NOTIFY_SOCKET=" + path}, Notify: path, Follow: FollowNotify})
	}
	ready := func(id ProcID) {
		t.Helper()
		w.await("ready", func([]Event) bool { return w.said(id).ready == 1 })
	}
	abstract := fmt.Sprintf("@session-init-test-%d", os.Getpid())
	start(1, abstract)
	ready(1)
	path := filepath.Join(dir, "s")
	start(2, path)
	ready(2)
	start(3, path)
	ready(3)
	w.Kill(2, unix.SIGKILL, false)
	w.exited(2)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of the second is gone with the first: %v", err)
	}
	start(4, filepath.Join(dir, "none", "s"))
	if got, want := w.failed(4).Error(), "cannot make the notify socket "+filepath.Join(dir, "none", "s")+": no such file or directory"; got != want {
		t.Errorf("without a directory: %q; want %q", got, want)
	}
	for _, id := range []ProcID{1, 3} {
		w.Kill(id, unix.SIGKILL, false)
		w.exited(id)
	}
}

// TestPidVariables: the process finds its own pid.
func TestPidVariables(t *testing.T) {
	for _, leader := range []bool{false, true} {
		t.Run(fmt.Sprintf("leader %v", leader), func(t *testing.T) {
			w := newWorld(t, Options{})
			spec, log := w.sh(1, `echo "$WATCHDOG_PID $$ $X"`)
			spec.Leader, spec.PidVariables = leader, []string{"WATCHDOG_PID", "X"}
			got := strings.Fields(w.output(spec, log))
			if len(got) != 3 || got[0] != got[1] || got[1] != got[2] {
				t.Errorf("the variables and the pid are %q", got)
			}
		})
	}
}

// TestMainPid: a process of the job becomes its main one, and back; others do
// not.
func TestMainPid(t *testing.T) {
	w := newWorld(t, Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	spec := Spec{ID: 1, Owner: 1, Path: "/bin/sh", Argv: []string{"sh", "-c", "sleep 1000 & echo $! > " + dir + "/child; wait; sleep 1000"},
		Env: []string{"PATH=" + os.Getenv("PATH")}, Notify: path, Follow: FollowNotify}
	w.Start(spec)
	main := w.spawned(1)
	w.Start(sleeper(2))
	other := w.spawned(2)
	child := 0
	poll(t, "a child", func() bool {
		text, _ := os.ReadFile(dir + "/child")
		child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		return child > 0 && strings.HasSuffix(string(text), "\n")
	})
	follow := func(pid int) (is bool) {
		done := make(chan bool)
		w.send(func() { done <- w.mainIs(w.byID[1], pid) })
		return <-done
	}
	for _, pid := range []int{other, os.Getpid(), 1, 1 << 30} {
		if follow(pid) {
			t.Errorf("process %d of another is followed", pid)
		}
	}
	for _, pid := range []int{main, child, main, child} {
		if !follow(pid) {
			t.Errorf("process %d is not followed", pid)
		}
	}
	w.await("the child to be main", func([]Event) bool { return w.of(1).pid == child })
	unix.Kill(child, unix.SIGTERM)
	if end := w.exited(1); end.Pid != child || end.Signal != unix.SIGTERM || !end.Left {
		t.Errorf("the end is %+v; want that of %d, by SIGTERM, with one left", end, child)
	}
	w.Sweep(1, unix.SIGKILL, 0)
	w.await("nothing left", func(all []Event) bool { return count[Vacated](all) == 1 })
	if !gone(main) {
		t.Errorf("process %d is left", main)
	}
	w.Kill(2, unix.SIGKILL, false)
	w.exited(2)
}

func TestParseNotification(t *testing.T) {
	for _, test := range []struct {
		text string
		want Notification
	}{
		{"READY=1", Notification{Ready: true}},
		{"READY=1\n", Notification{Ready: true}},
		{"READY=1\x00", Notification{Ready: true}},
		{"READY=2\nREADY=1", Notification{}},
		{"ready=1\nREADY =1\n READY=1\nREADY", Notification{}},
		{"RELOADING=1\nMONOTONIC_USEC=1500000", Notification{Reloading: true, Since: 1500 * time.Millisecond}},
		{"RELOADING=1\nREADY=1", Notification{Ready: true}},
		{"READY=1\nSTOPPING=1\nRELOADING=1", Notification{Stopping: true}},
		{"STATUS= well \nSTATUS=ill", Notification{HasStatus: true, Status: "well"}},
		{"STATUS=", Notification{HasStatus: true}},
		{"STATUS=a=b", Notification{HasStatus: true, Status: "a=b"}},
		{"STATUS=\xff", Notification{}},
		{"ERRNO=2\nMAINPID=77", Notification{Errno: unix.ENOENT, MainPid: 77}},
		{"ERRNO=-2\nMAINPID=0", Notification{}},
		{"ERRNO=99999\nMAINPID=99999999999", Notification{}},
		{"WATCHDOG=1\nWATCHDOG_USEC=0", Notification{Alive: true, HasInterval: true}},
		{"WATCHDOG=trigger\nWATCHDOG_USEC=x", Notification{Trigger: true}},
		{"EXTEND_TIMEOUT_USEC=20", Notification{Extend: 20 * time.Microsecond}},
		{"EXTEND_TIMEOUT_USEC=18446744073709551615", Notification{Extend: maxWait / time.Microsecond * time.Microsecond}},
		{"X_MINE=1\n\n=\nBUSERROR=x", Notification{}},
		{"", Notification{}},
	} {
		got, ok := parseNotification([]byte(test.text))
		got.more = false
		if !ok || got != test.want {
			t.Errorf("parseNotification(%q) = %+v, %v; want %+v", test.text, got, ok, test.want)
		}
		if got.says() != (test.want != Notification{}) {
			t.Errorf("%q says something: %v", test.text, got.says())
		}
	}
	if n, ok := parseNotification([]byte("FDSTORE=1\nFDNAME=a b\nFDSTOREREMOVE=0")); !ok || !n.store || n.remove || n.name != "a b" || n.says() {
		t.Errorf("FDSTORE=1 with a name is read as %+v, %v", n, ok)
	}
	if n, ok := parseNotification([]byte("FDSTOREREMOVE=1\nFDNAME=x")); !ok || n.store || !n.remove || n.name != "x" || n.says() {
		t.Errorf("FDSTOREREMOVE=1 with a name is read as %+v, %v", n, ok)
	}
	if _, ok := parseNotification([]byte("READY=1\x00X=1")); ok {
		t.Error("a NUL byte in the middle is taken")
	}
}

func FuzzNotification(f *testing.F) {
	f.Add([]byte("READY=1\nSTATUS=x\nMAINPID=1\nWATCHDOG_USEC=1"))
	f.Add([]byte("BARRIER=1\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, ok := parseNotification(data)
		if !ok {
			return
		}
		if n.Extend < 0 || n.Interval < 0 || n.Since < 0 || n.MainPid < 0 || n.Errno > maxErrno {
			t.Errorf("parseNotification(%q) = %+v", data, n)
		}
		if n.Ready && n.Reloading || n.Stopping && n.Ready {
			t.Errorf("parseNotification(%q) = %+v; want one of them", data, n)
		}
	})
}
