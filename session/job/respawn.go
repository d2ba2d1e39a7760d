package job

import "time"

// NextRespawn returns how long a respawn waits after one that waited last; 0
// is the first in a row. It is 0 for a class that respawns at once.
func (c *Class) NextRespawn(last time.Duration) time.Duration {
	if c.RespawnFactor == 0 {
		return c.RespawnDelay
	}
	next := c.RespawnDelay
	switch {
	case last > c.RespawnMax/time.Duration(c.RespawnFactor):
		// Also where the product would be too large to be counted.
		return c.RespawnMax
	case last > 0:
		next = last * time.Duration(c.RespawnFactor)
	case next == 0:
		next = DefaultRespawnDelay
	}
	return min(next, c.RespawnMax)
}

// GoodRun returns how long a run must have been, and more, for a delay that
// has grown to begin anew: the interval of "respawn limit", or its default
// where that is 0, since then every run would do.
func (c *Class) GoodRun() time.Duration {
	if c.RespawnInterval == 0 {
		return DefaultRespawnInterval
	}
	return c.RespawnInterval
}
