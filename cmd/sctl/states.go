package main

// stateNames gives the states that are ever announced, in the order of a life.
func stateNames() []string {
	return []string{"waiting", "starting", "pre-start", "spawned", "post-start", "running", "pre-stop", "stopping", "killed", "post-stop"}
}

// jobEvents gives the events that session-init emits for every job.
func jobEvents() []string { return []string{"starting", "started", "stopping", "stopped"} }
