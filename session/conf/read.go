package conf

import "os"

// ReadFile reads one job file as a Watcher does: no more than it would take,
// and nothing but a regular file, to which a symbolic link may lead.
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	var r reader
	text, _, err := r.read(path)
	return text, err
}

// JobName gives the name of the job that the file at path, below the search
// directory root, belongs to, and whether it is an override; ok is false when
// it is no job's. Both paths are clean. It looks at names only.
func JobName(root, path string) (name string, override, ok bool) {
	p := classify(root, path)
	return p.name, p.kind == overrideFile, p.kind != noJob
}
