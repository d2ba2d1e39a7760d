package job

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
)

// dice makes random classes; the same seed makes the same ones.
type dice struct{ *rand.Rand }

func (d dice) maybe() bool { return d.IntN(2) == 0 }

func (d dice) times() int { return max(0, d.IntN(6)-2) }

// word makes a word of characters that mean something somewhere, never empty.
func (d dice) word() string {
	pieces := []string{"a", "bc", "=", `"`, "'", `\`, `\\`, "#", " ", "\t", "\r", "(", ")", "$X", "${Y:-z}", "and", "ü", "\xff", "!=", "*", "\v", "/"}
	var out strings.Builder
	for range 1 + d.IntN(5) {
		out.WriteString(pieces[d.IntN(len(pieces))])
	}
	return out.String()
}

func (d dice) text() string {
	if d.maybe() {
		return ""
	}
	return d.word()
}

func (d dice) words() []string {
	var out []string
	for range d.times() {
		out = append(out, d.word())
	}
	return out
}

func (d dice) number(values ...int) *int {
	if d.maybe() {
		return nil
	}
	n := values[d.IntN(len(values))]
	return &n
}

func (d dice) seconds(least int) time.Duration {
	return time.Duration(least+d.IntN(12)) * time.Second
}

// process makes a command that a line can hold, or a script without an
// indentation that all its lines share.
func (d dice) process() *Process {
	if d.maybe() {
		return nil
	}
	if d.maybe() {
		return &Process{Text: []string{"a", "a  b", `a "b  c" 'd"'`, `a \# \\`, "a=b c", `""`}[d.IntN(6)]}
	}
	lines := []string{"a\n", "\n", "  b # c\n", "\tend\n", "don't\n", "endscript\n", "end script x\n", "x \\\n"}
	text := ""
	for range d.times() {
		text += lines[d.IntN(len(lines))]
	}
	if text != "" {
		text = "first\n" + text
	}
	return &Process{Script: true, Text: text}
}

// condition makes an expression by way of its text, whose words print makes.
func (d dice) condition(depth int) string {
	if depth > 0 && d.maybe() {
		return "(" + d.condition(depth-1) + []string{" and ", " or "}[d.IntN(2)] + d.condition(depth-1) + ")"
	}
	m := &events.Match{Words: []string{d.word()}}
	for range d.times() {
		m.Words = append(m.Words, "K="+d.word())
	}
	return printExpr(&events.Expr{Nodes: []events.Node{{Match: m}}})
}

func (d dice) expr(t *testing.T) *events.Expr {
	if d.maybe() {
		return nil
	}
	return parses(t, "start on "+d.condition(3)).StartOn
}

func (d dice) class(t *testing.T) *Class {
	c := NewClass("job")
	for _, field := range []*string{&c.Description, &c.Author, &c.Version, &c.Usage, &c.Instance, &c.Chdir, &c.Chroot,
		&c.Setuid, &c.Setgid, &c.AppArmorLoad, &c.AppArmorSwitch} {
		*field = d.text()
	}
	for _, field := range []*bool{&c.Task, &c.Respawn, &c.SessionLeader, &c.Debug} {
		*field = d.maybe()
	}
	for _, field := range []*[]string{&c.Emits, &c.Env, &c.EnvFiles, &c.Export} {
		*field = d.words()
	}
	for i := range c.EnvFiles {
		c.EnvFiles[i] = "/" + c.EnvFiles[i]
	}
	for kind := range c.Processes {
		c.Processes[kind] = d.process()
	}
	c.StartOn, c.StopOn = d.expr(t), d.expr(t)
	if c.StartOn == nil {
		c.Manual = d.expr(t)
	}
	c.Expect, c.KillMode, c.Console = Expect(d.IntN(7)), KillMode(d.IntN(3)), Console(d.IntN(6))
	if c.Expect == ExpectDBus {
		c.BusName = []string{"org.example.A", "org.example._1"}[d.IntN(2)]
	}
	c.RespawnLimit, c.RespawnInterval = 9*d.IntN(3), d.seconds(0)
	c.RespawnDelay = d.seconds(0)
	if d.maybe() {
		c.RespawnFactor, c.RespawnMax = 1+d.IntN(3), d.seconds(1)
	}
	for range d.times() {
		exit := Exit{Status: d.IntN(256)}
		if d.maybe() {
			exit = Exit{Signal: 1 + d.IntN(sigRTMax)}
		}
		c.NormalExit = append(c.NormalExit, exit)
	}
	if d.maybe() {
		c.ReadyTimeout = d.seconds(1)
	}
	if d.maybe() {
		c.Watchdog, c.WatchdogSignal = d.seconds(0), d.IntN(sigRTMax+1)
	}
	c.KillSignal, c.ReloadSignal, c.KillTimeout = d.IntN(sigRTMax+1), d.IntN(sigRTMax+1), d.seconds(0)
	c.LogLimit = LogLimit{Size: d.Int64N(2049) << (10 * d.IntN(3)), Count: d.IntN(3)}
	if n := d.number(0, 0o22, 0o777); n != nil {
		mask := uint32(*n)
		c.Umask = &mask
	}
	c.Nice, c.OOMScore = d.number(-20, 0, 19), d.number(-1000, -999, 0, 466, 1000)
	for i, resource := range d.Perm(len(resources)) {
		if i < d.times() {
			c.Limits = append(c.Limits, Limit{resource, d.Uint64N(9), []uint64{0, 10, Unlimited}[d.IntN(3)]})
		}
	}
	for range d.times() {
		if words := d.words(); len(words) > 0 {
			c.CGroups = append(c.CGroups, words)
		}
	}
	c.Inert = inert(c)
	return c
}

// TestPrintRandom prints classes that no vector thought of, and reads them
// again; and what their stanzas are, laid on each other, with their places.
func TestPrintRandom(t *testing.T) {
	for seed := range uint64(300) {
		d := dice{rand.New(rand.NewPCG(seed, 5))}
		class, other := d.class(t), d.class(t)
		roundTrip(t, class)
		file, override := Source{"c", Print(class)}, Source{"o", Print(other)}
		parsed := parses(t, string(file.Text))
		parsed.Path = "c"
		for kind, p := range parsed.Processes {
			if p == nil && class.Processes[kind] != nil {
				t.Fatalf("seed %d: the process %s is lost", seed, ProcessKind(kind))
			}
		}
		want, problems := Apply(parsed, "o", override.Text)
		if want == nil {
			t.Fatalf("seed %d: Apply(%q, %q) = %v; want a class", seed, file.Text, override.Text, problems)
		}
		sayTheClass(t, want, file, &override)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
