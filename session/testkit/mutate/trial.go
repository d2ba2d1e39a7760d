package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// trial runs the tests of a package on its mutants.
type trial struct {
	dir, bin, scratch string
	args              []string // for every run
	count             int      // of mutants
	quick             bool     // leave out what is very slow

	rounds []round
}

// round is some tests that run in one process, and which mutants they come
// by.
type round struct {
	run, skip string
	tests     []string      // alone, so that a mutant runs no others; or nil
	cost      time.Duration // of the processor
	seen      [][]byte      // for each of tests, or one for all
}

// A test that takes longer has a process of its own, after the quick ones;
// one that takes very long lies below a test whose other parts are quick.
const (
	slow     = 30 * time.Millisecond
	verySlow = 200 * time.Millisecond
)

// wall is how long a run may take in all: only one that waits for something
// takes that long.
const wall = 2 * time.Minute

// prepare runs the tests on the code as it is: they must pass, and show which
// of them come by which mutant.
func (t *trial) prepare() error {
	out, _, err := t.start(nil, "-test.v")
	if err != nil {
		return fmt.Errorf("the tests fail without any change: %w\n%s", err, out)
	}
	took := make(map[string]time.Duration)
	var tops, late []string
	for _, found := range regexp.MustCompile(`(?m)^( *)--- PASS: (.*) \(([0-9.]+)s\)$`).FindAllStringSubmatch(string(out), -1) {
		seconds, err := strconv.ParseFloat(found[3], 64)
		if err != nil {
			return err
		}
		took[found[2]] = time.Duration(seconds * float64(time.Second))
		if found[1] == "" {
			tops = append(tops, found[2])
		}
	}
	for name, d := range took {
		leaf := strings.Contains(name, "/")
		for other := range took {
			leaf = leaf && !strings.HasPrefix(other, name+"/")
		}
		if leaf && d >= verySlow {
			late = append(late, name)
		}
	}
	slices.Sort(late)
	for _, name := range late {
		top, _, _ := strings.Cut(name, "/")
		took[top] -= took[name]
	}
	skip := exactly(late)
	slices.SortStableFunc(tops, func(a, b string) int { return int(took[a] - took[b]) })
	var quick []string
	for _, name := range tops {
		if took[name] < slow {
			quick = append(quick, name)
		}
	}
	t.rounds = append(t.rounds, round{tests: quick, skip: skip})
	for _, name := range tops[len(quick):] {
		if t.quick && took[name] >= time.Second {
			continue
		}
		t.rounds = append(t.rounds, round{tests: []string{name}, skip: skip})
	}
	for _, name := range late {
		if t.quick {
			break
		}
		t.rounds = append(t.rounds, round{run: exactly([]string{name})})
	}
	for i := range t.rounds {
		r := &t.rounds[i]
		if err := t.look(r); err != nil {
			return err
		}
		// Else every mutant would seem to be caught.
		pattern := r.run
		if r.tests != nil {
			pattern = exactly(r.tests)
		}
		if out, err := t.bounded(0, *r, pattern); err != nil {
			return fmt.Errorf("the tests fail within bounds: %w\n%s", err, out)
		}
	}
	return nil
}

// exactly makes a pattern of go test for these tests and no others.
func exactly(names []string) string {
	var patterns []string
	for _, name := range names {
		parts := strings.Split(name, "/")
		for i := range parts {
			parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
		}
		patterns = append(patterns, strings.Join(parts, "/"))
	}
	return strings.Join(patterns, "|")
}

// look finds which mutants the tests of a round come by.
func (t *trial) look(r *round) error {
	runs := r.tests
	if runs == nil {
		runs = []string{""}
	}
	for _, name := range runs {
		file := filepath.Join(t.scratch, "seen")
		if err := os.WriteFile(file, make([]byte, t.count+1), 0o666); err != nil {
			return err
		}
		pattern := r.run
		if name != "" {
			pattern = exactly([]string{name})
		}
		out, cost, err := t.start([]string{"MUTANT_SEEN=" + file}, "-test.run="+pattern, "-test.skip="+r.skip)
		if err != nil {
			return fmt.Errorf("%s fails without any change: %w\n%s", pattern, err, out)
		}
		r.cost += cost
		seen, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		r.seen = append(r.seen, seen)
	}
	return nil
}

// start runs the test binary to its end, and tells what processor time it took.
func (t *trial) start(env []string, args ...string) ([]byte, time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wall)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.bin, slices.Concat(args, t.args)...)
	cmd.Dir = t.dir
	cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		return out, 0, err
	}
	return out, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

// bounded runs the tests of a round on a mutant, or on the code as it is for 0,
// with ten times the processor time that they need.
func (t *trial) bounded(number int, r round, pattern string) ([]byte, error) {
	seconds := 1 + int((10 * r.cost).Seconds())
	out, _, err := t.start([]string{"MUTANT=" + strconv.Itoa(number), "MUTANT_SECONDS=" + strconv.Itoa(seconds)},
		"-test.failfast", "-test.run="+pattern, "-test.skip="+r.skip)
	return out, err
}

// tryAll tries mutants, jobs at a time, and tells of each in their order.
func (t *trial) tryAll(mutants []*mutant, jobs int, tell func(*mutant)) error {
	done := make([]chan error, len(mutants))
	for i := range done {
		done[i] = make(chan error, 1)
	}
	var next atomic.Int64
	for range max(1, jobs) {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(mutants) {
					return
				}
				done[i] <- t.try(mutants[i])
			}
		}()
	}
	for i, m := range mutants {
		if err := <-done[i]; err != nil {
			next.Store(int64(len(mutants)))
			return err
		}
		tell(m)
	}
	return nil
}

// try runs the tests on a mutant until one fails.
func (t *trial) try(m *mutant) error {
	for _, r := range t.rounds {
		pattern := r.run
		var names []string
		for i, seen := range r.seen {
			if seen[m.number] != 0 {
				m.seen = true
				if r.tests != nil {
					names = append(names, r.tests[i])
				}
			}
		}
		if r.tests != nil {
			pattern = exactly(names)
		} else if r.seen[0][m.number] == 0 {
			continue
		}
		if pattern == "" {
			continue
		}
		out, err := t.bounded(m.number, r, pattern)
		var exit *exec.ExitError
		switch {
		case err == nil:
			continue
		case !errors.As(err, &exit):
			return err
		case exit.ExitCode() < 0 || bytes.Contains(out, []byte("SIGXCPU")):
			m.caught = byTime
		default:
			m.caught = byTest
		}
		return nil
	}
	return nil
}

// choose takes the mutants that the options ask for.
func choose(all []*mutant, o options) []*mutant {
	var out []*mutant
	match := regexp.MustCompile(o.match)
	for _, m := range all {
		if match.MatchString(m.String()) {
			out = append(out, m)
		}
	}
	if o.sample <= 0 || o.sample >= len(out) {
		return out
	}
	sample := make([]*mutant, o.sample)
	for i := range sample {
		sample[i] = out[i*len(out)/o.sample]
	}
	return sample
}
