package session

// hearKeeper takes what the keeper says, for as long as there is one; had is its pid
// when the supervisor was made. It blocks: it wants a goroutine of its own.
func (d *Daemon) hearKeeper(had int) {
	d.opts.Keeper.Exits(d.processes.Ended, d.processes.AllEnded)
	if had == 0 {
		return // only what an earlier image has handed over
	}
	d.processes.KeeperGone()
	d.log.Warn("The keeper is gone: should this daemon die, nobody starts another, and the session is over", "pid", had)
}
