package state

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"os"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/session/engine"
)

// version is that of the file's form; see the package comment.
const version = 1

func headline(boot string) string { return fmt.Sprintf("session-init state %d %s\n", version, boot) }

// Journal writes one state file. Append belongs to one goroutine; Replace
// may work beside it.
type Journal struct {
	// Guard starts the goroutine of Replace; nil: a panic is told to nobody.
	Guard *guard.Guard

	path, boot string
	out        *writer
	// next is the file that is to take over, pending what came since its
	// snapshot was taken; done says that it is complete.
	next    chan replaced
	pending []Entry
	// since is the size at which the file is worth replacing.
	limit int64
}

// replaced is the end of a replacement.
type replaced struct {
	out *writer
	err error
}

// minLimit is the least size at which a file is replaced. Above it, one that
// has grown to four times its snapshot is: then writing snapshots costs a
// quarter of writing inputs.
const minLimit = 1 << 20

// Create writes a new state file that begins with a snapshot, in place of
// the one that has the path now.
func Create(path, boot string, snapshot engine.Snapshot) (*Journal, error) {
	register()
	out, err := begin(path, boot, snapshot)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path, boot: boot}
	if err := j.take(out); err != nil {
		return nil, err
	}
	return j, nil
}

// take lets a complete file have the path.
func (j *Journal) take(out *writer) error {
	if err := os.Rename(out.file.Name(), j.path); err != nil {
		out.discard()
		return fmt.Errorf("cannot replace state file %s: %w", j.path, err)
	}
	if j.out != nil {
		j.out.file.Close()
	}
	j.out = out
	j.limit = max(minLimit, 4*out.size)
	return nil
}

// Append writes an input that the engine is about to take. Its error means
// that the file lacks it: the caller should Replace it, or do without.
func (j *Journal) Append(e Entry) error {
	if j.next != nil {
		j.pending = append(j.pending, e)
	}
	return j.out.write(encodeEntry(e))
}

// Grown reports whether the file should be replaced now.
func (j *Journal) Grown() bool { return j.next == nil && j.out.size > j.limit }

// Replace begins a new file with a snapshot that was taken after the last
// Append. It is written beside the caller; Settle takes it into use.
func (j *Journal) Replace(snapshot engine.Snapshot, wake func()) {
	if j.next != nil {
		return
	}
	next := make(chan replaced, 1)
	j.next, j.pending = next, nil
	path, boot := j.path, j.boot
	j.Guard.Go("writer of the state", func() {
		out, err := begin(path, boot, snapshot)
		next <- replaced{out, err}
		wake()
	})
}

// Settle takes a replacement into use that is complete. It never waits.
func (j *Journal) Settle() error {
	if j.next == nil {
		return nil
	}
	select {
	case done := <-j.next:
		pending := j.pending
		j.next, j.pending = nil, nil
		if done.err != nil {
			j.limit = j.out.size * 2
			return done.err
		}
		for _, e := range pending {
			if err := done.out.write(encodeEntry(e)); err != nil {
				done.out.discard()
				return err
			}
		}
		return j.take(done.out)
	default:
		return nil
	}
}

// Close ends writing. The file stays.
func (j *Journal) Close() {
	if j.next != nil {
		if done := <-j.next; done.out != nil {
			done.out.discard()
		}
		j.next = nil
	}
	j.out.file.Close()
}

// writer writes values to a file, each in one write.
type writer struct {
	file    *os.File
	buffer  bytes.Buffer
	encoder *gob.Encoder
	size    int64
}

// begin writes a file beside path: headline and snapshot.
func begin(path, boot string, snapshot engine.Snapshot) (*writer, error) {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write state file: %w", err)
	}
	w := &writer{file: file}
	w.encoder = gob.NewEncoder(&w.buffer)
	w.buffer.WriteString(headline(boot))
	if err := w.write(snapshot); err != nil {
		w.discard()
		return nil, err
	}
	return w, nil
}

func (w *writer) write(value any) error {
	defer w.buffer.Reset()
	if err := w.encoder.Encode(value); err != nil {
		return fmt.Errorf("cannot encode state: %w", err)
	}
	n, err := w.file.Write(w.buffer.Bytes())
	if err != nil {
		// What was written of it would be taken for the beginning of the
		// next.
		err = errors.Join(err, w.file.Truncate(w.size))
		if _, seek := w.file.Seek(w.size, 0); seek != nil {
			err = errors.Join(err, seek)
		}
		return fmt.Errorf("cannot write state file: %w", err)
	}
	w.size += int64(n)
	return nil
}

func (w *writer) discard() {
	w.file.Close()
	os.Remove(w.file.Name())
}
