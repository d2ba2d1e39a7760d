package job

import (
	"bytes"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
)

// saying gives a copy of a class without what its text does not say: where
// it came from.
func saying(c *Class) Class {
	out := *c
	out.Path, out.Override = "", ""
	return out
}

func parses(t *testing.T, text string) *Class {
	t.Helper()
	class, found := Parse("job", "job.conf", []byte(text))
	if class == nil {
		t.Fatalf("Parse(%q) = %v; want a class", text, found)
	}
	return class
}

// roundTrip checks that a printed class is read as itself.
func roundTrip(t *testing.T, class *Class) {
	t.Helper()
	printed := Print(class)
	again, found := Parse(class.Name, "printed", printed)
	if again == nil {
		t.Fatalf("Parse(Print(class)) = %v; want a class; printed:\n%s", found, printed)
	}
	if a, b := saying(class), saying(again); !reflect.DeepEqual(a, b) {
		t.Fatalf("Parse(Print(class)) = %v; want %v; printed:\n%s", dump(again), dump(class), printed)
	}
	if twice := Print(again); !bytes.Equal(twice, printed) {
		t.Fatalf("Print of what was printed = %q; want %q", twice, printed)
	}
}

func TestPrintVectors(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		_, vectors := readVectors(t, path)
		for _, v := range vectors {
			class, _ := Parse("job", path, []byte(v.text))
			if class != nil && v.overlaid {
				class, _ = Apply(class, path, []byte(v.override))
			}
			if class != nil {
				roundTrip(t, class)
			}
		}
	}
}

func TestPrint(t *testing.T) {
	class := parses(t, `
exec a --b="c d"   'e'
post-stop script
	x

	  y
end script
limit nofile 10 unlimited
oom -17
nice 3
umask 27
respawn limit unlimited
respawn
normal exit 3 8192 RTMIN+2
kill timeout 7
stop on runlevel [!$RUNLEVEL]
start on (a X="1 2" or "and" b\(c) and d '"'
export A B
emits x y
env A="it's"
env 'B=say "x"'
env C=a\\b
env "D E=f"
env G
description "a # b"
session leader
console none
expect daemon
cgroup a "b c"
apparmor load /p
debug
manual
start on e
`)
	const want = `description "a # b"
emits x y
start on e
stop on runlevel [!$RUNLEVEL]
env A="it's"
env B="say "'"x"'
env C=a\\b
env "D E=f"
env G
export A B
expect daemon
respawn
respawn limit unlimited
normal exit 3 8192 RTMIN+2
kill timeout 7
console none
session leader
umask 0027
nice 3
oom never
limit nofile 10 unlimited
apparmor load /p
cgroup a "b c"
debug
exec a --b="c d"   'e'
post-stop script
    x

      y
end script
`
	if got := string(Print(class)); got != want {
		t.Errorf("Print(class) =\n%s\nwant\n%s", got, want)
	}
	roundTrip(t, class)
}

func TestPrintExpr(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`a`, `a`},
		{`a X=1 or b`, `(a X=1 or b)`},
		{`a or b and c`, `((a or b) and c)`},
		{`a or (b and c) or d`, `((a or (b and c)) or d)`},
		{`"and" 'or' "(x)" X="a b" "Y Z=1"`, `"and" "or" "(x)" X="a b" "Y Z=1"`},
		{`a X=\(`, `a X="\\("`},
	} {
		class := parses(t, "start on "+test.text)
		if got := printExpr(class.StartOn); got != test.want {
			t.Errorf("printExpr(%s) = %s; want %s", test.text, got, test.want)
		}
		roundTrip(t, class)
	}
}

func TestQuote(t *testing.T) {
	for _, test := range []struct{ word, want string }{
		{`a`, `a`},
		{`a b`, `"a b"`},
		{`A=a b`, `A="a b"`},
		{`=a b`, `="a b"`},
		{`A B=c`, `"A B=c"`},
		{`A=#`, `A="#"`},
		{`a\`, `a\\`},
		{`a\ `, `"a\\ "`},
		{`"`, `'"'`},
		{`'`, `"'"`},
		{`a"b'c`, `"a"'"b'"'c"`},
		{"\r", "\"\r\""},
		{"a\nb\x00c", `"a bc"`},
	} {
		if got := quote(test.word, ""); got != test.want {
			t.Errorf("quote(%q) = %s; want %s", test.word, got, test.want)
		}
	}
}

// A class that comes from elsewhere may hold what no job file can.
func TestPrintWhatCannotBeWritten(t *testing.T) {
	for _, test := range []struct {
		name  string
		class func(*Class)
		want  string
	}{
		{"a line end in a value", func(c *Class) { c.Description = "a\nb" }, "description \"a b\"\n"},
		{"a NUL byte", func(c *Class) { c.Chdir = "/a\x00b" }, "chdir /ab\n"},
		{"a command with a comment", exec("echo #x"), "script\n    exec echo #x\nend script\n"},
		{"a command with half a quote", exec("echo don't"), "script\n    exec echo don't\nend script\n"},
		{"a command of two lines", exec("a\nb"), "script\n    exec a\n    b\nend script\n"},
		{"a command with blanks around it", exec(" a "), "script\n    exec  a \nend script\n"},
		{"a command that ends in a backslash", exec(`a\`), "script\n    exec a\\\nend script\n"},
		{"a script that ends itself", func(c *Class) {
			c.Processes[Main] = &Process{Script: true, Text: "a\n end script # x\nb"}
		}, "script\n    a\n     end script # x ;\n    b\nend script\n"},
		{"a fraction of a second", func(c *Class) { c.KillTimeout = 1500 * time.Millisecond }, "kill timeout 1\n"},
	} {
		class := NewClass("job")
		test.class(class)
		got := string(Print(class))
		if got != test.want {
			t.Errorf("%s: Print(class) = %q; want %q", test.name, got, test.want)
		}
	}
}

func exec(text string) func(*Class) {
	return func(c *Class) { c.Processes[Main] = &Process{Text: text} }
}

func TestPrintDeepExpression(t *testing.T) {
	expr := &events.Expr{}
	operand := events.Node{Match: &events.Match{Name: "a", Words: []string{"a"}}}
	expr.Nodes = append(expr.Nodes, operand)
	for range 100000 {
		expr.Nodes = append(expr.Nodes, operand, events.Node{Op: events.OpOr})
	}
	if got, want := len(printExpr(expr)), 100001+100000*len("( or )"); got != want {
		t.Errorf("len(printExpr(100001 operands)) = %d; want %d", got, want)
	}
}

func TestIsLine(t *testing.T) {
	for _, test := range []struct {
		text string
		want bool
	}{
		{"a", true}, {"a  b", true}, {`"a #"`, true}, {`a\#`, true}, {`\ a`, true}, {`a\ `, true}, {"\ufeffa", true}, {`""`, true},
		{"", false}, {" a", false}, {"\ta", false}, {"\\\na", false}, {"a ", false}, {"a\nb", false}, {"a\\\nb", false},
		{"#a", false}, {"a#", false}, {"a #b", false}, {`"a`, false}, {"a'", false}, {"a\\", false}, {"\x00", false}, {"a\x00", false},
		{"\"a\nb\"", false},
	} {
		if got := isLine(&Process{Text: test.text}); got != test.want {
			t.Errorf("isLine(%q) = %t; want %t", test.text, got, test.want)
		}
		if isLine(&Process{Text: test.text, Script: true}) {
			t.Errorf("a script %q is a line", test.text)
		}
	}
}

// One form whatever the file looked like: what is printed, byte for byte.
func TestPrintForms(t *testing.T) {
	score, never := 5, minOOMScore
	for _, test := range []struct {
		edit func(*Class)
		want string
	}{
		{func(c *Class) { c.OOMScore = &score }, "oom score 5\n"},
		{func(c *Class) { c.OOMScore = &never }, "oom never\n"},
		{func(c *Class) { c.LogLimit = LogLimit{} }, "log limit 0 0\n"},
		{func(c *Class) { c.LogLimit = LogLimit{Size: 1 << 50, Count: 2} }, "log limit 1048576G 2\n"},
		{func(c *Class) { c.LogLimit = LogLimit{Size: 3 << 10, Count: 1} }, "log limit 3K 1\n"},
		{func(c *Class) { c.LogLimit = LogLimit{Size: 1025, Count: 1} }, "log limit 1025 1\n"},
		{func(c *Class) { c.Env = []string{""} }, "env \"\"\n"},
	} {
		class := NewClass("job")
		test.edit(class)
		if got := string(Print(class)); got != test.want {
			t.Errorf("Print = %q; want %q", got, test.want)
		}
	}
}
