package state

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

var update = flag.Bool("update", false, "write the state file of this version anew")

// TestFirstVersion reads the state file that version 1 wrote, and goes on.
// -update writes it: only for a version that nobody has yet.
func TestFirstVersion(t *testing.T) {
	path := filepath.Join("testdata", "v1.state")
	const half = 10
	if *update {
		e := engine.New(engine.Config{})
		live(t, nowhere(t, e), e, inputs(t)[:half])
		j, err := Create(path, boot, e.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		// The rest, one after the other, as a daemon would.
		for i, in := range inputs(t)[half:] {
			if err := j.Append(Entry{Now: time.Duration(half+i) * time.Second, Input: in}); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
	}
	snapshot, entries, err := Load(path, boot)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 10 || snapshot.Version != 1 {
		t.Fatalf("version %d with %d entries; want 1 with 10", snapshot.Version, len(entries))
	}
	e, left, err := Replay(engine.Config{}, snapshot, entries[:1])
	if err != nil || len(left) > 0 {
		t.Fatal(err, left)
	}
	if e.View().StartupDue() {
		t.Error("the startup event is due: a daemon of the first version had emitted it")
	}
	// The first instance is as it was: asked to start again, the end of its
	// process waited for, which was followed to another pid.
	info, ok := e.View().Instance("svc", "1")
	if !ok || info.State != engine.Killed || info.Goal != engine.GoalStart || len(info.Processes) != 1 || info.Processes[0].Pid != 8 {
		t.Fatalf("Instance(svc, 1) = %+v, %t", info, ok)
	}
	if e, left, err = Replay(engine.Config{}, snapshot, entries); err != nil || len(left) > 0 {
		t.Fatal(err, left)
	}
	// It goes on: the session was about to end, and does.
	quit := false
	for now := time.Hour; now < 2*time.Hour && !quit; now += time.Minute {
		for _, effect := range e.Step(now, engine.Tick{}) {
			switch effect := effect.(type) {
			case engine.Kill:
				e.Step(now, engine.Exited{Proc: effect.Proc, Signal: effect.Signal})
			case engine.Quit:
				quit = true
			}
		}
	}
	if !quit {
		t.Error("the session does not end")
	}
}

// nowhere is a journal that nobody reads.
func nowhere(t *testing.T, e *engine.Engine) *Journal {
	t.Helper()
	j, err := Create(filepath.Join(t.TempDir(), "state"), boot, e.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

// TestReplayLeavesOut: what the last daemon died of does not end the next.
func TestReplayLeavesOut(t *testing.T) {
	e := engine.New(engine.Config{})
	ins := inputs(t)
	bad := Entry{Now: 2 * time.Second, Input: engine.SetClass{}} // no definition: no daemon makes that
	entries := []Entry{{0, ins[0]}, {time.Second, ins[1]}, bad, {3 * time.Second, ins[2]}}
	got, left, err := Replay(engine.Config{}, e.Snapshot(), entries)
	if err != nil || len(left) != 1 || left[0] != bad {
		t.Fatalf("Replay leaves out %v, %v; want %v", left, err, bad)
	}
	for _, entry := range []Entry{entries[0], entries[1], entries[3]} {
		e.Step(entry.Now, entry.Input)
	}
	if a, b := text(t, got.Snapshot()), text(t, e.Snapshot()); a != b {
		t.Errorf("replayed:\n%s\nlived without:\n%s", a, b)
	}
	if !strings.Contains(text(t, got.Snapshot()), "svc") {
		t.Error("nothing is left")
	}
	if _, err := os.Stat(filepath.Join("testdata", "v1.state.new")); err == nil {
		t.Error("a file that was not taken into use is left")
	}
}

// TestStartupDue: it is due until it was emitted, or something runs that an
// earlier daemon has started, or the last daemon died of it; over the file too.
func TestStartupDue(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	define := engine.SetClass{Class: svc(t)}
	for _, c := range []struct {
		name string
		in   []engine.Input
		want bool
	}{
		{"nothing has happened", nil, true},
		{"jobs were defined", []engine.Input{define}, true},
		{"it was emitted", []engine.Input{define, engine.Emit{Name: "startup", Startup: true}}, false},
		{"somebody else emitted it", []engine.Input{define, engine.Emit{Name: "startup"}}, true},
		{"a process was found", []engine.Input{define, engine.Adopt{Class: "svc", Instance: "9", Pid: 77}}, false},
		{"a process of an unknown job was found", []engine.Input{engine.Adopt{Class: "svc", Instance: "9", Pid: 77}}, false},
	} {
		e := engine.New(engine.Config{})
		j, err := Create(path, boot, e.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		live(t, j, e, c.in)
		j.Close()
		snapshot, entries, err := Load(path, boot)
		if err != nil {
			t.Fatal(err)
		}
		next, left, err := Replay(engine.Config{}, snapshot, entries)
		if err != nil || len(left) > 0 {
			t.Fatal(err, left)
		}
		after, err := engine.Restore(engine.Config{}, next.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		for who, of := range map[string]*engine.Engine{"the engine": e, "the next": next, "one after that": after} {
			if got := of.View().StartupDue(); got != c.want {
				t.Errorf("%s: StartupDue of %s = %t; want %t", c.name, who, got, c.want)
			}
		}
	}
}

// TestStartupLeftOut: a startup event that the engine dies of comes once, not to
// each daemon anew.
func TestStartupLeftOut(t *testing.T) {
	broken := svc(t)
	broken.StartOn = &events.Expr{Nodes: []events.Node{{Op: events.OpMatch, Match: &events.Match{Name: "startup"}}, {Op: events.OpAnd}}}
	entries := []Entry{{0, engine.SetClass{Class: broken}}, {time.Second, engine.Emit{Name: "startup", Startup: true}}}
	next, left, err := Replay(engine.Config{}, engine.New(engine.Config{}).Snapshot(), entries)
	if err != nil || len(left) != 1 || left[0].Now != time.Second {
		t.Fatalf("Replay leaves out %v, %v; want the event", left, err)
	}
	if next.View().StartupDue() {
		t.Error("the event is due still")
	}
}
