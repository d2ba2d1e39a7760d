package sim

import (
	"strings"

	"github.com/session-init/session-init/session/engine"
)

// socket tells what happens at the sockets of a job.
func (t *teller) socket(verb string, words []string) error {
	if verb == "listen-again" && len(words) == 0 {
		t.world.Do(engine.ListenAgain{})
		return nil
	}
	if len(words) < 2 {
		return errUsage
	}
	switch verb {
	case "connect":
		t.world.Do(engine.Connection{Class: words[0], Address: words[1]})
	case "lack-socket":
		t.world.Do(engine.Listening{Class: words[0], Faults: []engine.SocketFault{{Address: words[1], Reason: strings.Join(words[2:], " ")}}})
	}
	return nil
}
