package supervise

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExamine: what a process and those below it listen on is found, and what
// they own; not what they were given, and not what is a stranger's.
func TestExamine(t *testing.T) {
	listener := compile(t, "listener")
	for _, c := range []struct {
		name, kind string
		way        Follow
		forks      string
		listens    bool
	}{
		{"itself", "comes", FollowNotify, "0", true},
		{"in the background", "comes", FollowClaim, "2", true},
		{"a child", "child", FollowFork, "0", true},
		{"nobody", "never", FollowNotify, "1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, Options{})
			dir := t.TempDir()
			file := filepath.Join(dir, "f")
			given, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "given"), Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			defer given.Close()
			copied, err := given.File()
			if err != nil {
				t.Fatal(err)
			}
			defer copied.Close()
			fd, err := unix.FcntlInt(copied.Fd(), unix.F_DUPFD_CLOEXEC, firstFree)
			if err != nil {
				t.Fatal(err)
			}
			w.Start(Spec{ID: 1, Owner: 1, Path: listener, Follow: c.way, Files: []int{fd},
				Argv: []string{"listener", c.kind, c.forks, file + ".s", file}})
			w.spawned(1)
			rest := w.pidIn(file)
			var want []string
			if c.listens {
				w.pidIn(file + ".listens")
				want = []string{"unix:" + file + ".s"}
			}
			w.await("main", func([]Event) bool { return w.of(1).pid == rest || c.way.traces() })
			examined := func(names []NameOwner) (found Found) {
				t.Helper()
				n := count[Found](w.events())
				w.Examine(1, names)
				all := w.await("what is found", func(all []Event) bool { return count[Found](all) > n })
				for _, ev := range all {
					if f, is := ev.(Found); is {
						found = f
					}
				}
				return found
			}
			if got := examined(nil); !slices.Equal(got.On, want) || got.ID != 1 || len(got.Owns) > 0 {
				t.Errorf("found %+v; want %q", got, want)
			}
			got := examined([]NameOwner{{"a", os.Getpid()}, {"b", rest}, {"c", 1 << 30}})
			if !slices.Equal(got.On, want) || !slices.Equal(got.Owns, []string{"b"}) {
				t.Errorf("found %+v; want %q, and the name b", got, want)
			}
			done := make(chan bool)
			w.send(func() { done <- w.listens.diag.fd < 0 })
			if !<-done {
				t.Error("it goes on to ask for what listens")
			}
			w.Examine(99, nil)
			w.Kill(1, unix.SIGTERM, true)
			w.exited(1)
			w.Sweep(1, unix.SIGTERM, 0)
			w.vacated(1, 1)
		})
	}
}
