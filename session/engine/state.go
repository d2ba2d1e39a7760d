package engine

// Goal is what an instance is to become.
type Goal uint8

// The goals.
const (
	GoalStop Goal = iota
	GoalStart
)

func (g Goal) String() string { return [...]string{"stop", "start"}[g] }

// State is where an instance is.
type State uint8

// The states, in the order of a life.
const (
	Waiting State = iota
	Starting
	PreStart
	InSpawned
	PostStart
	Running
	PreStop
	Stopping
	Killed
	PostStop
	numStates
)

func (s State) String() string {
	return [...]string{"waiting", "starting", "pre-start", "spawned", "post-start",
		"running", "pre-stop", "stopping", "killed", "post-stop"}[s]
}

// facts are what nextState must know beside state and goal.
type facts struct {
	mainAlive bool // main runs, or is being made
	mainEnded bool // there was a main in this pass and it is gone
	again     bool // a respawn or a restart: through stopping, whatever the goal
	delayed   bool // a respawn whose delay is not over
}

// nextState is the table of package comment: where an instance goes that has
// got what it waited for. ok is false where nothing follows.
func nextState(s State, g Goal, f facts) (next State, ok bool) {
	start := g == GoalStart
	switch s {
	case Waiting:
		return pick(start, Starting, Waiting), start
	case Starting:
		return pick(start, PreStart, Stopping), true
	case PreStart:
		return pick(start, InSpawned, Stopping), true
	case InSpawned:
		return pick(start && !f.mainEnded && !f.again, PostStart, Stopping), true
	case PostStart:
		return pick(start && !f.mainEnded && !f.again, Running, Stopping), true
	case Running:
		return pick(!start && f.mainAlive, PreStop, Stopping), true
	case PreStop:
		return pick(start && !f.mainEnded && !f.again, Running, Stopping), true
	case Stopping:
		return Killed, true
	case Killed:
		return PostStop, true
	case PostStop:
		if start && f.delayed {
			return s, false
		}
		return pick(start, Starting, Waiting), true
	}
	return s, false
}

func pick(first bool, a, b State) State {
	if first {
		return a
	}
	return b
}
