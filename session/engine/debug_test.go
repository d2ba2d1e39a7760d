package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
	"github.com/session-init/session-init/session/sim"
)

// diary collects what the engine logs.
type diary struct {
	*sim.World
	out strings.Builder
}

func newDiary(cfg engine.Config) *diary {
	d := &diary{World: sim.New(cfg)}
	d.Observe = func(_ engine.Input, effects []engine.Effect) {
		for _, effect := range effects {
			if l, ok := effect.(engine.Log); ok {
				fmt.Fprintf(&d.out, "%-5s [%s] %s\n", level[l.Level], engine.Label(l.Class, l.Instance), l.Msg)
			}
		}
	}
	return d
}

var level = map[engine.Level]string{engine.Debug: "debug", engine.Info: "info", engine.Warn: "warn", engine.ErrorLevel: "error"}

func (d *diary) title(text string) { fmt.Fprintf(&d.out, "\n== %s\n", text) }

// TestDebugTells lists the story that a daemon with --debug tells of a job's
// life, as a reader has checked it.
func TestDebugTells(t *testing.T) {
	d := newDiary(engine.Config{StopTimeout: 10 * time.Second, Debug: true})
	d.out.WriteString("# What a daemon with --debug tells, and what else it logs. In brackets the job.\n")

	d.title("a job with all processes comes and goes")
	d.Do(engine.SetClass{Class: mustParse(t, "svc", "start on up\nstop on down\nexpect fork\npre-start exec true\npost-start exec true\npre-stop exec true\npost-stop exec true\nexec forks 1")})
	d.Do(engine.Emit{Name: "up"})
	d.Do(engine.Emit{Name: "down"})

	d.title("one whose main dies is respawned, and then stopped by force")
	d.Do(engine.SetClass{Class: mustParse(t, "loop", "instance $N\nrespawn\nrespawn delay 2\nexec hang\npost-stop exec hang\nkill signal INT\nkill timeout 3")})
	d.Do(engine.Start{Call: 1, Target: engine.Target{Class: "loop"}, Env: []string{"N=one"}})
	d.Exit(d.Find("loop", "one", job.Main), 0, 11)
	d.Exit(d.Find("loop", "one", job.PostStop), 0, 0)
	d.Advance(2 * time.Second)
	d.Do(engine.ForceStop{Call: 2, Target: engine.Target{Class: "loop", Instance: "one", ByName: true}})
	d.Advance(20 * time.Second)

	d.title("debug is turned off")
	d.Engine.SetDebug(false)
	d.Do(engine.Emit{Name: "up"})
	d.Do(engine.Emit{Name: "down"})

	d.title("the session ends, and not all of it at once")
	d.Do(engine.SetClass{Class: mustParse(t, "deaf", "pre-start exec deaf\nexec deaf")})
	d.Do(engine.Start{Call: 3, Target: engine.Target{Class: "deaf"}})
	d.Engine.SetDebug(true)
	d.Do(engine.Shutdown{Type: "logout"})
	d.Advance(time.Minute)

	engine.Golden(t, "log.txt", d.out.String())
}
