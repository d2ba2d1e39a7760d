package state

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

const boot = "0000-boot"

func svc(t testing.TB) *job.Class {
	class, problems := job.Parse("svc", "/jobs/svc.conf", []byte("start on ev\ninstance $N\nexec /bin/svc\n"))
	if class == nil {
		t.Fatal(problems)
	}
	return class
}

func tcp(t testing.TB) *job.Class {
	class, problems := job.Parse("tcp", "/jobs/tcp.conf", []byte("start on socket PROTO=inet PORT=80\nexec /bin/tcp\n"))
	if class == nil {
		t.Fatal(problems)
	}
	return class
}

// inputs are one of each kind.
func inputs(t testing.TB) []engine.Input {
	target := engine.Target{Class: "svc", Instance: "1", ByName: true}
	return []engine.Input{
		engine.SetClass{Class: svc(t)},
		engine.Emit{Call: 1, Name: "ev", Env: events.Env{"N=1", "BYTES=\xff\x00\n"}, Wait: true},
		engine.Spawned{Proc: 1, Pid: 7},
		engine.SetEnv{Entries: []string{"A=1"}, Replace: true},
		engine.Start{Call: 2, Target: engine.Target{Class: "svc"}, Env: events.Env{"N=2"}},
		engine.SpawnFailed{Proc: 2, Reason: "no"},
		engine.Reload{Call: 3, Target: target, Signal: 10},
		engine.Restart{Call: 4, Target: target},
		engine.Abandon{Call: 1},
		engine.Tick{},
		engine.Forked{Proc: 1, Pid: 8},
		engine.SelfStopped{Proc: 1},
		engine.Notified{Proc: 1, Reloading: true, HasStatus: true, Status: "reads", Errno: "interrupted (4)", Extend: time.Second, Alive: true, HasInterval: true, Interval: time.Minute},
		engine.Ready{Proc: 1, How: "listens on tcp [::1]:80"},
		engine.Lacks{Proc: 1, What: "nobody owns the bus name org.example.X"},
		engine.Misfit{Proc: 1, What: "declares 'expect fork' but"},
		engine.Found{Proc: 1, Listens: "unix:/run/x", Owns: "org.example.Y"},
		engine.Exited{Proc: 1, Signal: 15},
		engine.FollowEnded{Proc: 1},
		engine.Swept{Owner: 1, Strays: []engine.Stray{{Pid: 9, Command: "x"}}},
		engine.Vacated{Owner: 1},
		engine.Adopt{Class: "svc", Instance: "9", Pid: 77},
		engine.ForceStop{Target: target},
		engine.SetClass{Class: tcp(t)},
		engine.Listening{Class: "tcp", Faults: []engine.SocketFault{{Address: "inet:*:80", Reason: "no"}}},
		engine.Connection{Class: "tcp", Address: "inet:*:80"},
		engine.ListenAgain{},
		engine.SessionOpen{Call: 5, Leader: 70, Since: 12345, Env: events.Env{"XDG_SEAT=seat0"}},
		engine.SessionBegin{Call: 6, By: &events.Caller{Pid: 71, Session: 1}, Display: "wayland:/run/w", Env: events.Env{"D=1"}, Note: "n"},
		engine.SessionAwait{Call: 7, ID: 1},
		engine.SessionLost{Display: "wayland:/run/other"},
		engine.SessionEnd{Call: 8, ID: 1},
		engine.UntilLogout{Call: 10, On: true},
		engine.UntilLogout{Call: 11},
		engine.RunTransient{Call: 9, Definition: engine.SavedDefinition{Name: "once", Text: "linger\nexec once\n"}, Env: events.Env{"A=b"}, Wait: true},
		engine.DropClass{Name: "svc"},
		engine.Stop{Target: target},
		engine.Shutdown{Type: "logout"},
	}
}

// live plays the inputs on an engine that is journaled.
func live(t testing.TB, j *Journal, e *engine.Engine, ins []engine.Input) {
	t.Helper()
	for i, in := range ins {
		entry := Entry{Now: time.Duration(i) * time.Second, Input: in}
		if err := j.Append(entry); err != nil {
			t.Fatal(err)
		}
		e.Step(entry.Now, entry.Input)
	}
}

// text makes nothing of the difference between an empty list and none.
func text(t *testing.T, s engine.Snapshot) string {
	t.Helper()
	out, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(": null", ": []").Replace(string(out))
}

func same(t *testing.T, path string, want *engine.Engine) {
	t.Helper()
	snapshot, entries, err := Load(path, boot)
	if err != nil {
		t.Fatal(err)
	}
	got, left, err := Replay(engine.Config{}, snapshot, entries)
	if err != nil || len(left) > 0 {
		t.Fatal(err, left)
	}
	if a, b := text(t, got.Snapshot()), text(t, want.Snapshot()); a != b {
		t.Errorf("replayed:\n%s\nlived:\n%s", a, b)
	}
}

func TestEveryInputSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	e := engine.New(engine.Config{})
	j, err := Create(path, boot, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	seen := make(map[string]bool)
	for i, in := range inputs(t) {
		live(t, j, e, []engine.Input{in})
		seen[fmt.Sprintf("%T", in)] = true
		if i%5 == 0 {
			same(t, path, e)
		}
	}
	same(t, path, e)
	// One of each kind that there is.
	source, err := os.ReadFile("../engine/input.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range regexp.MustCompile(`(?m)^func \((\w+)\) input\(\)`).FindAllStringSubmatch(string(source), -1) {
		if !seen["engine."+kind[1]] {
			t.Errorf("no input %s was tried", kind[1])
		}
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	e := engine.New(engine.Config{})
	j, err := Create(path, boot, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ins := inputs(t)
	live(t, j, e, ins[:4])
	ready := make(chan struct{})
	j.Replace(e.Snapshot(), func() { close(ready) })
	live(t, j, e, ins[4:8]) // into both
	same(t, path, e)
	<-ready
	if err := j.Settle(); err != nil {
		t.Fatal(err)
	}
	same(t, path, e)
	live(t, j, e, ins[8:])
	same(t, path, e)
	snapshot, entries, err := Load(path, boot)
	if err != nil || len(entries) != len(ins)-4 || len(snapshot.Classes) != 1 {
		t.Errorf("after Replace there are %d entries, %d classes in the snapshot, %v; want %d and 1", len(entries), len(snapshot.Classes), err, len(ins)-4)
	}
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("the new file is left beside: %v", err)
	}
}

func TestGrown(t *testing.T) {
	e := engine.New(engine.Config{})
	j, err := Create(filepath.Join(t.TempDir(), "state"), boot, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	n := 0
	for ; !j.Grown() && n < 1_000_000; n++ {
		if err := j.Append(Entry{Input: engine.Spawned{Proc: 1, Pid: 2}}); err != nil {
			t.Fatal(err)
		}
	}
	if perEntry := minLimit / n; n == 1_000_000 || perEntry > 100 {
		t.Errorf("grown after %d entries of %d bytes", n, perEntry)
	}
}

// A file that ends anywhere gives what was whole in it.
func TestCutShort(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	e := engine.New(engine.Config{})
	j, err := Create(path, boot, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	live(t, j, e, inputs(t))
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := -1
	for n := range whole {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		_, entries, err := Load(path, boot)
		if err != nil && last >= 0 {
			t.Fatalf("cut at byte %d: %v", n, err)
		}
		if err == nil {
			if len(entries) < last {
				t.Fatalf("cut at byte %d: %d entries, %d with less", n, len(entries), last)
			}
			last = len(entries)
		}
	}
	if last != len(inputs(t))-1 {
		t.Errorf("all but the last byte gives %d entries", last)
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Load(filepath.Join(dir, "none"), boot); !errors.Is(err, ErrNone) {
		t.Errorf("Load of no file: %v", err)
	}
	path := filepath.Join(dir, "state")
	j, err := Create(path, "another-boot", engine.New(engine.Config{}).Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	if _, _, err := Load(path, boot); !errors.Is(err, ErrNone) {
		t.Errorf("Load of another boot's: %v", err)
	}
	for _, text := range []string{"", "x", "session-init state 99 0000-boot\n", headline(boot), headline(boot) + "rubbish rubbish"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(path, boot); err == nil || errors.Is(err, ErrNone) {
			t.Errorf("Load of %q: %v", text, err)
		}
	}
}

// A full disk is said, and what was written before stays whole.
func TestFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Config{})
	j, err := Create(filepath.Join(t.TempDir(), "state"), boot, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	j.out.file.Close()
	j.out.file = full
	if err := j.Append(Entry{Input: engine.Tick{}}); err == nil {
		t.Error("a write to a full disk is taken for done")
	}
	j.Close()
}

func FuzzLoad(f *testing.F) {
	path := filepath.Join(f.TempDir(), "state")
	e := engine.New(engine.Config{})
	j, err := Create(path, boot, e.Snapshot())
	if err != nil {
		f.Fatal(err)
	}
	live(f, j, e, inputs(f))
	j.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, text []byte) {
		snapshot, entries, err := read(bufio.NewReader(bytes.NewReader(text)), "state", boot)
		if err != nil {
			return
		}
		if restored, err := engine.Restore(engine.Config{}, snapshot); err == nil {
			for _, entry := range entries {
				restored.Step(entry.Now, entry.Input)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	e := engine.New(engine.Config{})
	j, err := Create(filepath.Join(b.TempDir(), "state"), boot, e.Snapshot())
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	for b.Loop() {
		if err := j.Append(Entry{Input: engine.Spawned{Proc: 1, Pid: 2}}); err != nil {
			b.Fatal(err)
		}
	}
}
