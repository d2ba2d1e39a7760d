package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/session-init/session-init/session"
	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/display/variable"
)

// tableTime is how long the daemon is waited for to tell them: it has just let the
// session begin, and who waits looks at a dark screen.
const tableTime = 2 * time.Second

// table returns the variables that "sctl set-env --global" has set for all jobs,
// and that an environment has not: an agent says by one where it is, and what is
// started in a terminal of the desktop looks for it there. What the daemon itself
// was started with is another login's, but for the bus, which is the user's. What
// cannot be had is left out: the desktop runs without it.
func (l *loginRun) table(have []string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), tableTime)
	defer cancel()
	// A connection of its own: one that was waited for in vain is of no use after.
	client, err := api.Dial(ctx, l.address)
	if err != nil {
		return nil
	}
	defer client.Close()
	body, err := client.Call(ctx, api.ManagerPath, api.ManagerInterface, "ListEnv", []string{})
	if err != nil || len(body) != 1 {
		return nil
	}
	entries, _ := body[0].([]string)
	_, rest := session.LoginVariables(entries)
	rest = slices.DeleteFunc(rest, func(entry string) bool {
		key, value, _ := strings.Cut(entry, "=")
		return value == "" || lookup(have, key) != ""
	})
	asked := make([]api.Request, len(rest))
	for i, entry := range rest {
		key, _, _ := strings.Cut(entry, "=")
		asked[i] = api.Request{Path: api.ManagerPath, Interface: api.ManagerExtension, Member: "GetLayers", Args: []any{key, uint32(0)}}
	}
	replies, err := client.CallAll(ctx, asked)
	if err != nil {
		return nil
	}
	var out []string
	for i, entry := range rest {
		if strings.HasPrefix(entry, variable.Bus+"=") || wasSet(replies[i]) {
			out = append(out, entry)
		}
	}
	return out
}

// wasSet tells whether a variable has its value of somebody who set it, from the
// answer of GetLayers.
func wasSet(reply api.Reply) bool {
	if reply.Err != nil || len(reply.Body) != 1 {
		return false
	}
	layers, _ := reply.Body[0].([]any)
	return slices.ContainsFunc(layers, func(layer any) bool {
		told, _ := layer.(map[string]any)
		set, _ := told["set"].(bool)
		return set && told["layer"] == "table"
	})
}
