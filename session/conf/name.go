package conf

import (
	"path"
	"strings"

	"github.com/session-init/session-init/session/desktop"
)

// kind says what a file is by its name.
type kind uint8

const (
	noJob kind = iota
	jobFile
	entryFile // a desktop entry, of which a job is made
	overrideFile
)

// defines tells whether a file of this kind gives a job its definition.
func (k kind) defines() bool { return k == jobFile || k == entryFile }

// place is where a file stands among those of its name in one search
// directory.
type place struct {
	// name shares the bytes of path wherever it can: both stay for as long as
	// the file is there.
	name string
	path string
	kind kind
	// plain: the file's name has no suffix.
	plain bool
	// flat counts the directories above it that add nothing to the name.
	flat uint16
}

// before orders files of one name in one search directory: jobs.d before the
// directory that holds it, as the machine's own search path has it; NAME.conf
// before NAME; at last by path.
func (p place) before(q place) int {
	switch {
	case p.flat != q.flat:
		return int(q.flat) - int(p.flat)
	case p.plain != q.plain && p.plain:
		return 1
	case p.plain != q.plain:
		return -1
	}
	return strings.Compare(p.path, q.path)
}

// classify says which job the file at file, below the search directory root,
// belongs to. Both are clean paths, and file is not root. It looks at names
// only.
func classify(root, file string) place {
	p := place{path: file}
	rel := strings.TrimPrefix(strings.TrimPrefix(file, root), "/")
	dir, base := path.Split(rel)
	if ignored(base) {
		return p
	}
	last := path.Base(root)
	for part := range strings.SplitSeq(dir, "/") {
		if part == "" {
			continue
		}
		last = part
		if flattened(part) {
			p.flat++
		}
	}

	stem, isJob := strings.CutSuffix(base, ".conf")
	if !isJob {
		var isOverride bool
		stem, isOverride = strings.CutSuffix(base, ".override")
		switch {
		case isOverride:
			p.kind = overrideFile
		case flattened(last) && !strings.Contains(base, "."):
			p.kind, p.plain = jobFile, true
		default:
			return p
		}
	} else {
		p.kind = jobFile
	}
	if stem == "" || backup(stem) {
		p.kind = noJob
		return p
	}
	if p.flat == 0 {
		p.name = rel[:len(dir)+len(stem)]
		return p
	}
	var kept []string
	for part := range strings.SplitSeq(dir, "/") {
		if part != "" && !flattened(part) {
			kept = append(kept, part)
		}
	}
	p.name = strings.Join(append(kept, stem), "/")
	return p
}

// classify says which job a file below the directory belongs to.
func (d Dir) classify(file string) place {
	if !d.Autostart {
		return classify(d.Path, file)
	}
	p := place{path: file}
	if base := path.Base(file); path.Dir(file) == d.Path && !ignored(base) && len(base) > len(desktop.Suffix) && strings.HasSuffix(base, desktop.Suffix) {
		p.kind, p.name = entryFile, desktop.JobName(file)
	}
	return p
}

// flattened tells whether a directory of that name adds nothing to the names
// of its jobs, and holds files without a suffix.
func flattened(dir string) bool {
	return dir == "jobs.d" || dir == "event.d"
}

// leftovers are the suffixes by which editors, patch and package managers
// keep what they replaced or did not dare to replace.
var leftovers = [...]string{
	".bak", ".orig", ".rej", ".swp", ".swo",
	".dpkg-old", ".dpkg-new", ".dpkg-dist", ".dpkg-tmp", ".dpkg-bak",
	".ucf-old", ".ucf-new", ".ucf-dist",
	".rpmsave", ".rpmnew", ".rpmorig",
	".pacnew", ".pacsave",
}

// ignored tells whether neither a file nor a directory of that name is
// looked at.
func ignored(name string) bool {
	if name == "" || name[0] == '.' || name[len(name)-1] == '~' || backup(name) {
		return true
	}
	for _, suffix := range leftovers {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// backup knows the names under which Emacs saves.
func backup(name string) bool {
	return len(name) > 1 && name[0] == '#' && name[len(name)-1] == '#'
}

// versionControl tells whether a directory belongs to a version control
// system. Those with a dot are ignored as hidden.
func versionControl(dir string) bool {
	switch dir {
	case "CVS", "RCS", "SCCS", "BitKeeper", "_darcs", "{arch}":
		return true
	}
	return false
}
