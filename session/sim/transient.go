package sim

import (
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// transient is a step that runs the job file below it, which is nowhere else.
func (t *teller) transient(s step) error {
	if len(s.words) < 2 {
		return errUsage
	}
	name, wait := s.words[1], true
	as, by := "run "+name, &events.Caller{}
	var env events.Env
	for i := 2; i < len(s.words); i++ {
		switch word := s.words[i]; {
		case word == "in" && i+1 < len(s.words):
			i++
			by.Session = parseID(s.words[i])
		case word == "as" && i+1 < len(s.words):
			i++
			as = s.words[i]
		case word == "nowait":
			wait = false
		case strings.Contains(word, "="):
			env = append(env, word)
		default:
			return errUsage
		}
	}
	by.Command = as
	t.world.Do(engine.RunTransient{Call: t.call(as), By: by, Env: env, Wait: wait,
		Definition: engine.SavedDefinition{Name: name, Text: strings.Join(dedent(s.block), "\n") + "\n"}})
	return nil
}
