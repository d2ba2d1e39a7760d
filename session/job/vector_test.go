package job

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
)

var update = flag.Bool("update", false, "write what is got into testdata")

// A vector is a text and what is made of it. In its file:
//
//	[what it shows]
//	| a line of the job file
//	"a piece of it\r\n", quoted, for what a line cannot show
//	+ a line of an override
//	= a line of the class that comes out, defaults left out
//	! line:col: an error
//	? line:col: a warning
type vector struct {
	title    string
	source   []string // the lines as they stand
	text     string
	override string
	overlaid bool
	want     []string
	line     int
}

func readVectors(t testing.TB, path string) (head []string, vectors []*vector) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v *vector
	for i, line := range strings.Split(string(data), "\n") {
		switch {
		case strings.HasPrefix(line, "["):
			v = &vector{title: strings.Trim(line, "[]"), line: i + 1}
			vectors = append(vectors, v)
		case line == "" || v == nil:
			if v == nil && i > 0 && line != "" || i == 0 {
				head = append(head, line)
			}
			continue
		case line[0] == '|':
			v.text += strings.TrimPrefix(line[1:], " ") + "\n"
			v.source = append(v.source, line)
		case line[0] == '+':
			v.overlaid = true
			v.override += strings.TrimPrefix(line[1:], " ") + "\n"
			v.source = append(v.source, line)
		case line[0] == '"':
			piece, err := strconv.Unquote(line)
			if err != nil {
				t.Fatalf("%s:%d: %v", path, i+1, err)
			}
			v.text += piece
			v.source = append(v.source, line)
		case line[0] == '=' || line[0] == '!' || line[0] == '?':
			v.want = append(v.want, line)
		default:
			t.Fatalf("%s:%d: neither text nor expectation: %q", path, i+1, line)
		}
	}
	return head, vectors
}

func (v *vector) got() []string {
	class, found := Parse("job", "job.conf", []byte(v.text))
	if class != nil && v.overlaid {
		var more []Problem
		class, more = Apply(class, "job.override", []byte(v.override))
		found = append(found, more...)
	}
	var out []string
	if class != nil {
		for _, line := range dump(class) {
			out = append(out, "= "+line)
		}
	}
	if len(out) == 0 && class != nil {
		out = append(out, "=")
	}
	for _, p := range found {
		mark := "!"
		if p.Warning {
			mark = "?"
		}
		where := ""
		if p.Path == "job.override" {
			where = p.Path + ":"
		}
		out = append(out, fmt.Sprintf("%s %s%d:%d: %s", mark, where, p.Line, p.Col, p.Msg))
	}
	return out
}

// dump shows what differs from a class without stanzas, everything quoted.
func dump(c *Class) []string {
	var out []string
	say := func(yes bool, format string, args ...any) {
		if yes {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(c.Description != "", "description %q", c.Description)
	say(c.Author != "", "author %q", c.Author)
	say(c.Version != "", "version %q", c.Version)
	say(c.Usage != "", "usage %q", c.Usage)
	say(c.StartOn != nil, "start on %s", dumpExpr(c.StartOn))
	say(c.StopOn != nil, "stop on %s", dumpExpr(c.StopOn))
	say(c.Emits != nil, "emits %q", c.Emits)
	for kind, p := range c.Processes {
		if p == nil {
			continue
		}
		how := "exec"
		if p.Script {
			how = "script"
		} else if argv := p.Command().Argv; argv[0] != shell {
			how = fmt.Sprintf("exec direct %d", len(argv))
		}
		say(true, "%s %s %q", ProcessKind(kind), how, p.Text)
	}
	say(c.Task, "task")
	say(c.Respawn, "respawn")
	say(c.RespawnLimit != DefaultRespawnLimit || c.RespawnInterval != DefaultRespawnInterval,
		"respawn limit %d %v", c.RespawnLimit, c.RespawnInterval)
	say(c.RespawnDelay != 0, "respawn delay %v", c.RespawnDelay)
	say(c.RespawnFactor != 0, "respawn backoff %d %v", c.RespawnFactor, c.RespawnMax)
	for _, e := range c.NormalExit {
		say(true, "normal exit status %d signal %d", e.Status, e.Signal)
	}
	say(c.Instance != "", "instance %q", c.Instance)
	say(c.Env != nil, "env %q", c.Env)
	say(c.EnvFiles != nil, "env file %q", c.EnvFiles)
	say(c.Export != nil, "export %q", c.Export)
	say(c.Expect != ExpectNone, "expect %v", c.Declares())
	say(c.KillSignal != DefaultKillSignal, "kill signal %d", c.KillSignal)
	say(c.KillTimeout != DefaultKillTimeout, "kill timeout %v", c.KillTimeout)
	say(c.KillMode != KillTree, "kill mode %v", c.KillMode)
	say(c.ReadyTimeout != 0, "ready timeout %v", c.ReadyTimeout)
	say(c.Watchdog != 0, "watchdog %v %s", c.Watchdog, SignalName(c.WatchdogSignal))
	say(c.ReloadSignal != DefaultReloadSignal, "reload signal %d", c.ReloadSignal)
	say(c.Console != ConsoleDefault, "console %v", c.Console)
	say(c.LogLimit != LogLimit{DefaultLogSize, DefaultLogCount}, "log limit %d %d", c.LogLimit.Size, c.LogLimit.Count)
	say(c.SessionLeader, "session leader")
	say(c.LifetimeTree, "lifetime tree")
	say(c.Linger, "linger")
	if c.Umask != nil {
		say(true, "umask %#o", *c.Umask)
	}
	if c.Nice != nil {
		say(true, "nice %d", *c.Nice)
	}
	if c.OOMScore != nil {
		say(true, "oom score %d", *c.OOMScore)
	}
	for _, l := range c.Limits {
		say(true, "limit %d %d %d", l.Resource, l.Soft, l.Hard)
	}
	say(c.Chdir != "", "chdir %q", c.Chdir)
	say(c.Chroot != "", "chroot %q", c.Chroot)
	say(c.Setuid != "", "setuid %q", c.Setuid)
	say(c.Setgid != "", "setgid %q", c.Setgid)
	say(c.AppArmorLoad != "", "apparmor load %q", c.AppArmorLoad)
	say(c.AppArmorSwitch != "", "apparmor switch %q", c.AppArmorSwitch)
	for _, words := range c.CGroups {
		say(true, "cgroup %q", words)
	}
	say(c.Debug, "debug")
	say(c.Inert != nil, "inert %q", c.Inert)
	return out
}

func dumpExpr(x *events.Expr) string {
	var out []string
	for _, words := range x.Postfix() {
		if len(words) == 1 && words[0][:1] == "/" {
			out = append(out, words[0])
			continue
		}
		out = append(out, fmt.Sprintf("%q", words))
	}
	return strings.Join(out, " ")
}

func TestVectors(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	total := 0
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			head, vectors := readVectors(t, path)
			total += len(vectors)
			var out strings.Builder
			for _, line := range head {
				out.WriteString(line + "\n")
			}
			seen := map[string]bool{}
			for _, v := range vectors {
				if seen[v.title] {
					t.Errorf("%s:%d: %q is there twice", path, v.line, v.title)
				}
				seen[v.title] = true
				got := v.got()
				if !*update && strings.Join(got, "\n") != strings.Join(v.want, "\n") {
					t.Errorf("%s:%d: %s\n%s\ngot\n%s\nwant\n%s", path, v.line, v.title,
						strings.Join(v.source, "\n"), strings.Join(got, "\n"), strings.Join(v.want, "\n"))
				}
				out.WriteString("\n[" + v.title + "]\n" + strings.Join(append(v.source, got...), "\n") + "\n")
			}
			if *update {
				if err := os.WriteFile(path, []byte(out.String()), 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if total < 500 {
		t.Errorf("%d vectors; want at least 500", total)
	}
}
