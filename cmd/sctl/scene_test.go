package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/engine"
)

// A scene is what somebody types and sees, a file of testdata/scenes for each
// verb. "-update" writes what is got, for you to read.
//
//	# a comment
//	job NAME              a job of the world; its text follows, indented
//	file PATH             likewise, a file below the user's home
//	nobody                there is no session-init
//	$ [VAR=VALUE...] sctl WORD...    run without a terminal; words may be in ''
//	  OUT                 a line of its standard output; an empty one is a dot
//	! ERROR               a line of its standard error
//	= STATUS              its exit status, when that is not 0
//	% sctl WORD...        the same on a terminal
//	| LINE                a line that the terminal shows, ESC as ^[
type scene struct {
	t    *testing.T
	home string
	w    *world
	env  []string
	// machine has its job files in the home's machine/etc/init, and so on.
	machine machinePlace
}

// volatile is what is another each time.
var volatile = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)`), "TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "HH:MM:SS"},
	{regexp.MustCompile(`\b\d+\.\d\d?s\b`), "0.0s"},
	{regexp.MustCompile(`\b\d+\.\d ms\b`), "0.0 ms"},
	{regexp.MustCompile(fmt.Sprintf(`\b%d\b`, os.Getpid())), "PID"},
	{regexp.MustCompile(`"(total|at|begin|end|seconds|starting|running|took)": [0-9.e-]+`), `"$1": 0`},
	{regexp.MustCompile(`process PID \([^)]*\)`), "process PID (US)"},
	{regexp.MustCompile(`/tmp/sctl\d+/socket`), "$$SOCKET"},
}

// words divides a line as a shell would, as far as ” and blanks go.
func words(line string) []string {
	var out []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		word := ""
		for line != "" && line[0] != ' ' {
			if line[0] == '\'' {
				quoted, rest, _ := strings.Cut(line[1:], "'")
				word, line = word+quoted, rest
				continue
			}
			n := strings.IndexAny(line, " '")
			if n < 0 {
				n = len(line)
			}
			word, line = word+line[:n], line[n:]
		}
		out = append(out, word)
	}
	return out
}

func (s *scene) clean(text string) string {
	text = strings.ReplaceAll(text, s.home, "$HOME")
	for _, v := range volatile {
		text = v.pattern.ReplaceAllString(text, v.text)
	}
	return text
}

// lines prints a text, a prefix before each line.
func (s *scene) lines(prefix, text string) string {
	var out strings.Builder
	for line := range strings.Lines(s.clean(text)) {
		if line = strings.TrimRight(line, " \n"); line == "" {
			line = "."
		}
		out.WriteString(prefix + line + "\n")
	}
	return out.String()
}

// command runs a line, and gives what is seen.
func (s *scene) command(line string, onTerminal bool) string {
	args := words(strings.ReplaceAll(line, "$HOME", s.home))
	environ := slices.Clone(s.env)
	for strings.Contains(args[0], "=") {
		environ, args = append([]string{args[0]}, environ...), args[1:]
	}
	if !onTerminal {
		got := runAt(s.machine, environ, args...)
		text := s.lines("  ", got.out) + s.lines("! ", got.err)
		if got.status != 0 {
			text += fmt.Sprintf("= %d\n", got.status)
		}
		return text
	}
	master, slave := terminal(s.t)
	shown := make(chan string)
	go func() {
		var all bytes.Buffer
		io.Copy(&all, master) // ends with EIO, when the other side is closed
		shown <- all.String()
	}()
	status := runOn(s.machine, patientWaits(), args, environ, slave, slave)
	slave.Close()
	text := strings.ReplaceAll(strings.ReplaceAll(<-shown, "\r\n", "\n"), "\x1b", "^[")
	text = s.lines("| ", text)
	if status != 0 {
		text += fmt.Sprintf("= %d\n", status)
	}
	return text
}

// play lives through a file, and gives it as it should be.
func (s *scene) play(text string) string {
	var out strings.Builder
	all := strings.SplitAfter(text, "\n")
	var jobs []string
	block := func(i int) (body string, next int) {
		for i < len(all) && strings.HasPrefix(all[i], "    ") {
			body += strings.TrimPrefix(all[i], "    ")
			out.WriteString(all[i])
			i++
		}
		return body, i
	}
	for i := 0; i < len(all); {
		line := strings.TrimSuffix(all[i], "\n")
		i++
		kind, rest, _ := strings.Cut(line, " ")
		switch {
		case kind == "job" || kind == "file":
			out.WriteString(line + "\n")
			body, next := block(i)
			i = next
			if kind == "job" {
				jobs = append(jobs, rest, body)
				continue
			}
			path := filepath.Join(s.home, rest)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				s.t.Fatal(err)
			}
			write(s.t, path, body)
		case line == "nobody":
			s.w, s.env = &world{}, append(s.env, "UPSTART_SESSION=unix:path=/nonexistent/s")
			out.WriteString(line + "\n")
		case kind == "$" || kind == "%":
			if s.w == nil {
				s.w = newWorld(s.t, jobs...)
				logs := filepath.Join(s.home, "log")
				s.w.arrange(func() {
					s.w.logs = logs
					// No pid of this machine: they are looked at.
					s.w.strays = []engine.Stray{{Pid: 1 << 23, Command: "/bin/x -y"}, {Pid: 1<<23 + 1, Command: "sleep 5"}}
				})
				s.env = append(s.env, "UPSTART_SESSION="+s.w.server.Address())
			}
			out.WriteString(line + "\n" + s.command(rest, kind == "%"))
		case kind == "#" || line == "":
			if i <= len(all)-1 || line != "" {
				out.WriteString(line + "\n")
			}
		case line[0] != ' ' && kind != "!" && kind != "=" && kind != "|":
			s.t.Fatalf("no such line: %s", line)
		}
	}
	return out.String()
}

// Every verb is shown: what it prints, how it refuses, and what a terminal sees.
func TestScenes(t *testing.T) {
	for _, v := range verbTable() {
		t.Run(v.name, func(t *testing.T) {
			file := filepath.Join("testdata/scenes", v.name+".txt")
			text := readText(t, file)
			home := t.TempDir()
			machine := machineIn(home + "/machine")
			machine.runtime = theMachine().runtime // where nobody is
			s := &scene{t: t, home: home, machine: machine, env: []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home + "/run", "XDG_CONFIG_DIRS=" + home + "/etc",
				"XDG_DATA_DIRS=" + home + "/share", "PATH=/usr/bin:/bin", "TERM=xterm", "UPSTART_SESSION_ID="}}
			got := s.play(text)
			if *update {
				write(t, file, got)
			} else if got != text {
				t.Errorf("%s is not what is seen:\n%s", file, strings.Join(differing(text, got), "\n"))
			}
			program := "sctl "
			if v.initctlOnly {
				program = "initctl "
			}
			for _, must := range []struct{ mark, what string }{{"\n$ " + program + v.name, "is shown without a terminal"}, {"\n% " + program + v.name, "is shown on a terminal"},
				{"\n! ", "prints an error"}, {"\n= ", "fails"}} {
				if !strings.Contains("\n"+got, must.mark) {
					t.Errorf("%s: %s never %s", file, v.name, must.what)
				}
			}
		})
	}
	files, err := filepath.Glob("testdata/scenes/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if findVerb(strings.TrimSuffix(filepath.Base(file), ".txt")) == nil {
			t.Errorf("%s is the scene of no verb", file)
		}
	}
}

// differing shows how two texts differ, by line.
func differing(want, got string) []string {
	var out []string
	for _, change := range difference(strings.Split(want, "\n"), strings.Split(got, "\n")) {
		out = append(out, string(change.mark)+change.line)
	}
	return out
}
