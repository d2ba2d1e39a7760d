package session

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// withEnvFiles lays what a class's env files say on the environment of a
// process, the later files over the earlier. It reads them, so that it is not
// for the loop. A file that is not there, or not right, is an error: the job
// has been told to run with it.
//
// It is done for each process and not when the job file is loaded, since such
// files are often made by the job's own pre-start, or by another job, and lie
// where nothing is watched. The price is that the engine does not know these
// variables: neither the name of an instance nor a condition or an event of
// the job sees them.
func withEnvFiles(effect engine.Spawn, pathEnd string) (events.Env, error) {
	env := effect.Env.Clone()
	for _, path := range effect.Class.EnvFiles {
		text, err := conf.ReadFile(path)
		if err != nil {
			var failed *fs.PathError
			if errors.As(err, &failed) {
				err = failed.Err
			}
			return nil, fmt.Errorf("cannot read the env file '%s': %w", path, err)
		}
		entries, err := job.ParseEnvFile(path, text)
		if err != nil {
			return nil, fmt.Errorf("cannot use an env file: %w", err)
		}
		for _, entry := range entries {
			key, _, _ := events.SplitEntry(entry)
			if slices.Contains(effect.Fixed, key) {
				continue
			}
			if key == "PATH" && pathEnd != "" {
				entry += ":" + pathEnd
			}
			env = env.Set(entry)
		}
	}
	return env, nil
}
