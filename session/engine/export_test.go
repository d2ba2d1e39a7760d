package engine

// SnapshotSubjects returns the types that a snapshot must hold whole, with
// their fields as they were when it was written. Left out on purpose: what
// is derived (index, watches, links, maps), the configuration, and what is
// empty between two steps.
func SnapshotSubjects() []struct {
	Of    any
	Known string
} {
	return []struct {
		Of    any
		Known string
	}{
		{Engine{}, "cfg now effects queue index found classes order instances procs sweeps leftovers calls lastInst wanted lastProc deadlines ending budget stepBudget unfinished table firstTable"},
		{class{}, "def kept drop startOn watch instances first last nextSeq failure"},
		{instance{}, "id class name seq prev next goal state again gone env startEvents nextEnv nextEvents hasNext stopEnv stopEvents stopOn watch procs mainRan main forks settling note owner ends blocker waiters failed failure result respawnSince respawnCount deadline lateStart"},
		{ends{}, "left byItself finished struck sweeping force"},
		{leftover{}, "owner class label strays why"},
		{deadline{}, "at seq in kind dead"},
		{process{}, "id pid"},
		{waiter{}, "event call verb"},
		{ending{}, "begun event cut quit moves"},
		{failure{}, "process status"},
	}
}
