package engine_test

import (
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// fuzzJobs are the definitions that a fuzzed session chooses from.
var fuzzJobs = []string{
	"start on up\nstop on down\nexec hang\npost-stop exec true",
	"start on up and go\nstop on down or go\ntask\nexec sleep 1\npre-start exec sleep 1",
	"instance $N\nstart on up N=*\nstop on down N=$N\nrespawn\nrespawn limit 2 1\nexec deaf\nkill timeout 1\nexport N",
	"start on starting a or started b\nstop on stopping a\npre-stop exec sleep 2\nexec quits 3\nexpect fork",
	"start on stopped a\nstop on started b\npost-start exec false\nexec late 1 die SEGV",
	"start on stopping a and up\ntask\nrespawn\nexec exit 3\nnormal exit 3",
	"start on up\nstop on down\nrespawn\nrespawn delay 1\nrespawn backoff 2 3\nexec hang\npost-stop exec true",
}

// FuzzEngine reads bytes as what is said to an engine, true or false: wishes,
// news of processes that exist and of such that do not, the contract kept or
// broken. Whatever is said, nothing panics, and the session can be ended.
func FuzzEngine(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x01\x00\x02\x03\x01\x08\x00\x01"))
	f.Add([]byte("\x03\x00\x01\x03\x01\x01\x09\x01\x00\x0a\x02\x00\x0b\x05\x05\x0d\x01\x01\x02\x00\x00"))
	f.Add([]byte("\x0e\x02\x02\x00\x02\x01\x09\x01\x00\x0b\x01\x00\x0c\x40\x00\x0f\x00\x00\x0b\x02\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e := engine.New(modelConfig)
		e.SetStepBudget(modelBudget)
		classes := []string{"a", "b", "c"}
		for i, name := range classes {
			e.Step(0, engine.SetClass{Class: mustParse(t, name, fuzzJobs[i])})
		}
		var now time.Duration
		var call engine.CallID
		answered := make(map[engine.CallID]int)
		over := false
		alive := make(map[engine.ProcID]bool)
		step := func(in engine.Input) {
			for _, effect := range e.Step(now, in) {
				switch effect := effect.(type) {
				case engine.Reply:
					if answered[effect.Call]++; answered[effect.Call] > 1 {
						t.Fatalf("call %d is answered twice", effect.Call)
					}
				case engine.Spawn:
					alive[effect.Proc] = true
				case engine.Quit:
					over = true
				}
			}
		}
		const most = 200
		for i := 0; i+2 < len(data) && i < 3*most; i += 3 {
			what, x, y := data[i], data[i+1], data[i+2]
			call++
			target := engine.Target{Class: classes[int(x)%len(classes)]}
			if x >= 128 {
				target.ByName, target.Instance = true, string(rune('0'+y%3))
			}
			env := []events.Env{nil, {"N=1"}, {"N=2", "N=3"}, {"BAD"}, {"=", "N="}, {"JOB=a", "INSTANCE=1"}}[int(y)%6]
			proc := engine.ProcID(x % 32)
			switch what % 18 {
			case 0, 1:
				step(engine.Start{Call: call, Target: target, Env: env, Wait: y < 128})
			case 2:
				step(engine.Stop{Call: call, Target: target, Env: env, Wait: y < 128})
			case 3:
				step(engine.Restart{Call: call, Target: target, Env: env, Wait: y < 128})
			case 4:
				step(engine.Reload{Call: call, Target: target})
			case 5, 6:
				step(engine.Emit{Call: call, Name: []string{"up", "down", "go", "", "started"}[int(x)%5], Env: env, Wait: y < 128})
			case 7:
				step(engine.SetEnv{Call: call, Class: []string{"", "a", "c"}[int(x)%3], Target: string(rune('0' + y%3)), Entries: env, Unset: []string{"N"}, Replace: y < 128, Reset: y%5 == 0})
			case 8:
				step(engine.SetClass{Class: mustParse(t, target.Class, fuzzJobs[int(y)%len(fuzzJobs)])})
			case 9:
				step(engine.Spawned{Proc: proc, Pid: int(y) + 1})
			case 10:
				step(engine.SpawnFailed{Proc: proc, Reason: "x"})
				delete(alive, proc)
			case 11, 12:
				step(engine.Exited{Proc: proc, Status: int(y) % 4, Signal: int(y) / 64})
				delete(alive, proc)
			case 13:
				step(engine.Forked{Proc: proc, Pid: int(y)})
			case 14:
				step(engine.SelfStopped{Proc: proc})
			case 15:
				// The clock may even go back; the engine's does not.
				now += time.Duration(int(x)-8) * 100 * time.Millisecond
				step(engine.Tick{})
			case 16:
				step(engine.Abandon{Call: engine.CallID(x)})
			case 17:
				step(engine.DropClass{Name: target.Class})
			}
			for _, n := range []string{"up", "down", "started", "stopping"} {
				if wrong := e.CheckIndex(n, env); len(wrong) > 0 {
					t.Fatal(wrong)
				}
			}
		}
		step(engine.Shutdown{Type: "logout"})
		for range 100 {
			now += time.Second
			step(engine.Tick{})
		}
		if !over {
			t.Fatalf("the session does not end")
		}
	})
}
