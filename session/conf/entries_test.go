package conf

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/desktop"
)

const application = "[Desktop Entry]\nType=Application\nExec=x\n"

func TestAutostartDirs(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/h"}, "/h/.config/autostart /etc/xdg/autostart"},
		{map[string]string{"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_CONFIG_DIRS": "/a:rel:/b:/a"}, "/c/autostart /a/autostart /b/autostart"},
		{map[string]string{}, "/etc/xdg/autostart"},
	} {
		var got []string
		for _, dir := range AutostartDirs(func(key string) string { return test.env[key] }) {
			if !dir.Autostart {
				t.Errorf("AutostartDirs(%v): %s is none", test.env, dir.Path)
			}
			got = append(got, dir.Path)
		}
		if text := strings.Join(got, " "); text != test.want {
			t.Errorf("AutostartDirs(%v) = %s; want %s", test.env, text, test.want)
		}
	}
}

func TestLocale(t *testing.T) {
	env := map[string]string{"LANG": "a"}
	for _, step := range []struct{ key, want string }{{"LANG", "a"}, {"LC_MESSAGES", "b"}, {"LC_ALL", "c"}} {
		env[step.key] = step.want
		if got := Locale(func(key string) string { return env[key] }); got != step.want {
			t.Errorf("Locale(%v) = %s; want %s", env, got, step.want)
		}
	}
}

func TestEntriesPrecedence(t *testing.T) {
	d := openWith(t, Options{}, tempDir(t), "jobs", "home/autostart", "etc/autostart")
	d.put("etc/autostart/a.desktop", application+"Name=etc")
	d.put("etc/autostart/b.desktop", application+"Name=etc")
	d.put("etc/autostart/c.desktop", application+"Name=etc")
	d.put("etc/autostart/d.desktop", application+"Name=etc")
	d.put("etc/autostart/e.desktop", application+"Name=etc")
	d.put("etc/autostart/sub/f.desktop", application)
	d.put("etc/autostart/g.conf", "one")
	d.put("etc/autostart/.h.desktop", application)
	d.put("etc/autostart/i.desktop~", application)
	d.put("etc/autostart/.desktop", application)
	d.put("etc/autostart/link.desktop", "[Desktop Entry]\nType=Link\n")
	d.put("home/autostart/a.desktop", application+"Name=home")
	d.put("home/autostart/b.desktop", "[Desktop Entry]\nHidden=true\n")
	d.put("home/autostart/c.desktop", "nonsense")
	d.put("jobs/autostart/d.conf", "own")
	d.put("jobs/autostart/e.override", "mine")
	d.load()
	const phase = "autostart-phase/application = : XDG autostart: all entries of the phase application run"
	d.want(phase,
		"autostart/a = home/autostart/a.desktop: home",
		"autostart/c = etc/autostart/c.desktop: etc",
		"autostart/d = jobs/autostart/d.conf: own",
		"autostart/e = etc/autostart/e.desktop: etc + jobs/autostart/e.override: mine")
	if !d.says("c.desktop:1:1: the line stands before the first group") {
		t.Errorf("nothing was said of the broken entry:\n%s", d.log)
	}
}

// Entries are followed as job files are, and so are the phases in use.
func TestEntriesLive(t *testing.T) {
	d := openWith(t, Options{}, tempDir(t), "jobs", "home/autostart", "etc/autostart")
	d.put("jobs/a.conf", "one")
	d.live()
	d.want("a = jobs/a.conf: one")
	phase := func(name string) string {
		return "autostart-phase/" + name + " = : XDG autostart: all entries of the phase " + name + " run"
	}
	x := "autostart/x = etc/autostart/x.desktop: "
	d.put("etc/autostart/x.desktop", application+"Name=X")
	d.until("a = jobs/a.conf: one", phase("application"), x+"X")
	d.put("home/autostart/y.desktop", application+"X-KDE-autostart-after=x\n")
	d.until("a = jobs/a.conf: one", phase("application"), phase("late"), x+"X", "autostart/y = home/autostart/y.desktop: ")
	d.swap("home/autostart/y.desktop", "[Desktop Entry]\nHidden=true\n")
	d.until("a = jobs/a.conf: one", phase("application"), x+"X")
	d.put("home/autostart/x.desktop", "[Desktop Entry]\nHidden=true\n")
	d.until("a = jobs/a.conf: one")
	d.drop("home/autostart/x.desktop")
	d.until("a = jobs/a.conf: one", phase("application"), x+"X")
	d.put("etc/autostart/x.desktop", "broken")
	d.put("jobs/a.conf", "two")
	d.until("a = jobs/a.conf: two", phase("application"), x+"X")
}

// The jobs of phases follow each other, and the first one the event.
func TestPhases(t *testing.T) {
	entry := func(text string) Change {
		made, problems := desktop.Make("/d/"+text[:1]+".desktop", []byte(application+text[1:]), "")
		if made.Class == nil {
			t.Fatal(problems)
		}
		return Change{Set: made.Class}
	}
	tell := func(changes []Change) (out []string) {
		for _, c := range changes {
			switch {
			case c.Set == nil:
				out = append(out, "-"+c.Drop)
			case strings.HasPrefix(c.Set.Name, desktop.PhasePrefix):
				out = append(out, c.Set.Name+" on "+c.Set.StartOn.String())
			}
		}
		return out
	}
	p := newPhases(Entries{Event: "startup"})
	for _, step := range []struct {
		changes []Change
		want    []string
	}{
		{[]Change{entry("a")}, []string{"autostart-phase/application on startup"}},
		{[]Change{entry("bX-GNOME-Autostart-Phase=Panel\n")}, []string{"autostart-phase/application on started autostart-phase/panel", "autostart-phase/panel on startup"}},
		{[]Change{entry("b"), entry("cX-KDE-autostart-phase=0\n")},
			[]string{"autostart-phase/application on started autostart-phase/initialization", "autostart-phase/initialization on startup", "-autostart-phase/panel"}},
		{[]Change{entry("b")}, nil},
		{[]Change{{Drop: "autostart/a"}, {Drop: "autostart/b"}}, []string{"-autostart-phase/application", "-autostart/a", "-autostart/b"}},
		{[]Change{entry("cX-GNOME-Autostart-enabled=false\n")}, []string{"-autostart-phase/initialization"}},
	} {
		if got := tell(p.settle(step.changes)); !slices.Equal(got, step.want) {
			t.Errorf("settle = %q; want %q", got, step.want)
		}
	}
}

func TestEntryFiles(t *testing.T) {
	dir := tempDir(t)
	for _, name := range []string{"b.desktop", "a.desktop", "c.conf"} {
		put(t, dir+"/1/"+name, "")
	}
	put(t, dir+"/2", "a file")
	got, err := EntryFiles([]Dir{{Path: dir + "/none", Autostart: true}, {Path: dir + "/1", Autostart: true}})
	if want := []string{dir + "/1/a.desktop", dir + "/1/b.desktop"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("EntryFiles = %q, %v; want %q", got, err, want)
	}
	must(t, os.Symlink("loop", dir+"/loop"))
	if got, err := EntryFiles([]Dir{{Path: dir + "/loop", Autostart: true}}); err == nil || len(got) > 0 {
		t.Errorf("EntryFiles of what cannot be read = %q, %v; want an error", got, err)
	}
}
