package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links one path may lead through, as in the
// kernel.
const maxLinks = 40

// A finder resolves paths. It tells which names were looked up in which
// directories on the way, since those are the names whose change leads
// somewhere else.
type finder struct {
	// known holds real paths that are directories, so that one pass asks
	// for each but once.
	known map[string]bool
	// looked is called before each look, with a directory's real path and
	// the name looked up in it. last is set for the name at the end of the
	// path, or of a link's target that stands there.
	looked func(dir, name string, last bool)
	// linked is called with a directory's real path when a link in it is
	// followed, or something in it may not be looked at.
	linked func(dir string)
}

// follow returns the path without symbolic links that path, absolute and
// clean, leads to, and what is there. The error is that of the look that
// failed.
func (f *finder) follow(path string) (string, fs.FileInfo, error) {
	var (
		dir   = "/"
		rest  = strings.Split(path, "/")
		links int
		info  fs.FileInfo
	)
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			dir, info = filepath.Dir(dir), nil // dir has no links in it
			continue
		}
		f.looked(dir, name, ended(rest))
		here := filepath.Join(dir, name)
		if f.known[here] && !ended(rest) {
			dir, info = here, nil
			continue
		}
		found, err := os.Lstat(here)
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				f.linked(dir)
			}
			return here, nil, err
		}
		switch {
		case found.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return here, nil, &fs.PathError{Op: "follow", Path: path, Err: syscall.ELOOP}
			}
			f.linked(dir)
			target, err := os.Readlink(here)
			if err != nil {
				return here, nil, err
			}
			if filepath.IsAbs(target) {
				dir = "/"
			}
			info = nil
			rest = append(strings.Split(target, "/"), rest...)
		case !found.IsDir() && !ended(rest):
			return here, nil, &fs.PathError{Op: "follow", Path: here, Err: syscall.ENOTDIR}
		default:
			if found.IsDir() {
				f.known[here] = true
			}
			dir, info = here, found
		}
	}
	if info == nil {
		var err error
		if info, err = os.Lstat(dir); err != nil {
			return dir, nil, err
		}
	}
	return dir, info, nil
}

// ended tells whether parts name nothing more.
func ended(parts []string) bool {
	for _, part := range parts {
		if part != "" && part != "." {
			return false
		}
	}
	return true
}
