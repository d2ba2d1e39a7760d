package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// set loads a job from its files, as the daemon would.
func (w *world) set(t *testing.T, path, override string) {
	t.Helper()
	class, problems := job.Parse("foo", path, []byte(readText(t, path)))
	if class != nil && override != "" {
		class, problems = job.Apply(class, override, []byte(readText(t, override)))
	}
	if class == nil {
		t.Fatal(problems)
	}
	done := make(chan struct{})
	w.post(func() {
		defer close(done)
		w.step(engine.SetClass{Class: class})
	})
	<-done
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestCat(t *testing.T) {
	dir := t.TempDir()
	path, override := filepath.Join(dir, "foo.conf"), filepath.Join(dir, "foo.override")
	write(t, path, "# a comment\nstart on (a\n  and b)\nkill timeout 9\n\nexec run  --fast\npre-start script\n    exit 0\nend script\n")
	write(t, override, "env A=1\nkill timeout 5\n")
	w := newWorld(t)
	w.set(t, path, "")
	plain := "# " + path + "\n" +
		"start on (a and b)  # foo.conf:2\n" +
		"kill timeout 9      # foo.conf:4\n" +
		"pre-start script    # foo.conf:7\n    exit 0\nend script\n" +
		"exec run  --fast    # foo.conf:6\n"
	w.play(t, []step{
		{"sctl cat", 2, "", "cat: missing job name\nusage: sctl cat [OPTION...] JOB\n"},
		{"sctl cat nope", 1, "", "cat: cannot show the definition of 'nope': Unknown job\n"},
		{"sctl cat foo bar", 2, "", "cat: unexpected argument: bar\nusage: sctl cat [OPTION...] JOB\n"},
		{"sctl cat foo", 0, plain, ""},
		{"UPSTART_JOB=foo UPSTART_INSTANCE= $ sctl cat", 0, plain, ""},
		{"sctl start foo", 0, "foo running (start), process 1002\n", ""},
	})

	// A definition that waits for the instance's end.
	w.set(t, path, override)
	later, _ := strings.CutPrefix(plain, "# "+path+"\n")
	w.play(t, []step{
		{"sctl cat foo", 0, "# " + path + "\n# the job changes when its last instance has stopped\n" + later, ""},
		{"sctl stop foo", 0, "foo waiting (stop)\n", ""},
		{"sctl cat foo", 0, "# " + path + "\n# " + override + "\n" +
			"start on (a and b)  # foo.conf:2\n" +
			"env A=1             # foo.override:1\n" +
			"kill timeout 5      # foo.override:2\n" +
			"pre-start script    # foo.conf:7\n    exit 0\nend script\n" +
			"exec run  --fast    # foo.conf:6\n", ""},
	})
}

// Files that no longer say what is in force give places where they still fit.
func TestCatOfOtherFiles(t *testing.T) {
	dir := t.TempDir()
	path, override := filepath.Join(dir, "foo.conf"), filepath.Join(dir, "foo.override")
	write(t, path, "exec x\ntask\n")
	write(t, override, "nice 3\n")
	w := newWorld(t)
	w.set(t, path, override)
	head := "# " + path + "\n# " + override + "\n"
	bare := "task\nnice 3\nexec x\n"

	write(t, path, "\nexec x\nrespawn\n")
	w.play(t, []step{{"sctl cat foo", 0, head + "# this is not what the files say by now\n" +
		"task\nnice 3  # foo.override:1\nexec x  # foo.conf:2\n", ""}})
	write(t, path, "exce x\n")
	w.play(t, []step{{"sctl cat foo", 0, head + "# " + path + ":1:1: unknown stanza 'exce' (did you mean 'exec'?)\n" + bare, ""}})
	write(t, path, "exec x\ntask\n")
	if err := os.Remove(override); err != nil {
		t.Fatal(err)
	}
	w.play(t, []step{{"sctl cat foo", 0, head + "# cannot read the override: open " + override + ": no such file or directory\n" +
		"task    # foo.conf:2\nnice 3\nexec x  # foo.conf:1\n", ""}})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.play(t, []step{{"sctl cat foo", 0, head + "# cannot read the job file: open " + path + ": no such file or directory\n" + bare, ""}})
}

// What cat prints is the job file of an equal class, comments and all.
func TestCatIsAJobFile(t *testing.T) {
	for _, text := range []string{
		"exec a \\ \nenv \"A= x # y\"\nenv B=\"'\"\nemits x\nemits \"y z\"\n",
		"script\n  a # b\n\n   end script x\nend script\nstart on a X=\"(\" or (b and c)\nrespawn limit unlimited\nnormal exit 1 TERM",
		"exec " + strings.Repeat("long ", 30) + "\nconsole log\nlimit nofile 1 unlimited\nmanual",
		"description \"\xff\x01\"\nexec x\xff\n",
	} {
		path := "odd\n name\xff\x1b.conf"
		want, problems := job.Parse("j", path, []byte(text))
		if want == nil {
			t.Fatal(problems)
		}
		for _, err := range []error{nil, errors.New("two\nlines")} {
			d := definition{job: "j", file: path, text: job.Print(want)}
			lines := d.lines(func(string) ([]byte, error) { return []byte(text), err })
			printed := strings.Join(lines, "\n") + "\n"
			got, problems := job.Parse("j", path, []byte(printed))
			if !reflect.DeepEqual(got, want) || len(problems) > 0 {
				t.Errorf("cat of %q =\n%s\nwhich is %v, %v; want the same class", text, printed, got, problems)
			}
		}
	}
}

func TestReadDefinitionRefuses(t *testing.T) {
	good := []any{"f", "", []byte("exec x\n"), false}
	if _, err := readDefinition("j", good); err != nil {
		t.Errorf("readDefinition(%v) = %v; want no error", good, err)
	}
	for i := range good {
		bad := append([]any{}, good...)
		bad[i] = int32(1)
		if d, err := readDefinition("j", bad); err == nil {
			t.Errorf("readDefinition(%v) = %v; want an error", bad, d)
		}
	}
	if d, err := readDefinition("j", good[:3]); err == nil {
		t.Errorf("readDefinition(%v) = %v; want an error", good[:3], d)
	}
}
