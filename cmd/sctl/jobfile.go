package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/job"
)

// jobFile is a job as its files have it.
type jobFile struct {
	name           string
	transient      bool   // a client has defined it, in no file
	path, override string // override is "" for none
	text, overlay  []byte // of the two
	base           *job.Class
	class          *job.Class // with the override
	// ownPath and ownOverride are where the caller's own would be; see ownDir.
	ownPath, ownOverride string
}

// findJob reads the files of a job: those that session-init says are in force,
// or that one that were started now would read.
func (c *command) findJob(name string) (*jobFile, error) {
	f := &jobFile{name: name}
	body, err := c.call(api.JobPath(name), api.JobExtension, "GetDefinition")
	var absent *noDaemonError
	switch {
	case errors.As(err, &absent):
		r := newReading()
		if err := r.load(c.allDirs()); err != nil {
			return nil, err
		}
		class := r.classes[name]
		if class == nil {
			return nil, &api.Error{Name: api.ErrUnknownJob, Message: "Unknown job: " + name}
		}
		f.path, f.override = class.Path, class.Override
	case err != nil:
		return nil, c.unknown(name, err)
	default:
		d, err := readDefinition(name, body)
		if err != nil {
			return nil, err
		}
		f.path, f.override = d.file, d.override
		f.transient = d.file == "" && d.changed
	}
	return f, f.read(c)
}

// read reads the texts again, and makes classes of them.
func (f *jobFile) read(c *command) error {
	var err error
	if f.ownPath, f.ownOverride, err = c.ownFiles(f.name, f.path, f.override); err != nil {
		return err
	}
	if f.path == "" && f.transient {
		return errors.New("it has no job file: " + transientText)
	}
	if f.path == "" {
		return errors.New("it has no job file: session-init makes it for the desktop entries that " + c.again("sctl autostart") + " shows")
	}
	if f.text, err = c.readJobText(f.path); err != nil {
		return fmt.Errorf("cannot read the job file: %w", err)
	}
	// The definition in force may be older than an override.
	if _, err := os.Stat(f.ownOverride); err == nil && f.override != f.ownOverride {
		f.override = f.ownOverride
	}
	f.overlay = nil
	if f.override != "" {
		if f.overlay, err = os.ReadFile(f.override); os.IsNotExist(err) {
			f.override = ""
		} else if err != nil {
			return fmt.Errorf("cannot read the override: %w", err)
		}
	}
	var problems []job.Problem
	if f.base, problems = job.Parse(f.name, f.path, f.text); f.base == nil {
		return problems[0]
	}
	f.class = f.base
	if f.override != "" {
		laid, problems := job.Apply(f.base, f.override, f.overlay)
		if laid == nil {
			return problems[0]
		}
		f.class = laid
	}
	return nil
}

// ownFiles gives where the caller's own files of a job are, whose files in force
// are path and overlay, or "". A session-init that was started with --confdir
// does not look into the usual directories; then they are where the job file is.
func (c *command) ownFiles(name, path, overlay string) (file, override string, err error) {
	if path != "" && !isEntry(path) && searched(path, c.jobDirs()) == "" {
		return path, besides(path), nil
	}
	dir := c.ownDir(path, overlay)
	if dir == "" {
		return "", "", fmt.Errorf("neither XDG_CONFIG_HOME nor HOME says where job files are")
	}
	file = filepath.Join(dir, name+".conf")
	if have, isOverride, ok := conf.JobName(dir, file); !ok || isOverride || have != name {
		return "", "", fmt.Errorf("'%s' cannot be the name of a job", name)
	}
	return file, besides(file), nil
}

// replaceFile puts a text in the place of a file, or of none, at once: whoever
// reads sees the old one or the new one.
func replaceFile(path string, text []byte) error {
	return writeFile(path, text, os.Rename)
}

// createFile writes a file that must not be there.
func createFile(path string, text []byte) error {
	return writeFile(path, text, os.Link)
}

func writeFile(path string, text []byte, place func(from, to string) error) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make %s: %w", dir, reasonOf(err))
	}
	// session-init ignores names with a dot before them.
	file, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write to %s: %w", dir, reasonOf(err))
	}
	defer os.Remove(file.Name())
	_, err = file.Write(text)
	for _, step := range [...]func() error{func() error { return file.Chmod(0o644) }, file.Sync, file.Close} {
		if stepErr := step(); err == nil {
			err = stepErr
		}
	}
	if err == nil {
		err = place(file.Name(), path)
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		err = link.Err
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, reasonOf(err))
	}
	return nil
}

// taken has session-init read what was written, and tells what came of it: a
// sentence, or nothing when there is no session-init, or nothing to say.
func (c *command) taken(name, path string) (note string, err error) {
	if c.client == nil {
		return "", nil
	}
	switch _, err := c.callFor("for the job files to be read", api.ManagerPath, api.ManagerInterface, "ReloadConfiguration"); {
	case api.IsName(err, api.ErrPermissionDenied):
		return "session-init tells nobody here what it makes of it", nil // it watches its directories
	case err != nil:
		return "", err
	}
	body, err := c.call(api.JobPath(name), api.JobExtension, "GetDefinition")
	if gone(err) {
		return "the session-init that runs does not look there", nil
	}
	if err != nil {
		return "", err
	}
	d, err := readDefinition(name, body)
	switch {
	case err != nil:
		return "", err
	case d.changed:
		return "it takes effect when '" + name + "' has stopped", nil
	}
	if _, err := os.Stat(path); err == nil && d.file != path && d.override != path {
		return "the session-init that runs does not look there", nil
	}
	return "", nil
}

// wrote prints what was done to a job's files, and what comes of it.
func (c *command) wrote(name, path, what string) error {
	return c.wroteChanges(name, path, what, nil)
}

// wroteChanges tells with --json of the difference, too.
func (c *command) wroteChanges(name, path, what string, changes []change) error {
	note, err := c.taken(name, path)
	if err != nil {
		return err
	}
	if c.options.json {
		done := "written"
		if _, err := os.Stat(path); os.IsNotExist(err) {
			done = "removed"
		}
		return c.reportFile(fileReport{jsonVersion, name, path, done, note, reportChanges(changes)})
	}
	if note != "" {
		what += "; " + note
	}
	c.print(what)
	return nil
}

// fileReport is what new and edit say with --json, and enable and disable of each
// job: which file of a job was written or removed, if any, and a sentence about
// when that counts; of edit, how its text differs from what was there.
type fileReport struct {
	Version int    `json:"version,omitzero"` // left out in a list
	Job     string `json:"job"`
	File    string `json:"file,omitempty"`
	Done    string `json:"done"` // written, removed or nothing
	Note    string `json:"note,omitempty"`

	Changes []changeReport `json:"changes,omitempty"`
}

// filesReport is what enable and disable say with --json, of however many jobs.
type filesReport struct {
	Version int          `json:"version"`
	Files   []fileReport `json:"files"`
}

// reportFile prints what became of a file, or notes it for a report of several.
func (c *command) reportFile(f fileReport) error {
	if c.files == nil {
		return c.encode(f)
	}
	f.Version = 0
	c.files.Files = append(c.files.Files, f)
	return nil
}

// wroteNothing says that all was as it shall be.
func (c *command) wroteNothing(name, what string) error {
	if c.options.json {
		return c.reportFile(fileReport{Version: jsonVersion, Job: name, Done: "nothing"})
	}
	c.print(what)
	return nil
}

// isBlank tells whether a job file says nothing.
func isBlank(text []byte) bool {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}
