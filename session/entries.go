package session

import (
	"cmp"

	"github.com/session-init/session-init/session/conf"
)

// dirs gives the directories of job files and, last, those of desktop entries:
// what is said of a job elsewhere is stronger. A private daemon has entries
// only if it is told to start them.
func (o Options) dirs() []conf.Dir {
	if o.System != nil {
		return conf.FromFlags(conf.SystemDirs(), o.ConfDirs, o.PrependDirs, o.AppendDirs)
	}
	dirs := conf.FromFlags(conf.UserDirs(o.getenv), o.ConfDirs, o.PrependDirs, o.AppendDirs)
	if o.Private() && !o.Autostart {
		return dirs
	}
	return append(dirs, conf.AutostartDirs(o.getenv)...)
}

// entries says how jobs are made of desktop entries.
func (o Options) entries() conf.Entries {
	e := conf.Entries{Locale: conf.Locale(o.getenv)}
	if o.Autostart {
		e.Event, e.Inherit = cmp.Or(o.StartupEvent, "startup"), true
	}
	return e
}
