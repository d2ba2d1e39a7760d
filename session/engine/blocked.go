package engine

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// Who waits for whom. An instance in starting or stopping waits until its
// event has finished, and the event for every instance that it started or
// stopped: so the one waits for the others. The same holds for an instance
// whose hook asked for something and waits for the answer, since a hook is
// waited for without bound. Those who wait stand with the one that they wait
// for, in instance.waiters, and are found from there.
//
// A wait begins when it is noted there. It closes a cycle if the instance
// waited for waits itself, and in the end for the one that begins to wait: so
// that is looked for then, and only then. Nobody keeps a list of cycles, since
// whatever releases a waiter dissolves those that it was in.

// edge is a wait of one instance for another: for its event, when call is 0,
// or else for the answer to what a hook of it asked for.
type edge struct {
	from, to *instance
	event    *events.Event // nil for a hook that asked for a start or a stop
	call     CallID
	verb     verb
	hook     job.ProcessKind
}

// caller notes that a process of ours waits for the answer to a call, when it
// is a hook: it, or its child, which is how a script asks.
func (e *Engine) caller(call CallID, by *events.Caller) {
	if by == nil || by.Job == "" {
		return
	}
	c := e.classes[by.Job]
	if c == nil {
		return
	}
	in := c.instance(by.Instance)
	if in == nil {
		return
	}
	for kind := job.PreStart; kind < job.NumProcesses; kind++ {
		if p := in.procs[kind]; p.pid != 0 && (p.pid == by.Pid || p.pid == by.Parent || !in.alive(job.Main)) {
			e.hooks[call] = p.id
			e.asking[p.id]++
			return
		}
	}
}

// uncall forgets a call that waits no longer.
func (e *Engine) uncall(call CallID) {
	delete(e.calls, call)
	proc, known := e.hooks[call]
	if !known {
		return
	}
	delete(e.hooks, call)
	if e.asking[proc]--; e.asking[proc] <= 0 {
		delete(e.asking, proc)
	}
}

// held reports whether an instance waits, or may wait, for another one.
func (e *Engine) held(in *instance) bool {
	if in.blocker != nil {
		return in.blocker.Blockers > 0
	}
	if len(e.asking) == 0 {
		return false
	}
	for kind := job.PreStart; kind < job.NumProcesses; kind++ {
		if in.alive(kind) && e.asking[in.procs[kind].id] > 0 {
			return true
		}
	}
	return false
}

// waits gives the wait for an instance that a waiter stands for; ok is false
// when it is none of an instance.
func (e *Engine) waits(w waiter, to *instance) (edge, bool) {
	made := edge{to: to, event: w.event, call: w.call, verb: w.verb}
	if w.event != nil {
		if from := e.instances.get(w.event.Instance); from != nil && from.blocker == w.event {
			made.from = from
			return made, true
		}
		made.call = CallID(w.event.Call)
	}
	proc, known := e.hooks[made.call]
	if !known {
		return edge{}, false
	}
	// A hook that is gone is waited for no longer.
	made.from, made.hook = e.locate(proc)
	return made, made.from != nil
}

// eachWait yields the waits for an instance, in the order in which they began.
func (e *Engine) eachWait(to *instance, yield func(edge)) {
	for _, w := range to.waiters {
		if wait, ok := e.waits(w, to); ok {
			yield(wait)
		}
	}
}

// holdsUp reports whether in can only come to rest once ev has finished:
// whether it waits for the event itself, or for an instance that does.
func (e *Engine) holdsUp(ev *events.Event, in *instance) bool {
	if ev.Instance == in.id {
		return true
	}
	// It may wait for nobody, and the look is long in a chain.
	return e.held(in) && slices.ContainsFunc(e.upTo(e.instances.get(ev.Instance)), func(w edge) bool { return w.from == in })
}

// upTo returns the waits for an instance, for those that wait for it, and so
// on: those of one instance together, the nearest first.
func (e *Engine) upTo(in *instance) []edge {
	if in == nil {
		return nil
	}
	var found []edge
	seen := map[*instance]bool{in: true}
	for todo := []*instance{in}; len(todo) > 0; todo = todo[1:] {
		e.eachWait(todo[0], func(w edge) {
			found = append(found, w)
			if !seen[w.from] {
				seen[w.from] = true
				todo = append(todo, w.from)
			}
		})
	}
	return found
}

// noticeCycle is called when the last of an instance's waiters has begun to
// wait. It names the cycles that this closes in the log.
func (e *Engine) noticeCycle(in *instance) {
	if !e.held(in) {
		return
	}
	begun, ok := e.waits(in.waiters[len(in.waiters)-1], in)
	if !ok {
		return
	}
	for _, cycle := range cycles(append(e.upTo(begun.from), begun), &begun) {
		first := cycle[0].from
		e.logf(Warn, first, "%s", cycleText(cycle))
	}
}

// Cycle is instances that wait for each other: the first for the second, and
// so on, and the last for the first.
type Cycle struct {
	Members []Member
	// Text says who waits for what, as "a waits for starting b, b waits for
	// starting a".
	Text string
}

// Member is an instance of a Cycle.
type Member struct {
	Class, Instance string
	State           State
}

// BlockedCycles returns the cycles that there are, sorted by their text: each
// wait that is in any is in one of them.
func (v View) BlockedCycles() []Cycle {
	var all []edge
	for _, c := range v.e.order {
		for in := c.first; in != nil; in = in.next {
			if len(in.waiters) > 0 && v.e.held(in) {
				v.e.eachWait(in, func(w edge) { all = append(all, w) })
			}
		}
	}
	var out []Cycle
	for _, cycle := range cycles(trim(all), nil) {
		told := Cycle{Text: cycleText(cycle)}
		for _, w := range cycle {
			told.Members = append(told.Members, Member{w.from.class.def.Name, w.from.name, w.from.state})
		}
		out = append(out, told)
	}
	slices.SortFunc(out, func(a, b Cycle) int { return cmp.Compare(a.Text, b.Text) })
	return out
}

// inCycle reports whether an instance waits, in the end, for itself.
func (e *Engine) inCycle(in *instance) bool {
	return e.held(in) && slices.ContainsFunc(e.upTo(in), func(w edge) bool { return w.from == in })
}

// maxCycles bounds how many cycles are told of at once. A few jobs can form
// very many, and what matters is that each wait is in one of them.
const maxCycles = 32

// cycles returns cycles of these waits, shortest first for each wait, until
// each wait that is in a cycle is in one that is returned. With through these
// are cycles through that wait only. Each begins with the member that comes
// first by class and age.
func cycles(waits []edge, through *edge) [][]edge {
	from := make(map[*instance][]edge)
	for _, w := range waits {
		if !slices.ContainsFunc(from[w.from], func(have edge) bool { return have.to == w.to }) {
			from[w.from] = append(from[w.from], w)
		}
	}
	type pair struct{ from, to *instance }
	covered := make(map[pair]bool)
	var out [][]edge
	add := func(cycle []edge) {
		any := false
		for _, w := range cycle {
			any = any || !covered[pair{w.from, w.to}]
			covered[pair{w.from, w.to}] = true
		}
		if any && len(out) < maxCycles {
			out = append(out, rotate(cycle))
		}
	}
	var within map[*instance]bool
	if through != nil {
		// What the closing wait has closed first, then what else it has.
		if back := path(from, through.to, through.from, nil); back != nil {
			add(append(back[:len(back):len(back)], *through))
		} else if through.to == through.from {
			add([]edge{*through})
		} else {
			return nil
		}
		within = reach(from, through.to)
	}
	for _, w := range waits {
		if covered[pair{w.from, w.to}] || len(out) >= maxCycles {
			continue
		}
		switch {
		case through == nil && w.from == w.to:
			add([]edge{w})
		case through == nil:
			if back := path(from, w.to, w.from, nil); back != nil {
				add(append(back, w))
			}
		case w.from == through.from || w.to == through.to || w.from == w.to || !within[w.from]:
			// It is in no cycle together with that wait.
		default:
			if cycle := throughBoth(from, *through, w); cycle != nil {
				add(cycle)
			}
		}
	}
	return out
}

// throughBoth returns a cycle through two waits, or nil when there is none, or
// none that is as short as it can be on both ways.
func throughBoth(from map[*instance][]edge, first, second edge) []edge {
	there := path(from, first.to, second.from, map[*instance]bool{first.from: true})
	if there == nil && first.to != second.from {
		return nil
	}
	avoid := map[*instance]bool{first.to: true}
	for _, w := range there {
		avoid[w.to] = true
	}
	if avoid[second.to] {
		return nil
	}
	back := path(from, second.to, first.from, avoid)
	if back == nil && second.to != first.from {
		return nil
	}
	return slices.Concat([]edge{first}, there, []edge{second}, back)
}

// path returns the shortest way along the waits, none that touches what is to
// be avoided; nil when there is none, or when it begins where it ends.
func path(from map[*instance][]edge, start, end *instance, avoid map[*instance]bool) []edge {
	if start == end {
		return nil
	}
	came := map[*instance]edge{start: {}}
	for todo := []*instance{start}; len(todo) > 0; todo = todo[1:] {
		for _, w := range from[todo[0]] {
			if _, seen := came[w.to]; seen || avoid[w.to] {
				continue
			}
			came[w.to] = w
			if w.to != end {
				todo = append(todo, w.to)
				continue
			}
			var way []edge
			for at := end; at != start; at = came[at].from {
				way = append(way, came[at])
			}
			slices.Reverse(way)
			return way
		}
	}
	return nil
}

// reach returns whom an instance waits for, in the end.
func reach(from map[*instance][]edge, start *instance) map[*instance]bool {
	seen := map[*instance]bool{start: true}
	for todo := []*instance{start}; len(todo) > 0; todo = todo[1:] {
		for _, w := range from[todo[0]] {
			if !seen[w.to] {
				seen[w.to] = true
				todo = append(todo, w.to)
			}
		}
	}
	return seen
}

// trim leaves out the waits that are in no cycle, as those of a long chain, in
// a time proportional to their number: what is left joins instances each of
// which waits, in the end, for the other (Kosaraju's way to find those).
func trim(waits []edge) []edge {
	out, into := make(map[*instance][]*instance), make(map[*instance][]*instance)
	for _, w := range waits {
		out[w.from] = append(out[w.from], w.to)
		into[w.to] = append(into[w.to], w.from)
	}
	// Each instance after all that it waits for, as far as there is a first.
	var order []*instance
	looked := make(map[*instance]int) // 1, and at how many it waits for
	for _, w := range waits {
		if looked[w.from] > 0 {
			continue
		}
		looked[w.from] = 1
		for way := []*instance{w.from}; len(way) > 0; {
			at := way[len(way)-1]
			if i := looked[at] - 1; i < len(out[at]) {
				looked[at]++
				if to := out[at][i]; looked[to] == 0 {
					looked[to] = 1
					way = append(way, to)
				}
				continue
			}
			order = append(order, at)
			way = way[:len(way)-1]
		}
	}
	group := make(map[*instance]*instance)
	for _, first := range slices.Backward(order) {
		if group[first] != nil {
			continue
		}
		group[first] = first
		for todo := []*instance{first}; len(todo) > 0; todo = todo[1:] {
			for _, in := range into[todo[0]] {
				if group[in] == nil {
					group[in] = first
					todo = append(todo, in)
				}
			}
		}
	}
	return slices.DeleteFunc(waits, func(w edge) bool { return group[w.from] != group[w.to] })
}

// rotate lets a cycle begin with the member that comes first by class and
// age, so that it reads the same whichever wait has closed it.
func rotate(cycle []edge) []edge {
	least := 0
	for i, w := range cycle {
		a, b := w.from, cycle[least].from
		if cmp.Or(cmp.Compare(a.class.def.Name, b.class.def.Name), cmp.Compare(a.id, b.id)) < 0 {
			least = i
		}
	}
	return slices.Concat(cycle[least:], cycle[:least])
}

func cycleText(cycle []edge) string {
	texts := make([]string, len(cycle))
	for i, w := range cycle {
		texts[i] = w.String()
	}
	return strings.Join(texts, ", ")
}

// String gives "a waits for starting b": a waits until b has got beyond
// starting. Of a hook that asked it names what it asked for.
func (w edge) String() string {
	text := w.from.label() + " waits for " + w.to.state.String() + " " + w.to.label()
	switch {
	case w.call == 0:
		return text
	case w.event != nil:
		return text + " (its " + w.hook.String() + " process emits " + w.event.Name + ")"
	}
	return text + " (its " + w.hook.String() + " process " + w.verb.String() + "s it)"
}

func (v verb) String() string { return [...]string{"start", "stop", "restart"}[v] }

// SavedHook is a hook that waits for the answer to a call.
type SavedHook struct {
	Call CallID
	Proc ProcID
}

func (e *Engine) saveHooks() []SavedHook {
	var out []SavedHook
	for _, call := range slices.Sorted(maps.Keys(e.hooks)) {
		out = append(out, SavedHook{call, e.hooks[call]})
	}
	return out
}

func (e *Engine) restoreHooks(saved []SavedHook) {
	for _, h := range saved {
		if e.calls[h.Call] && e.hooks[h.Call] == 0 {
			e.hooks[h.Call] = h.Proc
			e.asking[h.Proc]++
		}
	}
}
