package state

import (
	"fmt"
	"sync"
	"time"

	"encoding/gob"

	"github.com/session-init/session-init/session/engine"
)

// Entry is an input of the engine and when it came, by the engine's clock.
type Entry struct {
	Now   time.Duration
	Input engine.Input
}

// record is an Entry as it stands in the file. A definition is written as
// the text of its job file, which stays readable over versions.
type record struct {
	Now   time.Duration
	Input engine.Input
	Class *engine.SavedDefinition
}

// register tells gob the names of the inputs. They are part of the format:
// a type may be renamed, its name here may not.
var register = sync.OnceFunc(func() {
	for name, in := range map[string]engine.Input{
		"start": engine.Start{}, "stop": engine.Stop{}, "restart": engine.Restart{}, "reload": engine.Reload{},
		"emit": engine.Emit{}, "set-env": engine.SetEnv{}, "drop-class": engine.DropClass{}, "run-transient": engine.RunTransient{},
		"spawned": engine.Spawned{}, "spawn-failed": engine.SpawnFailed{}, "forked": engine.Forked{},
		"self-stopped": engine.SelfStopped{}, "ready": engine.Ready{}, "lacks": engine.Lacks{}, "found": engine.Found{}, "misfit": engine.Misfit{}, "notified": engine.Notified{}, "follow-ended": engine.FollowEnded{}, "exited": engine.Exited{},
		"swept": engine.Swept{}, "vacated": engine.Vacated{}, "force-stop": engine.ForceStop{},
		"adopt": engine.Adopt{}, "tick": engine.Tick{}, "abandon": engine.Abandon{},
		"connection": engine.Connection{}, "listening": engine.Listening{}, "listen-again": engine.ListenAgain{}, "shutdown": engine.Shutdown{},
		"session-open": engine.SessionOpen{}, "session-begin": engine.SessionBegin{}, "session-end": engine.SessionEnd{},
		"session-await": engine.SessionAwait{}, "session-lost": engine.SessionLost{}, "until-logout": engine.UntilLogout{},
	} {
		gob.RegisterName(name, in)
	}
})

func encodeEntry(e Entry) record {
	r := record{Now: e.Now, Input: e.Input}
	if set, ok := e.Input.(engine.SetClass); ok {
		definition := engine.Define(set.Class)
		r.Input, r.Class = nil, &definition
	}
	return r
}

func decodeEntry(r record) (Entry, error) {
	if r.Class != nil {
		class, err := r.Class.Parse()
		return Entry{r.Now, engine.SetClass{Class: class}}, err
	}
	if r.Input == nil {
		return Entry{}, fmt.Errorf("an entry without an input")
	}
	return Entry{r.Now, r.Input}, nil
}
