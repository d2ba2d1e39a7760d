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
		{Engine{}, "cfg now effects queue index found classes order instances procs sweeps leftovers calls hooks asking lastInst wanted lastProc deadlines ending budget stepBudget unfinished table firstTable"},
		{class{}, "def kept drop startOn watch first last byName nextSeq failure past"},
		{instance{}, "id class name seq prev next goal state since wish again gone env startEvents nextEnv nextEvents hasNext edits stopEnv stopEvents stopOn watch procs sent mainRan main forks settling note owner ends blocker waiters failed failure result respawnSince respawnCount ranSince respawnDelay delayed deadline lateStart"},
		{ends{}, "left byItself finished struck sweeping force"},
		{leftover{}, "owner class label strays why stuck signal group procs"},
		{stuckProcess{}, "process kind"},
		{deadline{}, "at seq in kind dead"},
		{process{}, "id pid"},
		{waiter{}, "event call verb"},
		{ending{}, "begun event cut quit moves outlived"},
		{failure{}, "process status"},
		{wish{}, "reason verb force at by events"},
		{sent{}, "signal sender"},
		{past{}, "main any failed failedBy reason status rested restedAs last"},
	}
}
