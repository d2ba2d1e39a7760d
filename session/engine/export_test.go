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
		{Engine{}, "cfg now effects queue index found classes order instances procs sweeps leftovers calls hooks asking lastInst wanted lastProc deadlines ending budget stepBudget unfinished table firstTable origins logins lastLogin loggedOut files begun timings timed startupDue"},
		{class{}, "def entry kept drop startOn watch sockets first last byName nextSeq failure past"},
		{instance{}, "id class name entry seq prev next goal state again gone mainRan settling failed lateStart delayed stirred mover ends sent since wish begun env startEvents newer files edits stopEnv stopEvents stopOn watch procs main forks note ready said owner blocker waiters failure result respawnSince respawnCount respawnWaited ranSince respawnDelay deadline timing"},
		{beginning{}, "env events files"},
		{ends{}, "left byItself finished struck sweeping lasting status signal force"},
		{leftover{}, "owner class label strays why stuck signal group procs"},
		{stuckProcess{}, "process kind"},
		{deadline{}, "at seq in kind place"},
		{process{}, "id pid"},
		{sockets{}, "list faults shut since count"},
		{waiter{}, "event call verb"},
		{ending{}, "begun event cut quit until surveyed stirred movers outlived outlivers"},
		{failure{}, "process status"},
		{wish{}, "reason verb force at by events"},
		{sent{}, "signal sender"},
		{login{}, "id leader since display layer began at by start stop calls moving"},
		{origin{}, "key at by"},
		{past{}, "main any failed failedBy reason status rested restedAs last begun"},
	}
}
