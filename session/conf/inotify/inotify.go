// Package inotify has the kernel tell of changes in directories, by fsnotify;
// see inotify(7).
package inotify

import (
	"errors"

	"github.com/fsnotify/fsnotify"

	"github.com/session-init/session-init/session/conf/notice"
)

type notifier struct{ *fsnotify.Watcher }

// Open makes a notifier, which its caller closes. The error is that of the
// kernel, which lends each user only so many.
func Open() (notice.Notifier, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return notifier{w}, nil
}

func (n notifier) Pump(tell func(notice.Notice), fault func(error)) {
	faults := n.Errors
	for {
		select {
		case ev, ok := <-n.Events:
			if !ok {
				return
			}
			tell(notice.Notice{
				Path:    ev.Name,
				Gone:    ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename),
				Written: ev.Op == fsnotify.Write,
				Mode:    ev.Has(fsnotify.Chmod),
			})
		case err, ok := <-faults:
			switch {
			case !ok:
				faults = nil
			case errors.Is(err, fsnotify.ErrEventOverflow):
				fault(notice.ErrOverflow)
			case err != nil:
				fault(err)
			}
		}
	}
}
