package desktop

import (
	"slices"
	"strings"
	"testing"
)

func TestParseProblems(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"[Desktop Entry]\nType=Application\n", ""},
		{"# comment\n\n[Desktop Entry]\r\nType = Application\r\n[Other]\nodd key!=1\n", "e:6:1: warning: 'odd key!' cannot be a key: it may have letters, digits and '-', and a locale in brackets"},
		{"\ufeff[Desktop Entry]\n", ""},
		{"", "e:1:1: there is no group [Desktop Entry]"},
		{"Type=Application\n[Desktop Entry]\n", "e:1:1: the line stands before the first group (expected '[Desktop Entry]')"},
		{"[Desktop Entry\n", "e:1:1: the header of the group is not closed (expected '[NAME]')"},
		{"[Desktop Entry]\n[A]\n[A]\n", "e:3:1: the group [A] stands twice"},
		{"[Desktop Entry]\nType\n", "e:2:1: the line is neither a key nor a group (expected 'KEY=VALUE')"},
		{"[Desktop Entry]\nName=a\nName=b\n", "e:3:1: warning: 'Name' stands in line 2 already, and that counts"},
		{"[Desktop Entry]\nName=\xff\n", "e:2:1: warning: the value of 'Name' is not UTF-8"},
		{"[Desktop Entry]\nName=a\x00\n", "e:2:1: there is a null byte in the line"},
		{"[Desktop Entry]\nName[de=x\n", "e:2:1: 'Name[de' cannot be a key: it may have letters, digits and '-', and a locale in brackets"},
	} {
		e, problems := Parse("e", []byte(test.text))
		var got []string
		broken := false
		for _, p := range problems {
			got = append(got, p.Error())
			broken = broken || !p.Warning
		}
		if text := strings.Join(got, "|"); text != test.want {
			t.Errorf("Parse(%q) says %q; want %q", test.text, text, test.want)
		}
		if (e == nil) != broken {
			t.Errorf("Parse(%q) gives an entry: %t; want %t", test.text, e != nil, !broken)
		}
	}
}

func TestParseBoundsProblems(t *testing.T) {
	_, problems := Parse("e", []byte(strings.Repeat("x\n", 1000)))
	if len(problems) != maxProblems {
		t.Errorf("Parse says %d things; want %d", len(problems), maxProblems)
	}
}

func entry(t *testing.T, path, keys string) *Entry {
	t.Helper()
	e, problems := Parse(path, []byte("[Desktop Entry]\n"+keys))
	if e == nil {
		t.Fatalf("Parse(%q) = %v", keys, problems)
	}
	return e
}

func TestValues(t *testing.T) {
	e := entry(t, "e", `A=  one\stwo\\s\tx\q  
List=a;b\;c;;d\\;\n
Yes=true
One=1
Odd=maybe
`)
	if got, want := e.Text("A"), "one two\\s\tx\\q"; got != want {
		t.Errorf("Text(A) = %q; want %q", got, want)
	}
	if got, want := e.List("List"), []string{"a", "b;c", `d\`, "\n"}; !slices.Equal(got, want) {
		t.Errorf("List(List) = %q; want %q", got, want)
	}
	if !e.Flag("Yes") || !e.Flag("One") || e.Flag("Odd") || e.Flag("None") {
		t.Errorf("Flag(Yes, One, Odd, None) = %t %t %t %t; want true true false false", e.Flag("Yes"), e.Flag("One"), e.Flag("Odd"), e.Flag("None"))
	}
}

// The order of the specification, section "Localized values for keys".
func TestLocalised(t *testing.T) {
	e := entry(t, "e", "Name=plain\nName[sr_YU]=country\nName[sr@Latn]=modifier\nName[sr]=language\nName[de_AT@x]=all\nName[de]=deutsch\n")
	for locale, want := range map[string]string{
		"sr_YU@Latn": "country", "sr_YU.UTF-8": "country", "sr@Latn": "modifier", "sr_CS@Latn": "modifier", "sr": "language",
		"de_AT.UTF-8@x": "all", "de_AT": "deutsch", "fr": "plain", "C": "plain", "C.UTF-8": "plain", "POSIX": "plain", "": "plain",
	} {
		if got := e.Localised("Name", locale); got != want {
			t.Errorf("Localised(Name, %s) = %q; want %q", locale, got, want)
		}
	}
}

// The rules of the specification, sections "The Exec key" and its examples.
func TestCommand(t *testing.T) {
	for _, test := range []struct {
		exec string
		want []string
		err  string
	}{
		{exec: `fooview %F`, want: []string{"fooview"}},
		{exec: `fooview --open=%f`, want: []string{"fooview", "--open="}},
		{exec: `prog %i %c %k %%`, want: []string{"prog", "--icon", "icon name", "My App", "/d/e.desktop", "%"}},
		{exec: `prog %u %U %f %d %D %n %N %v %m end`, want: []string{"prog", "end"}},
		{exec: `"/opt/My App/run" "a\\\\b" "\\$HOME" "\\"q\\"" "\\` + "`" + `x\\` + "`" + `"`, want: []string{"/opt/My App/run", `a\b`, "$HOME", `"q"`, "`x`"}},
		{exec: `prog "" x`, want: []string{"prog", "", "x"}},
		{exec: `sh -c 'IM_CONFIG_CHECK_ENV=1 im-launch true'`, want: []string{"sh", "-c", "IM_CONFIG_CHECK_ENV=1 im-launch true"}},
		{exec: `sh -c "date +%H"`, want: []string{"sh", "-c", "date +%H"}},
		{exec: `prog a\\ b`, want: []string{"prog", "a b"}},
		{exec: `prog\sb`, want: []string{"prog", "b"}},
		{exec: `prog "%"`, want: []string{"prog", "%"}},
		{exec: `prog a#b *`, want: []string{"prog", "a#b", "*"}},
		{exec: `prog %z`, err: "there is no field code '%z'"},
		{exec: `prog %`, err: "it ends in a '%': write '%%'"},
		{exec: `prog "x`, err: "a double quote is not closed"},
		{exec: `prog 'x`, err: "a single quote is not closed"},
		{exec: `prog x\\`, err: "it ends in a backslash"},
		{exec: `A=b prog`, err: "'A=b' cannot be a program: there is a '=' in it"},
		{exec: `%f`, err: "it names no program"},
		{exec: `"" x`, err: "it names no program"},
		{exec: `prog "a\nb"`, err: "a line end in an argument cannot stand in a job file"},
	} {
		e := entry(t, "/d/e.desktop", "Name=My App\nIcon=icon name\nExec="+test.exec+"\n")
		got, err := e.Command("")
		text := ""
		if err != nil {
			text = err.Error()
		}
		if !slices.Equal(got, test.want) || text != test.err {
			t.Errorf("Command(%s) = %q, %q; want %q, %q", test.exec, got, text, test.want, test.err)
		}
	}
	e := entry(t, "e", "Exec=prog %i x\n")
	if got, _ := e.Command(""); !slices.Equal(got, []string{"prog", "x"}) {
		t.Errorf("Command without an icon = %q; want prog x", got)
	}
}
