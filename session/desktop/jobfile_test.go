package desktop

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

func TestMake(t *testing.T) {
	text := `[Desktop Entry]
Type=Application
Name=Net
Name[de]=Netz
Comment=Applet
Exec=nm-applet --sm "a b" %U
Path=/srv/x y
NotShowIn=KDE;
`
	made, problems := Make("/etc/xdg/autostart/nm-applet.desktop", []byte(text), "de_AT.UTF-8")
	if made.Class == nil || len(problems) > 0 {
		t.Fatalf("Make = %+v, %v", made, problems)
	}
	want := `description "Netz: Applet"
start on starting autostart-phase/application XDG_CURRENT_DESKTOP!=KDE XDG_CURRENT_DESKTOP!=KDE:* XDG_CURRENT_DESKTOP!=*:KDE XDG_CURRENT_DESKTOP!=*:KDE:*
stop on session-stop SESSION=$SESSION
instance $SESSION
env SESSION=
lifetime tree
chdir "/srv/x y"
exec nm-applet --sm 'a b'
`
	if got := string(job.Print(made.Class)); got != want || made.Class.Name != "autostart/nm-applet" {
		t.Errorf("Make gives the job %s\n%s; want\n%s", made.Class.Name, got, want)
	}
}

func TestMakeProcesses(t *testing.T) {
	for _, test := range []struct{ keys, want string }{
		{"Exec=x\nX-GNOME-Autostart-Delay=30", "script\n    sleep 30\n    exec x\nend script\n"},
		{"Exec=x 'y z'\nTerminal=true", "script\n    if command -v xdg-terminal-exec >/dev/null; then exec xdg-terminal-exec x 'y z'; fi\n    exec \"${TERMINAL:-x-terminal-emulator}\" -e x 'y z'\nend script\n"},
		{"Exec=x\nX-GNOME-AutoRestart=true", "respawn\nnormal exit 0\nexec x\n"},
		{"DBusActivatable=true", "exec gapplication launch org.x.Y\n"},
		{"Exec=x\nTryExec=y", "pre-start script\n    command -v y >/dev/null || { stop; exit 0; }\nend script\nexec x\n"},
		{"Exec=x\nTryExec=/b/y z", "pre-start script\n    [ -x '/b/y z' ] || { stop; exit 0; }\nend script\nexec x\n"},
		{"Exec=x\nX-KDE-autostart-condition=a:b:c:true", "pre-start script\n    sctl autostart --check /d/org.x.Y.desktop || { stop; exit 0; }\nend script\nexec x\n"},
	} {
		made, problems := Make("/d/org.x.Y.desktop", []byte("[Desktop Entry]\nType=Application\n"+test.keys+"\n"), "")
		if made.Class == nil {
			t.Errorf("Make(%q) = %v", test.keys, problems)
			continue
		}
		_, got, _ := strings.Cut(string(job.Print(made.Class)), "env SESSION=\n")
		got = strings.Replace(got, "lifetime tree\n", "", 1)
		if got != test.want {
			t.Errorf("Make(%q) gives\n%s; want\n%s", test.keys, got, test.want)
		}
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, test := range []struct {
		keys, want string
		gone       bool
	}{
		{"Type=Application", "/d/e.desktop:1:1: there is no 'Exec'", false},
		{"Type=Application\nDBusActivatable=true", "/d/e.desktop:1:1: there is no 'Exec'", false},
		{"Type=Application\nExec=x %z", "/d/e.desktop:3:1: 'Exec' cannot be run: there is no field code '%z'", false},
		{"Hidden=true", "", true},
		{"Type=Directory", "", true},
	} {
		made, problems := Make("/d/e.desktop", []byte("[Desktop Entry]\n"+test.keys+"\n"), "")
		got := ""
		for _, p := range problems {
			got += p.Error()
		}
		if made.Class != nil || made.Gone != test.gone || got != test.want {
			t.Errorf("Make(%q) = %+v, %q; want no job, gone %t, %q", test.keys, made, got, test.gone, test.want)
		}
	}
	made, _ := Make("/d/e.desktop", []byte("[Desktop Entry]\nType=Application\nExec=x\nX-GNOME-Autostart-enabled=false\n"), "")
	if made.Class == nil || made.Class.StartOn != nil {
		t.Errorf("an entry that is switched off = %+v; want a job without 'start on'", made.Class)
	}
}

func TestPhaseJobs(t *testing.T) {
	jobs := PhaseJobs([]Phase{Application, Panel, Application}, "startup", true)
	var got strings.Builder
	for _, class := range jobs {
		fmt.Fprintf(&got, "%s: %s, %q\n", class.Name, class.StartOn, class.Env)
	}
	want := `autostart-phase/panel: startup, ["SESSION=" "XDG_CURRENT_DESKTOP=" "XDG_CURRENT_DESKTOP"]
autostart-phase/application: started autostart-phase/panel, ["SESSION=" "XDG_CURRENT_DESKTOP=" "XDG_CURRENT_DESKTOP"]
`
	if got.String() != want {
		t.Errorf("PhaseJobs = %s; want %s", got.String(), want)
	}
	if jobs := PhaseJobs(nil, "x", false); len(jobs) != 0 {
		t.Errorf("PhaseJobs of nothing = %v; want none", jobs)
	}
}

// For every desktop the condition says what the verdict does.
func TestConditionIsVerdict(t *testing.T) {
	names := []string{"GNOME", "KDE", "GNOME-Classic", "X", "a.b", "odd*", "$X", "with space", "[a]"}
	random := rand.New(rand.NewSource(1))
	pick := func(sep string) string {
		var out []string
		for range random.Intn(4) {
			out = append(out, names[random.Intn(len(names))])
		}
		return strings.Join(out, sep)
	}
	started := 0
	for range 3000 {
		keys := "Type=Application\nExec=x\n"
		if random.Intn(2) == 0 {
			keys += "OnlyShowIn=" + pick(";") + "\n"
		}
		if random.Intn(2) == 0 {
			keys += "NotShowIn=" + pick(";") + "\n"
		}
		current := pick(":")
		e := entry(t, "/d/e.desktop", keys)
		want := e.Verdict(Lookup{Desktops: Desktops(current)}).Starts
		made, problems := Make("/d/e.desktop", []byte("[Desktop Entry]\n"+keys), "")
		if made.Class == nil {
			t.Fatalf("Make(%q) = %v", keys, problems)
		}
		// As it is after a crash of the daemon.
		class, problems := job.Parse(made.Class.Name, "", job.Print(made.Class))
		if class == nil {
			t.Fatalf("%s\n%v", job.Print(made.Class), problems)
		}
		got := false
		if class.StartOn != nil {
			for _, node := range class.StartOn.Nodes {
				got = got || node.Match != nil && node.Match.Matches("starting",
					events.Env{"JOB=autostart-phase/application", "INSTANCE=1", "SESSION=1", "XDG_CURRENT_DESKTOP=" + current}, nil)
			}
		}
		if got != want {
			t.Fatalf("in %q the condition of %q is %t, the verdict %t:\n%s", current, keys, got, want, job.Print(class))
		}
		if got {
			started++
		}
		if phase, ok := PhaseOf(class); ok != (class.StartOn != nil) || ok && phase != Application {
			t.Fatalf("PhaseOf(%s) = %s, %t", job.Print(class), phase, ok)
		}
	}
	if started == 0 {
		t.Error("nothing was ever started")
	}
}

// FuzzMake: no file breaks anything, and what comes of one is a job file that
// says the same when it is written and read, and runs the words of Exec.
func FuzzMake(f *testing.F) {
	for _, seed := range []string{
		"[Desktop Entry]\nType=Application\nExec=a \"b c\" 'd' %c\nName=x#y\n",
		"[Desktop Entry]\nType=Application\nExec=a 'it''s' \"it's \\\\$x\" # ;|&\nTryExec=a'b\nX-GNOME-Autostart-Delay=3\nTerminal=true\n",
		"[Desktop Entry]\nType=Application\nExec=a\nOnlyShowIn=A;B\\;C;\nNotShowIn=D\nPath=/a b\nX-KDE-autostart-condition=a:b:c:d\n",
		"[Desktop Entry]\nType=Application\nExec=end script\nX-GNOME-Autostart-Delay=1\nName[de]=\\n\\t\\s\\\\\n",
		"\xff[Desktop Entry]\n\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		made, problems := Make("/d/e.desktop", text, "de_AT")
		if made.Class == nil {
			if !made.Gone && len(problems) == 0 {
				t.Fatal("no job, and no reason")
			}
			return
		}
		printed := job.Print(made.Class)
		class, problems := job.Parse(made.Class.Name, "/d/e.desktop", printed)
		if class == nil {
			t.Fatalf("cannot read what was written: %v\n%s", problems, printed)
		}
		if again := job.Print(class); string(again) != string(printed) {
			t.Fatalf("written again it is\n%s; before\n%s", again, printed)
		}
		if made.Entry.Delay() > 0 || made.Entry.Flag("Terminal") || made.Entry.Text("Exec") == "" {
			return
		}
		want, err := made.Entry.Command("de_AT")
		if err != nil {
			t.Fatal(err)
		}
		command := class.Processes[job.Main].Command()
		got := command.Argv
		if len(got) == 4 && got[0] == "/bin/sh" && got[2] == "-c" {
			got = unquote(t, strings.TrimPrefix(got[3], "exec "))
		} else if command.Script != "" {
			return
		}
		if !slices.Equal(got, want) {
			t.Fatalf("runs %q; want %q\n%s", got, want, printed)
		}
	})
}

// unquote reads words as the shell does, as far as shellQuote writes them.
func unquote(t *testing.T, text string) []string {
	words, err := splitExec(strings.TrimSuffix(text, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, w := range words {
		out = append(out, w.text)
	}
	return out
}
