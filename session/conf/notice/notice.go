// Package notice is what tells package conf of changes in directories, without
// the means of doing so: who reads job files only once needs none.
package notice

import "errors"

// Notice is a change of a file, or of a directory that is watched. All false is
// a name that has come, with a file that may have just been opened.
type Notice struct {
	Path string
	// Gone: it was removed, or has another name now.
	Gone bool
	// Written: its content has changed, and nothing else. Who writes may go on.
	Written bool
	// Whole: who wrote it has closed it, if Written, and else it has come by
	// another name that it had.
	Whole bool
	// Mode: its mode or owner, or how many names it has.
	Mode bool
}

// Notifier tells of changes in directories. It is safe for concurrent use.
type Notifier interface {
	// Add has a directory watched, Remove not any more.
	Add(dir string) error
	Remove(dir string) error
	// Pump calls tell and fault, one at a time, with what comes, and returns
	// when the notifier is closed.
	Pump(tell func(Notice), fault func(error))
	Close() error
}

// ErrOverflow is a fault: some notices are lost.
var ErrOverflow = errors.New("changes came faster than they could be told")
