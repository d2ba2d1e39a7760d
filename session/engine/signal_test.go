package engine

import (
	"testing"

	"github.com/session-init/session-init/session/job"
)

// A signal that a caller wants goes to main in the place of the reload signal,
// and it is known who wanted it.
func TestReloadWithSignal(t *testing.T) {
	for _, test := range []struct {
		signal, sent int
		sender       Sender
	}{{0, 1, SentToReload}, {10, 10, SentByCaller}, {1, 1, SentByCaller}} {
		class, problems := job.Parse("svc", "svc.conf", []byte("exec x"))
		if class == nil {
			t.Fatal(problems)
		}
		e := New(Config{})
		e.Step(1, SetClass{Class: class})
		var proc ProcID
		for _, effect := range e.Step(2, Start{Target: Target{Class: "svc"}}) {
			if spawn, ok := effect.(Spawn); ok {
				proc = spawn.Proc
			}
		}
		e.Step(3, Spawned{Proc: proc, Pid: 100})
		var sent []int
		for _, effect := range e.Step(4, Reload{Target: Target{Class: "svc"}, Signal: test.signal}) {
			if kill, ok := effect.(Kill); ok && kill.Proc == proc {
				sent = append(sent, kill.Signal)
			}
		}
		if len(sent) != 1 || sent[0] != test.sent {
			t.Errorf("Reload with signal %d sends %v; want %d", test.signal, sent, test.sent)
		}
		e.Step(5, Exited{Proc: proc, Signal: test.sent})
		why, _ := e.View().WhyClass("svc")
		if why.Main.Signal != test.sent || why.Main.Sender != test.sender {
			t.Errorf("after Reload with signal %d main ended by %d of %v; want %d of %v", test.signal, why.Main.Signal, why.Main.Sender, test.sent, test.sender)
		}
	}
}
