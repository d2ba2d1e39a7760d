// Package state keeps what must survive the daemon: the engine, as a
// snapshot and the inputs that it took since. Because the engine is
// deterministic, replaying these inputs gives the engine that was lost, so
// that a crash or a re-exec loses no goal, no event and no timer.
//
// It knows nothing of processes (their record is kept by package supervise,
// in the same directory) and decides nothing: it writes, reads, and says when
// a file does not fit.
//
// # The file
//
// One file holds one snapshot and the inputs after it:
//
//	session-init state 1 BOOT\n
//	gob: engine.Snapshot
//	gob: entry, entry, ...
//
// BOOT is the kernel's boot id, since times and pids mean nothing after a
// boot. The gob stream (see encoding/gob) ignores fields that the reader does
// not know, and leaves those zero that the writer did not; a new version
// number is for what cannot be read so. An input is written before the engine
// takes it, in one write(2): a daemon that is killed leaves whole entries. An
// entry cut short by a full disk ends the file as if it were not there.
//
// A file that has grown is replaced: a new one is written beside it, with a
// new snapshot, while inputs still go to the old one; then it takes its name.
package state
