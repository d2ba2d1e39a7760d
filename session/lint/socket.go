package lint

import (
	"path"
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// judgeSocket finds out whether somebody has sockets that an operand waits for:
// the job itself by that very operand, or any other.
func (s *set) judgeSocket(o operand, stop bool) operand {
	if !stop && job.DeclaresSocket(o.match) {
		o.outside = true
		return o
	}
	o.outside, o.by = s.emitters(o.match.Name)
	o.outside = slices.ContainsFunc(s.jobs, func(j Job) bool { return declaresSockets(j.Class) })
	if !o.outside && len(o.by) == 0 {
		o.rule = UnknownEvent
		o.fault = "no job has a socket: only 'start on socket PROTO=…' makes one"
	}
	return o
}

func declaresSockets(class *job.Class) bool {
	return slices.ContainsFunc(operands(class.StartOn), job.DeclaresSocket)
}

// checkSockets looks at what a job declares besides its sockets, and whether
// another has one of them.
func (s *set) checkSockets(i int) {
	class := s.jobs[i].Class
	if !declaresSockets(class) {
		return
	}
	if class.Expect == job.ExpectListen {
		s.warn(i, s.keywords(i, "expect listen"), SocketListen,
			"the job is given sockets that listen already, so 'expect listen' waits for others (expected 'expect none', or 'expect notify')")
	}
	for n, m := range operands(class.StartOn) {
		if dir, missing := s.noDirectory(m); missing {
			s.warn(i, s.operand(i, "start on", n, 0), MissingDirectory, "there is no directory "+named(dir)+" for the socket")
		}
		other, ok := s.sharer(i, m)
		if ok {
			s.warn(i, s.operand(i, "start on", n, 0), SocketTaken, "job "+named(s.names[other])+" has that socket already: only one of them gets it")
		}
	}
}

// noDirectory tells whether the path of a socket, if it is known, leads to no
// directory. Those below a runtime directory are made.
func (s *set) noDirectory(m *events.Match) (dir string, missing bool) {
	list := job.Sockets(&events.Expr{Nodes: []events.Node{{Match: m}}}, nil)
	if s.world.Look == nil || len(list) == 0 || list[0].Fault != "" || !strings.HasPrefix(list[0].Path, "/") {
		return "", false
	}
	dir = path.Dir(list[0].Path)
	return dir, s.world.Look(dir) == Missing && !strings.HasPrefix(dir, "/run/user/")
}

// sharer finds another job, earlier in the set, with the socket of an operand.
func (s *set) sharer(i int, m *events.Match) (int, bool) {
	// Variables are the same for all, so their names serve as well.
	literal := func(key string) (string, bool) { return "/" + key, true }
	address := func(m *events.Match) string {
		list := job.Sockets(&events.Expr{Nodes: []events.Node{{Match: m}}}, literal)
		if len(list) == 0 || list[0].Fault != "" {
			return ""
		}
		return list[0].Address()
	}
	mine := address(m)
	if mine == "" {
		return 0, false
	}
	for k := range s.jobs[:i] {
		for _, other := range operands(s.jobs[k].Class.StartOn) {
			if address(other) == mine {
				return k, true
			}
		}
	}
	return 0, false
}
