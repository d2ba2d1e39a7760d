package sim

import (
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
)

// parseID reads the number of a login session; 0 for what is none.
func parseID(word string) uint64 {
	id, _ := strconv.ParseUint(word, 10, 64)
	return id
}

// session is a step about login sessions.
func (t *teller) session(verb string, rest []string) error {
	as, by := "", &events.Caller{}
	var words []string
	var env events.Env
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == "as" && i+1 < len(rest):
			i++
			as = rest[i]
		case rest[i] == "in" && i+1 < len(rest):
			i++
			by.Session = parseID(rest[i])
		case strings.Contains(rest[i], "="):
			env = append(env, rest[i])
		default:
			words = append(words, rest[i])
		}
	}
	first, id := "", uint64(0)
	if len(words) > 0 {
		first = words[0]
	}
	if len(words) > 1 {
		id = parseID(words[1])
	}
	if first == "" && verb != "end-session" && verb != "logged-out" && verb != "logged-in" {
		return errUsage
	}
	if as == "" {
		as = strings.Join(append([]string{verb}, words...), " ")
	}
	by.Command = as
	switch verb {
	case "open-session":
		t.world.Do(engine.SessionOpen{Call: t.call(as), By: by, Leader: int(parseID(first)), Since: 1, Env: env})
	case "begin-session":
		t.world.Do(engine.SessionBegin{Call: t.call(as), By: by, ID: id, Display: first, Env: env})
	case "end-session":
		t.world.Do(engine.SessionEnd{Call: t.call(as), By: by, ID: parseID(first)})
	case "await-session":
		t.world.Do(engine.SessionAwait{Call: t.call(as), ID: parseID(first)})
	case "logged-out", "logged-in":
		t.world.Do(engine.UntilLogout{Call: t.call(as), By: by, On: verb == "logged-out"})
	case "lose-leader":
		t.world.Do(engine.SessionLost{Leader: int(parseID(first)), Since: 1})
	case "lose-display":
		t.world.Do(engine.SessionLost{Display: first})
	}
	return nil
}
