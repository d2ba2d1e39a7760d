package job

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestProblemError(t *testing.T) {
	p := Problem{Path: "a/b.conf", Line: 3, Col: 7, Msg: "what is wrong"}
	if got, want := p.Error(), "a/b.conf:3:7: what is wrong"; got != want {
		t.Errorf("Error() = %q; want %q", got, want)
	}
	p.Warning = true
	if got, want := p.Error(), "a/b.conf:3:7: warning: what is wrong"; got != want {
		t.Errorf("Error() of a warning = %q; want %q", got, want)
	}
}

func TestParseNames(t *testing.T) {
	class, found := Parse("net/dhcp", "/x/net/dhcp.conf", []byte("\n\nexec a\n  pre-stop \\\n exec b\n"))
	if class == nil || len(found) > 0 {
		t.Fatalf("Parse = %v, %v; want a class, no problems", class, found)
	}
	if class.Name != "net/dhcp" || class.Path != "/x/net/dhcp.conf" || class.Override != "" {
		t.Errorf("Name, Path, Override = %q, %q, %q", class.Name, class.Path, class.Override)
	}
	if got := *class.Processes[PreStop]; got != (Process{Text: "b"}) {
		t.Errorf("pre-stop = %v; want the command b", got)
	}
	if got, found := Parse("x", "x.conf", []byte("nice x")); got != nil || len(found) != 1 || found[0].Path != "x.conf" {
		t.Errorf("Parse of an error = %v, %v; want no class and one problem of x.conf", got, found)
	}
}

func TestParseKeepsNothingOfText(t *testing.T) {
	text := []byte("exec hello\nenv A=b\n")
	class, _ := Parse("x", "x", text)
	for i := range text {
		text[i] = 'z'
	}
	if got := class.Processes[Main].Text + class.Env[0]; got != "helloA=b" {
		t.Errorf("after the text was changed the class says %q", got)
	}
}

func TestApplyLeavesClassAlone(t *testing.T) {
	base := parses(t, "env A=1\nenv file /a\nexport A\nemits a\nnormal exit 1\nlimit core 1 1\ncgroup a\nstart on a\nexec a\nnice 1\ndebug\n")
	// Room to grow in place, as a list made by append has.
	base.Env = append(base.Env, "x")[:1]
	base.EnvFiles = append(base.EnvFiles, "/x")[:1]
	base.Export = append(base.Export, "x")[:1]
	base.Emits = append(base.Emits, "x")[:1]
	base.NormalExit = append(base.NormalExit, Exit{})[:1]
	base.CGroups = append(base.CGroups, nil)[:1]
	base.Limits = append(base.Limits, Limit{})[:1]
	before := Print(base)
	override := []byte("env B=2\nenv file /b\nexport B\nemits b\nnormal exit 2\nlimit core 2 2\nlimit cpu 3 3\ncgroup b\nstop on b\nexec b\nnice 2\nmanual\napparmor load x\n")
	first, found := Apply(base, "o", override)
	if first == nil || len(found) > 0 {
		t.Fatalf("Apply = %v, %v; want a class", first, found)
	}
	once := Print(first)
	second, _ := Apply(base, "p", []byte("env C=3\nenv file /c\nexport C\nemits c\nnormal exit 3\ncgroup c\nlimit cpu 4 4\n"))
	if got := Print(first); !bytes.Equal(got, once) {
		t.Errorf("a second Apply changed the result of the first to\n%s\nfrom\n%s", got, once)
	}
	if got := Print(base); !bytes.Equal(got, before) {
		t.Errorf("Apply changed its class to\n%s\nfrom\n%s", got, before)
	}
	if !slices.Equal(first.Env, []string{"A=1", "B=2"}) || !slices.Equal(second.Env, []string{"A=1", "C=3"}) {
		t.Errorf("Env = %q and %q; want B in the first, C in the second", first.Env, second.Env)
	}
	if first.Limits[1].Soft != 3 || second.Limits[1].Soft != 4 || base.Limits[0].Soft != 1 {
		t.Errorf("limits share memory: %v, %v, %v", first.Limits, second.Limits, base.Limits)
	}
	if first.Path != base.Path || first.Override != "o" {
		t.Errorf("Path, Override = %q, %q; want %q, o", first.Path, first.Override, base.Path)
	}
	if broken, found := Apply(base, "o", []byte("env D=4\nnice x\n")); broken != nil || len(found) != 1 {
		t.Errorf("Apply of a broken override = %v, %v; want nothing and one problem", broken, found)
	}
	if got := Print(base); !bytes.Equal(got, before) {
		t.Errorf("a broken override changed its class to\n%s", got)
	}
}

func TestTooManyProblems(t *testing.T) {
	class, found := Parse("x", "x", []byte(strings.Repeat("bogus\n", 1000)))
	if class != nil || len(found) != maxProblems {
		t.Fatalf("Parse of 1000 errors = %v, %d problems; want none, %d", class, len(found), maxProblems)
	}
	if got := found[len(found)-1].Msg; !strings.Contains(got, "too many") {
		t.Errorf("the last problem is %q; want that there are too many", got)
	}
	class, found = Parse("x", "x", []byte(strings.Repeat("env A=b#c\n", 1000)+"env LAST=1\n"))
	if class == nil || len(found) != maxProblems {
		t.Fatalf("Parse of 1000 warnings = %v, %d problems; want a class, %d", class, len(found), maxProblems)
	}
	if got := class.Env[len(class.Env)-1]; got != "LAST=1" {
		t.Errorf("behind too many warnings, the last env is %q; want LAST=1", got)
	}
}

// long are texts that cost most for their size.
var long = []struct{ name, piece string }{
	{"parentheses", "("},
	{"closed parentheses", "()"},
	{"blanks", " "},
	{"line ends", "\n"},
	{"backslashes", "\\"},
	{"quotes", "\"\""},
	{"words", "a "},
	{"events", "a or "},
	{"nested", "(a or "},
	{"stanzas", "env a\n"},
	{"continuations", "\\\n"},
	{"errors", "a\n"},
	{"numbers", "normal exit 1\n"},
	{"blocks", "script\nend script\n"},
	{"warnings", "debug#\n"},
	{"signals", "HUP "},
	{"foreign operators", "&& "},
	{"comments in words", "a#\n"},
}

func TestAllocation(t *testing.T) {
	const size = 1 << 18
	for _, start := range []string{"", "start on ", "export ", "exec ", "description \"", "script\n", "normal exit ", "bogus "} {
		for _, test := range long {
			text := []byte(start + strings.Repeat(test.piece, size/len(test.piece)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			class, _ := Parse("x", "x", text)
			runtime.ReadMemStats(&after)
			runtime.KeepAlive(class)
			if got := after.TotalAlloc - before.TotalAlloc; got > 100*size {
				t.Errorf("Parse(%q and %s) took %d bytes for each of the text; want at most 100", start, test.name, got/size)
			}
		}
	}
}

func TestLongValues(t *testing.T) {
	for _, size := range []int{1 << 10, 200 << 10} {
		value := strings.Repeat("x", size)
		class := parses(t, fmt.Sprintf("description %s\nexec %s\nstart on %sa%s\n", value, value,
			strings.Repeat("(", size), strings.Repeat(")", size)))
		if class.Description != value || class.Processes[Main].Text != value || len(class.StartOn.Nodes) != 1 {
			t.Errorf("a value of %d bytes came out with %d", size, len(class.Description))
		}
		roundTrip(t, class)
	}
}

func TestStanzas(t *testing.T) {
	table := Stanzas()
	seen := map[string]bool{}
	last := ""
	for i := range table {
		s := &table[i]
		if seen[s.Title()] {
			t.Errorf("%s is in the table twice", s.Title())
		}
		seen[s.Title()] = true
		if s.Doc == "" || !strings.HasSuffix(s.Doc, ".") {
			t.Errorf("%s has no sentence of documentation: %q", s.Title(), s.Doc)
		}
		if s.Name != last && seen["family "+s.Name] {
			t.Errorf("the stanzas named %s do not stand together", s.Name)
		}
		seen["family "+s.Name] = true
		last = s.Name
		works := !s.NotYet && s.alias == ""
		if works && s.set == nil && (s.print != nil || !s.prints()) {
			t.Errorf("%s sets nothing", s.Title())
		}
		if works && !s.prints() && s.Name != "manual" {
			t.Errorf("%s is not printed", s.Title())
		}
		if s.Shape == Words && (s.Max >= 0 && s.Min > s.Max || s.Max != 0 && s.Args == "") {
			t.Errorf("%s takes %d to %d words, shown as %q", s.Title(), s.Min, s.Max, s.Args)
		}
	}
	table[0].Name = "changed"
	if Stanzas()[0].Name == "changed" {
		t.Error("a caller of Stanzas can change the table")
	}
}

// Every stanza that is not built yet is refused, however it is written.
func TestNotYet(t *testing.T) {
	for _, s := range Stanzas() {
		if !s.NotYet {
			continue
		}
		text := s.Title() + " x y"
		class, found := Parse("x", "x", []byte("task\n"+text+"\n"))
		if class != nil || len(found) != 1 {
			t.Errorf("Parse(%q) = %v, %v; want one problem", text, class, found)
			continue
		}
		if got, want := found[0].Error(), "x:2:1: '"+s.Title()+"' is not supported yet"; got != want {
			t.Errorf("Parse(%q) says %q; want %q", text, got, want)
		}
	}
}

// The defaults that the table tells are those of a new class.
func TestDefaults(t *testing.T) {
	for _, s := range Stanzas() {
		if s.Default == "" || s.NotYet || s.Name == "console" {
			continue
		}
		class := parses(t, s.Title()+" "+s.Default+"\n")
		if got, want := fmt.Sprint(dump(class)), fmt.Sprint(dump(NewClass("job"))); got != want {
			t.Errorf("%s %s is not the default: %s", s.Title(), s.Default, got)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, test := range []struct{ word, want string }{
		{"respwan", "respawn"},
		{"Exec", "exec"},
		{"strat", "start"},
		{"pre_start", "pre-start"},
		{"poststop", "post-stop"},
		{"taks", "task"},
		{"x", ""},
		{"", ""},
		{"completely", ""},
		{strings.Repeat("task", 1000), ""},
	} {
		if got := nearest(test.word, names); got != test.want {
			t.Errorf("nearest(%q) = %q; want %q", test.word, got, test.want)
		}
	}
}

// A candidate that no slip could be of is passed over, and not the end.
func TestNearestPassesOver(t *testing.T) {
	candidates := []string{strings.Repeat("x", maxSuggested+1), "task"}
	if got := suggest("tsak", candidates); got != "task" {
		t.Errorf("suggest(tsak) = %q; want task", got)
	}
	if got := suggest(strings.Repeat("x", maxSuggested), candidates); got != "" {
		t.Errorf("suggest of a long word = %q; want nothing", got)
	}
}

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"ab", "ba", 1}, {"abc", "acb", 1},
		{"kitten", "sitting", 3}, {"same", "same", 0},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("distance(%q, %q) = %d; want %d", test.a, test.b, got, test.want)
		}
	}
}
