package main

import "strings"

// maxNext bounds the commands that are offered.
const maxNext = 3

// next gives the commands that lead on from here, the most likely first.
func (w *whyJob) next() []whyNext {
	n := nexts{}
	switch {
	case len(w.Cycles) > 0:
		n.add("sctl stop "+w.target(), "breaks the circle")
	case len(w.Instances) == 0:
		w.nextAtRest(&n)
	case len(w.Instances) == 1:
		w.nextOf(&n, &w.Instances[0])
	default:
		n.add("sctl why "+shellWord(w.Job)+" "+shellWord(w.Instances[0].Name), "tells of one instance")
	}
	if n.list == nil {
		n.list = []whyNext{}
	}
	return n.list
}

// retype has the commands of a report ask the same session-init.
func (r *whyReport) retype(c *command) {
	var list []whyNext
	switch {
	case r.Job != nil:
		list = r.Job.Next
	case r.Event != nil:
		list = r.Event.Next
	case r.Broken != nil:
		list = r.Broken.Next
	}
	for i := range list {
		list[i].Command = c.again(list[i].Command)
	}
}

type nexts struct{ list []whyNext }

func (n *nexts) add(command, purpose string) {
	for _, have := range n.list {
		if have.Command == command {
			return
		}
	}
	if len(n.list) < maxNext {
		n.list = append(n.list, whyNext{command, purpose})
	}
}

// addLogin says how there is a login session with a display.
func (n *nexts) addLogin() {
	n.add("session-init -- COMMAND", "runs a desktop and begins its login session")
	n.add("sctl session begin", "begins one, in the desktop's start-up file")
}

// target is how the instance that is told of is named to start and stop. What
// variables make a name of several parts is not known.
func (w *whyJob) target() string {
	name := ""
	switch {
	case len(w.Instances) == 1:
		name = w.Instances[0].Name
	case w.Instance != nil:
		name = *w.Instance
	case w.Rest != nil:
		name = w.Rest.Instance
	}
	switch {
	case w.variable != "" && name != "":
		return shellWord(w.Job) + " " + w.variable + "=" + shellWord(name)
	case w.variable != "":
		return shellWord(w.Job) + " " + w.variable + "=..."
	case name != "":
		return shellWord(w.Job) + " KEY=VALUE"
	}
	return shellWord(w.Job)
}

func (w *whyJob) nextAtRest(n *nexts) {
	failed := w.Failure != nil && w.Failure.Present
	if w.otherReason != "" {
		n.add("sctl check-config "+shellWord(w.Job), "shows what is wrong with its files")
	}
	if failed {
		if w.Log != nil {
			n.add("sctl log -n 50 "+shellWord(w.Job), "shows more of what it printed")
		}
		n.add("sctl edit "+shellWord(w.Job), "changes the job")
	}
	if w.StartOn != nil && !failed {
		for _, o := range w.StartOn.Operands {
			if !o.Came && o.Job != "" && !strings.HasPrefix(o.About, "there is no job") {
				n.add("sctl why "+shellWord(o.Job), "says why that did not come")
				break
			}
		}
	}
	if w.Manual != "" && strings.HasSuffix(strings.TrimRight(w.Manual, ":0123456789"), ".override") {
		n.add("sctl enable "+shellWord(w.Job), "lets it start by itself")
	}
	if w.displayless {
		n.addLogin()
		if w.variable == "" {
			n.add("sctl start "+w.target()+" DISPLAY=", "starts it without a display")
		}
		return
	}
	purpose := "starts it now"
	switch {
	case failed:
		purpose = "tries again"
	case w.StartOn != nil:
		purpose = "starts it now, whatever it waits for"
	}
	n.add("sctl start "+w.target(), purpose)
}

func (w *whyJob) nextOf(n *nexts, in *whyInstance) {
	for i := range w.Blocking {
		if b := &w.Blocking[len(w.Blocking)-1-i]; b.Job != w.Job {
			n.add("sctl why "+shellWord(b.Job), "says why it is held up by that")
			break
		}
	}
	for i := range in.Waits {
		switch wait := &in.Waits[i]; wait.For {
		case "process", "end", "leftovers":
			n.add("sctl stop --force "+w.target(), "ends its processes, whatever it waits for")
		case "ready":
			n.add("sctl help expect", "says what being ready means")
		case "respawn":
			n.add("sctl log -n 50 "+shellWord(w.Job), "shows why it ended")
			n.add("sctl stop "+w.target(), "gives it up")
		case "event":
			for _, h := range wait.HeldBy {
				if len(h.Missing) > 0 && len(h.Missing[0]) > 0 {
					n.add("sctl why "+shellWord(h.Job), "says what that still waits for")
				}
			}
		}
	}
	switch {
	case in.State == "running" && in.Goal == "start":
		n.add("sctl log -f "+shellWord(w.Job), "shows what it prints")
		n.add("sctl tree "+shellWord(w.Job), "shows its processes")
		n.add("sctl stop "+w.target(), "stops it")
	case in.Goal == "start":
		n.add("sctl stop "+w.target(), "gives it up")
	}
}
