package desktop

import (
	"strings"

	"github.com/session-init/session-init/session/job"
)

// An application is often meant to be started by several: by a desktop entry, by
// a job that the user has written or enabled, by the bus. The first of these
// steps back: where there is a job that starts by itself and is the same
// application, its entry starts by hand only. The bus asks that job too.

// Names gives the names by which a job is known to be an application: its own,
// or that of its desktop entry, also without the domain that the name of an
// application on the bus begins with (org.example.App is App), in lower case;
// and the name that it owns on the bus.
func Names(c *job.Class) []string {
	id := strings.ToLower(strings.TrimPrefix(c.Name, JobPrefix))
	out := []string{id}
	short := func(name string) {
		if at := strings.LastIndexByte(name, '.'); strings.Count(name, ".") >= 2 && at+1 < len(name) {
			out = append(out, name[at+1:])
		}
	}
	short(id)
	if name := strings.ToLower(c.BusName); name != "" && name != id {
		out = append(out, name)
	}
	return out
}

// beginning of what stands in the description of a job that has stepped back.
const insteadOf = "not started by itself, as the same application is the job "

// Yield gives the job of an entry as it is while another job is the same
// application: without a condition.
func Yield(c *job.Class, to string) *job.Class {
	out := *c
	out.StartOn = nil
	out.Description = strings.TrimPrefix(c.Description+"; "+insteadOf+to, "; ")
	return &out
}

// YieldsTo returns the job that is started in the place of an entry's; empty
// when none is.
func YieldsTo(c *job.Class) string {
	at := strings.LastIndex(c.Description, insteadOf)
	if at < 0 || c.StartOn != nil {
		return ""
	}
	return c.Description[at+len(insteadOf):]
}
