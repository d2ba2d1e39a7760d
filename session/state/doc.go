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
// One file (0600) holds one snapshot and the inputs after it:
//
//	session-init state 1 BOOT\n
//	gob: engine.Snapshot
//	gob: entry, entry, ...
//
// The 1 is the version of the form. BOOT is the kernel's boot id, since times
// and pids mean nothing after a boot: a file of another boot is no state, and no
// error. What follows the line is one gob stream (see encoding/gob), which
// describes its own types. The first value is a struct engine.Snapshot, each
// further one a struct of
//
//	Now    time.Duration            when the input came, by the engine's clock
//	Input  engine.Input             nil when Class is there
//	Class  *engine.SavedDefinition  a job definition that was set
//
// Inputs go by the names that codec.go gives them, which stay when a type is
// renamed. Definitions, here and in the snapshot, are the text of a job file.
//
// A gob decoder ignores fields that it does not know, and leaves those zero that
// the writer did not: so fields may be added. A new kind of input can be read by
// newer readers only. The version number is for a form that cannot be read so;
// Snapshot has one of its own, for a layout that means something else. A file
// that cannot be read is an error of Load, and its reader does without.
//
// # Writing
//
// An input is written before the engine takes it, in one write(2): a daemon that
// is killed leaves whole entries. The page cache is enough, since a state does
// not outlive the boot. What a write leaves of an entry when the disk is full is
// taken back; should a piece stay all the same, reading ends before it.
//
// Each daemon begins with a new file. One that has grown beyond 1 MiB and beyond
// four times its snapshot is replaced: a new one is written beside it (".new"),
// with a new snapshot, while inputs still go to the old one; then those that
// came meanwhile are added, and it takes the name.
package state
