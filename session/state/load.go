package state

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/engine"
)

// ErrNone is the error of Load when there is no state of this boot: nothing
// to restore, and nothing wrong.
var ErrNone = errors.New("no state to restore")

// Load reads a state file. Entries that were cut short at the end are left
// out. The error wraps ErrNone when there is no file, or one of another
// boot.
func Load(path, boot string) (engine.Snapshot, []Entry, error) {
	register()
	var snapshot engine.Snapshot
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return snapshot, nil, ErrNone
	}
	if err != nil {
		return snapshot, nil, fmt.Errorf("cannot read state file: %w", err)
	}
	defer file.Close()
	return read(bufio.NewReaderSize(file, 1<<16), path, boot)
}

func read(in *bufio.Reader, path, boot string) (engine.Snapshot, []Entry, error) {
	var snapshot engine.Snapshot
	line, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "session-init state ") {
		return snapshot, nil, fmt.Errorf("cannot read state file %s: it is none", path)
	}
	if line != headline(boot) {
		if strings.HasPrefix(line, fmt.Sprintf("session-init state %d ", version)) {
			return snapshot, nil, fmt.Errorf("%w: %s is of another boot", ErrNone, path)
		}
		return snapshot, nil, fmt.Errorf("cannot read state file %s: another version wrote it (%q)", path, strings.TrimSpace(line))
	}
	decoder := gob.NewDecoder(in)
	if err := decoder.Decode(&snapshot); err != nil {
		return snapshot, nil, fmt.Errorf("cannot read state file %s: its snapshot: %w", path, err)
	}
	var entries []Entry
	for {
		var r record
		err := decoder.Decode(&r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return snapshot, entries, nil
		}
		if err == nil {
			var e Entry
			if e, err = decodeEntry(r); err == nil {
				entries = append(entries, e)
				continue
			}
		}
		return snapshot, entries, fmt.Errorf("cannot read state file %s: entry %d: %w", path, len(entries)+1, err)
	}
}

// Replay makes the engine that the entries lead to from the snapshot. What
// it asked for on the way has been done, or was on its way to be: whoever
// restores compares Engine.Live with the world. An entry at which the engine
// panics, as it did in the daemon that wrote it, is left out: it must not end
// each daemon after that one. left says which these were.
func Replay(cfg engine.Config, snapshot engine.Snapshot, entries []Entry) (e *engine.Engine, left []Entry, err error) {
	for {
		var at int
		if e, at, err = replay(cfg, snapshot, entries); at < 0 || err != nil {
			return e, left, err
		}
		if emit, ok := entries[at].Input.(engine.Emit); ok && emit.Startup {
			// Else it would come again, and each daemon would die of it anew.
			snapshot.StartupDue = false
		}
		// The engine is in no state to go on with: once more without it.
		left = append(left, entries[at])
		entries = slices.Delete(slices.Clone(entries), at, at+1)
	}
}

// replay returns the place of the entry at which the engine panicked, else -1.
func replay(cfg engine.Config, snapshot engine.Snapshot, entries []Entry) (e *engine.Engine, at int, err error) {
	if e, err = engine.Restore(cfg, snapshot); err != nil {
		return nil, -1, err
	}
	defer func() {
		if recover() == nil {
			at = -1
		}
	}()
	for at = range entries {
		e.Step(entries[at].Now, entries[at].Input)
	}
	return e, at, nil
}
