// Package sim is a world for the engine to live in: a supervisor that makes
// no processes, a clock that moves when it is told to, and a runner for
// stories, plain text files that say what is done, how time passes and what
// must have happened, in order.
//
// It knows nothing of the real system, and it never decides what an instance
// does: it only carries out the engine's effects and brings back the news
// that the process contract promises (one Spawned or SpawnFailed for each
// Spawn, after it Forked and SelfStopped, then one Exited, which is the
// last). It is pure like the engine: no goroutine, clock, file or map
// iteration, so that the same story gives the same trace, byte for byte.
//
// A World belongs to one goroutine.
package sim
