package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/bus"
	"github.com/session-init/session-init/session/conf"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/sim"
)

var update = flag.Bool("update", false, "write what why says into testdata/why")

// played is a daemon whose engine has lived through a story.
type played struct {
	*world
	story *sim.World
}

func (p *played) Read(f func(engine.View)) {
	p.post(func() { f(p.story.Engine.ViewAt(p.story.Now())) })
}

// whyCase is a file of testdata/why: the files of a home directory ("home/…",
// those below "later/" come when the jobs are loaded), a story, a command line
// and what it prints. "kmsg" is the kernel's log, "core_pattern" and "cgroup"
// what else the kernel says.
type whyCase struct {
	*txtar.Archive
	t    *testing.T
	home string
}

func (w *whyCase) file(name string) (string, bool) {
	for _, f := range w.Files {
		if f.Name == name {
			return string(f.Data), true
		}
	}
	return "", false
}

// locale is that of the command line.
func (w *whyCase) locale() string {
	if text, ok := w.file("lang"); ok {
		return strings.TrimSpace(text)
	}
	return "C.UTF-8"
}

// write writes the files below a prefix into the home directory.
func (w *whyCase) write(prefix string, at time.Time) {
	w.t.Helper()
	for _, f := range w.Files {
		name, ok := strings.CutPrefix(f.Name, prefix)
		if !ok {
			continue
		}
		path := filepath.Join(w.home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			w.t.Fatal(err)
		}
		write(w.t, path, string(f.Data))
		if err := os.Chtimes(path, at, at); err != nil {
			w.t.Fatal(err)
		}
	}
}

// play loads the jobs, tells the story, and serves what came of it.
func (w *whyCase) play() (address string) {
	w.t.Helper()
	story := sim.New(engine.Config{StopTimeout: 10 * time.Second, Table: []string{"PATH=/bin"}})
	r := newReading()
	env := func(name string) string {
		if name == "HOME" {
			return w.home
		}
		return map[string]string{"XDG_CONFIG_DIRS": "/nonexistent", "XDG_DATA_DIRS": "/nonexistent"}[name]
	}
	if err := r.load(conf.UserDirs(env)); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(r.classes)) {
		story.Do(engine.SetClass{Class: r.classes[name]})
	}
	// At 0 nothing has ever happened.
	story.Advance(10 * time.Second)
	text, _ := w.file("story")
	stories, err := sim.ParseStories("story x\n" + text)
	if err == nil {
		err = stories[0].Play(story)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	p := &played{world: &world{logs: filepath.Join(w.home, ".local/state/session-init/log"), quit: make(chan struct{})}, story: story}
	p.engine = story.Engine
	address = serveWorld(w.t, p.world, p)
	if socket, ok := w.file("machine"); ok {
		// A machine's socket that is not there: that must have been noticed.
		machine := p.server.Machine(bus.MachineOptions{Socket: strings.TrimSpace(socket), Emit: func(string, []string) {}})
		for _, name := range slices.Sorted(maps.Keys(r.classes)) {
			machine.Want(r.classes[name])
		}
		for deadline := time.Now().Add(3 * time.Minute); !strings.Contains(machine.Absent(), "nobody listens"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				w.t.Fatalf("Absent() = %q", machine.Absent())
			}
		}
	}
	return address
}

// TestWhyScreens shows what why says in each situation. -update writes it, to be
// read before it is committed.
func TestWhyScreens(t *testing.T) {
	files, err := filepath.Glob("testdata/why/*.txt")
	if err != nil || len(files) < 25 {
		t.Fatalf("there are %d situations, %v; want 25", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := &whyCase{archive, t, t.TempDir()}
			wall := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC)
			w.write("home/", wall.Add(-5*time.Second))
			environ := []string{api.SessionVariable + "=" + w.play(), "HOME=" + w.home, "XDG_CONFIG_DIRS=/nonexistent",
				"XDG_DATA_DIRS=/nonexistent", "LANG=" + w.locale(), "PATH=/bin:/usr/bin"}
			w.write("later/", wall.Add(-2*time.Second))
			args, _ := w.file("args")
			sources := whySources{
				wall:        wall,
				corePattern: func() string { text, _ := w.file("core_pattern"); return text },
				kernelLog: func() ([]string, bool) {
					text, ok := w.file("kmsg")
					return strings.Split(text, "\n"), ok
				},
				memoryKills: func() (string, int) {
					group, ok := w.file("cgroup")
					if !ok {
						return "", 0
					}
					return strings.TrimSpace(group), 1
				},
			}
			var out, errs bytes.Buffer
			status := whyWith(environ, sources, strings.Fields(args), &out, &errs)
			got := out.String()
			if status != 0 {
				got = fmt.Sprintf("exit status %d\n%s", status, errs.String())
			}
			got = strings.ReplaceAll(got, w.home, "/home/joe")
			want, _ := w.file("want")
			switch {
			case *update:
				w.Files = slices.DeleteFunc(w.Files, func(f txtar.File) bool { return f.Name == "want" })
				w.Files = append(w.Files, txtar.File{Name: "want", Data: []byte(got)})
				write(t, file, string(txtar.Format(w.Archive)))
			case got != want:
				t.Errorf("sctl %s says\n%s\nwant\n%s", args, got, want)
			}
			checkScreen(t, got)
			if status != 0 {
				return
			}
			out.Reset()
			if status := whyWith(environ, sources, append([]string{"--json"}, strings.Fields(args)...), &out, &errs); status != 0 {
				t.Fatalf("with --json: exit status %d: %s", status, errs.String())
			}
			fits(t, "sctl --json "+args, "why", out.String())
		})
	}
}

// whyWith runs the verb with other sources.
func whyWith(environ []string, from whySources, args []string, out, errs *bytes.Buffer) int {
	c := &command{environ: environ, out: bufio.NewWriter(out), stdout: out, stderr: errs, ctx: context.Background(), options: options{lines: -1}}
	rest := c.setProgram(append([]string{"sctl"}, args...))
	err := c.parse(rest)
	if err == nil {
		err = c.why(from)
	}
	c.out.Flush()
	if c.client != nil {
		c.client.Close()
	}
	if err != nil {
		return c.report(err)
	}
	return exitDone
}

// checkScreen holds a text to a screen. A word of its own may be wider.
func checkScreen(t *testing.T, text string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) > screenLines {
		t.Errorf("%d lines do not fit a screen of %d", len(lines), screenLines)
	}
	for _, line := range lines {
		if n := utf8.RuneCountInString(line); n > screenColumns && len(strings.Fields(line)) > 1 {
			t.Errorf("%d columns do not fit a screen of %d: %s", n, screenColumns, line)
		}
	}
}

var _ bus.Backend = (*played)(nil)
