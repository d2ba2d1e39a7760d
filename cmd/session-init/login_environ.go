package main

import (
	"context"
	"slices"
	"strings"

	"github.com/session-init/session-init/session"
	"github.com/session-init/session-init/session/api"
)

// busVariable is where the session bus is.
const busVariable = "DBUS_SESSION_BUS_ADDRESS"

// table returns the variables that "sctl set-env --global" has set for all jobs,
// and that an environment has not: an agent says by one where it is, and what is
// started in a terminal of the desktop looks for it there. What the daemon itself
// was started with is another login's, but for the bus, which is the user's. What
// cannot be had is left out: the desktop runs without it.
func (l *loginRun) table(have []string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	body, err := l.client.Call(ctx, api.ManagerPath, api.ManagerInterface, "ListEnv", []string{})
	if err != nil || len(body) != 1 {
		return nil
	}
	entries, _ := body[0].([]string)
	_, rest := session.LoginVariables(entries)
	var out []string
	for _, entry := range rest {
		key, value, _ := strings.Cut(entry, "=")
		switch {
		case lookup(have, key) != "" || value == "":
		case key == busVariable:
			out = append(out, entry)
		case l.wasSet(ctx, key):
			out = append(out, entry)
		}
	}
	return out
}

// wasSet tells whether a variable has its value of somebody who set it.
func (l *loginRun) wasSet(ctx context.Context, key string) bool {
	body, err := l.client.Call(ctx, api.ManagerPath, api.ManagerExtension, "GetLayers", key, uint32(0))
	if err != nil || len(body) != 1 {
		return false
	}
	layers, _ := body[0].([]any)
	return slices.ContainsFunc(layers, func(layer any) bool {
		told, _ := layer.(map[string]any)
		set, _ := told["set"].(bool)
		return set && told["layer"] == "table"
	})
}
