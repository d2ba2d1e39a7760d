package supervise

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListenGroup: a socket of TCP is known by the cgroup in which it was made,
// also below that of the owner, when its process hides its descriptors; those of
// strangers and of another owner are not taken.
func TestListenGroup(t *testing.T) {
	listener := compile(t, "listener")
	w := groupWorld(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	for id, kind := range map[ProcID]string{1: "comes", 2: "never", 3: "comes"} {
		own := file + string(rune('0'+id))
		w.Start(Spec{ID: id, Owner: uint64(100 + id), Path: listener, Follow: FollowNotify,
			Argv: []string{"listener", kind, "0", "tcp", own}})
		w.spawned(id)
		w.pidIn(own)
	}
	defer listenOn(t, "tcp")()
	type answer struct {
		hit hit
		ok  bool
	}
	ask := func(id ProcID) answer {
		got := make(chan answer)
		w.send(func() {
			s, p := w.Supervisor, w.byID[id]
			s.survey()
			// As if it hid them.
			found, ok := s.whoHides(&awaiting{owner: p.owner}, []int{p.pid}, []int{p.pid}, []int{p.pid})
			s.listens.close()
			got <- answer{found, ok}
		})
		return <-got
	}
	for id, listens := range map[ProcID]bool{1: true, 2: false, 3: true} {
		got := ask(id)
		if got.ok != listens || listens && (got.hit.pid != w.of(id).pid || len(got.hit.sockets) != 1 || !strings.HasPrefix(got.hit.sockets[0].String(), "tcp 127.0.0.1:")) {
			t.Errorf("process %d, which listens: %v: %+v", id, listens, got)
		}
	}
	if one, other := ask(1).hit, ask(3).hit; one.sockets[0].String() == other.sockets[0].String() {
		t.Errorf("both listen on %s", one.sockets[0])
	}
	for id := range ProcID(3) {
		w.Kill(id+1, unix.SIGKILL, true)
		w.exited(id + 1)
	}
}
