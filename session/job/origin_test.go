package job

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// told gives what Origins says as text, a stanza a line with its place.
func told(said []Said) string {
	var out strings.Builder
	for _, s := range said {
		fmt.Fprintf(&out, "%s:%d %q\n", s.Path, s.Line, s.Text)
	}
	return out.String()
}

func TestOrigins(t *testing.T) {
	for _, test := range []struct{ name, conf, override, want string }{
		{"a plain job", "# a job\n\nexec a b\ntask\n", "", "c:4 \"task\"\nc:3 \"exec a b\"\n"},
		{"the last one holds", "nice 1\nnice 2\nexec a\nscript\n  b\nend script\n", "nice 3", "o:1 \"nice 3\"\nc:4 \"script\\n    b\\nend script\"\n"},
		{"an exec for a script", "script\n  b\nend script\n", "\nexec c", "o:2 \"exec c\"\n"},
		{"lists add up", "env A=1\nemits x y\nexport A\nenv B\nnormal exit 1 TERM\n", "env A=2\nemits z\nnormal exit 3\ncgroup a b",
			"c:2 \"emits x y\"\no:2 \"emits z\"\nc:1 \"env A=1\"\nc:4 \"env B\"\no:1 \"env A=2\"\nc:3 \"export A\"\nc:5 \"normal exit 1 TERM\"\no:3 \"normal exit 3\"\no:4 \"cgroup a b\"\n"},
		{"limits by name", "limit nofile 1 2\nlimit core 0 0\n", "limit nofile 3 4", "o:1 \"limit nofile 3 4\"\nc:2 \"limit core 0 0\"\n"},
		{"manual", "start on a\nstop on b\n", "manual", "c:2 \"stop on b\"\no:1 \"manual\"\n"},
		{"manual and more", "manual\nstart on a\n", "", "c:2 \"start on a\"\n"},
		{"a condition of several lines", "\nstart on (a\n  and b)\n", "start on c", "o:1 \"start on c\"\n"},
		{"back to the default", "kill timeout 60\nexpect fork\n", "kill timeout 5\nexpect none", "o:2 \"expect none\"\no:1 \"kill timeout 5\"\n"},
		{"both scales of oom", "oom 5\noom score 3\n", "oom never", "o:1 \"oom never\"\n"},
		{"an older spelling", "wait for fork\n", "", "c:1 \"expect fork\"\n"},
		{"one that remembers another", "respawn limit 3 60\n", "respawn limit unlimited", "o:1 \"respawn limit 0 60\"\n"},
	} {
		var override *Source
		if test.override != "" {
			override = &Source{"o", []byte(test.override)}
		}
		_, said, problems := Origins("job", Source{"c", []byte(test.conf)}, override)
		// That one replaces another is a warning.
		if got := told(said); got != test.want || slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning }) {
			t.Errorf("%s: Origins =\n%s%v\nwant\n%s", test.name, got, problems, test.want)
		}
	}
}

// A warning takes nothing away.
func TestOriginsWarns(t *testing.T) {
	_, said, problems := Origins("job", Source{"c", []byte("exec a#b")}, &Source{"o", []byte("env A=x#y")})
	if got, want := told(said), "o:1 \"env A=x\"\nc:1 \"exec a\"\n"; got != want {
		t.Errorf("Origins = %s; want %s", got, want)
	}
	if len(problems) != 2 || problems[0].Path != "c" || problems[1].Path != "o" || !problems[0].Warning {
		t.Errorf("Origins warns of %v; want a warning of each file", problems)
	}
}

func TestOriginsOfWhatIsWrong(t *testing.T) {
	good, bad := Source{"c", []byte("exec a")}, Source{"o", []byte("exce a")}
	for _, test := range []struct {
		name     string
		conf     Source
		override *Source
		want     string
	}{
		{"the file", bad, &good, "o:1:1: unknown stanza 'exce' (did you mean 'exec'?)"},
		{"the override", good, &bad, "o:1:1: unknown stanza 'exce' (did you mean 'exec'?)"},
	} {
		class, said, problems := Origins("job", test.conf, test.override)
		if class != nil || said != nil || len(problems) != 1 || problems[0].Error() != test.want {
			t.Errorf("%s: Origins = %v, %v, %v; want the error %s", test.name, class, said, problems, test.want)
		}
	}
}

// What Origins says makes the class that Parse and Apply make.
func TestOriginsSayTheClass(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, path := range paths {
		_, vectors := readVectors(t, path)
		for _, v := range vectors {
			var override *Source
			want, _ := Parse("job", "c", []byte(v.text))
			if want != nil && v.overlaid {
				override = &Source{"o", []byte(v.override)}
				want, _ = Apply(want, "o", override.Text)
			}
			sayTheClass(t, want, Source{"c", []byte(v.text)}, override)
		}
	}
}

func sayTheClass(t *testing.T, want *Class, file Source, override *Source) {
	t.Helper()
	class, said, _ := Origins("job", file, override)
	if !reflect.DeepEqual(class, want) {
		t.Fatalf("Origins(%q, %v) = %v; want %v", file.Text, override, class, want)
	}
	if class == nil {
		return
	}
	var text strings.Builder
	for _, s := range said {
		text.WriteString(s.Text + "\n")
		if lines := strings.Count(string(file.Text), "\n") + 1; s.Line < 1 || s.Path == "c" && s.Line > lines {
			t.Fatalf("Origins(%q) says line %d of %s", file.Text, s.Line, s.Path)
		}
	}
	again, found := Parse("job", "again", []byte(text.String()))
	// What "manual" takes away is not said: it says nothing of what the job does.
	inForce := *class
	inForce.Manual = nil
	if again == nil || !reflect.DeepEqual(saying(again), saying(&inForce)) {
		t.Fatalf("Origins(%q) says\n%s\nwhich is %v, %v; want the same class", file.Text, text.String(), again, found)
	}
}
