package conf

import (
	"slices"
	"testing"

	"github.com/session-init/session-init/session/desktop"
	"github.com/session-init/session-init/session/job"
)

// An entry steps back while a job that starts by itself is the same
// application, by its own name or by the one on the bus.
func TestSameApplication(t *testing.T) {
	entry := func(name, override string) Change {
		made, problems := desktop.Make("/d/"+name+".desktop", []byte(application), "")
		if made.Class == nil {
			t.Fatal(problems)
		}
		made.Class.Override = override
		return Change{Set: made.Class}
	}
	own := func(name, text string) Change {
		class, problems := job.Parse(name, "/jobs/"+name+".conf", []byte(text))
		if class == nil {
			t.Fatal(problems)
		}
		return Change{Set: class}
	}
	tell := func(changes []Change) (out []string) {
		for _, c := range changes {
			switch {
			case c.Set == nil:
				out = append(out, "-"+c.Drop)
			case c.Set.StartOn != nil:
				out = append(out, c.Set.Name+" starts")
			case desktop.YieldsTo(c.Set) != "":
				out = append(out, c.Set.Name+" yields to "+desktop.YieldsTo(c.Set))
			default:
				out = append(out, c.Set.Name)
			}
		}
		return out
	}
	a := newApplications()
	for _, step := range []struct {
		changes []Change
		want    []string
	}{
		{[]Change{entry("org.x.Cloud", ""), entry("org.x.Note", "")}, []string{"autostart/org.x.Cloud starts", "autostart/org.x.Note starts"}},
		{[]Change{own("cloud", "exec x")}, []string{"cloud"}},
		{[]Change{own("cloud", "start on startup\nexec x")}, []string{"autostart/org.x.Cloud yields to cloud", "cloud starts"}},
		{[]Change{own("cloud", "start on go\nexec x")}, []string{"cloud starts"}},
		{[]Change{own("daemon", "start on startup\nexpect dbus org.x.Note\nexec x"), own("zloud", "start on startup\nexec x")},
			[]string{"autostart/org.x.Note yields to daemon", "daemon starts", "zloud starts"}},
		{[]Change{own("Cloud", "start on startup\nexec x")}, []string{"Cloud starts", "autostart/org.x.Cloud yields to Cloud"}},
		{[]Change{{Drop: "Cloud"}}, []string{"-Cloud", "autostart/org.x.Cloud yields to cloud"}},
		// What its user has changed stays as he wants it.
		{[]Change{entry("org.x.Cloud", "/o")}, []string{"autostart/org.x.Cloud starts"}},
		{[]Change{entry("org.x.Cloud", "")}, []string{"autostart/org.x.Cloud yields to cloud"}},
		{[]Change{own("cloud", "manual\nexec x"), {Drop: "daemon"}}, []string{"autostart/org.x.Cloud starts", "autostart/org.x.Note starts", "cloud", "-daemon"}},
		{[]Change{{Drop: "autostart/org.x.Cloud"}, own("cloud", "start on startup\nexec x")}, []string{"-autostart/org.x.Cloud", "cloud starts"}},
		{[]Change{entry("org.x.Cloud", ""), entry("other", "")}, []string{"autostart/org.x.Cloud yields to cloud", "autostart/other starts"}},
	} {
		if got := tell(a.settle(step.changes)); !slices.Equal(got, step.want) {
			t.Errorf("settle = %q; want %q", got, step.want)
		}
	}
	for name := range a.jobs {
		if name != "cloud" && name != "zloud" {
			t.Errorf("the name %s is kept", name)
		}
	}
}
