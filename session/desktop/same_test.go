package desktop

import (
	"slices"
	"testing"

	"github.com/session-init/session-init/session/job"
)

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name, bus string
		want      []string
	}{
		{"dunst", "", []string{"dunst"}},
		{"dunst", "org.freedesktop.Notifications", []string{"dunst", "org.freedesktop.notifications"}},
		{"autostart/com.nextcloud.client.Nextcloud", "", []string{"com.nextcloud.client.nextcloud", "nextcloud"}},
		{"autostart/a.b", "", []string{"a.b"}},
		{"org.x.Y", "org.x.Y", []string{"org.x.y", "y"}},
		{"a..", "", []string{"a.."}},
	} {
		c := job.NewClass(test.name)
		c.BusName = test.bus
		if got := Names(c); !slices.Equal(got, test.want) {
			t.Errorf("Names(%s, %s) = %q; want %q", test.name, test.bus, got, test.want)
		}
	}
}

func TestYield(t *testing.T) {
	made, _ := Make("/d/x.desktop", []byte("[Desktop Entry]\nType=Application\nName=X\nExec=x\n"), "")
	if got := YieldsTo(made.Class); got != "" {
		t.Errorf("YieldsTo of a job that does not = %q", got)
	}
	c := Yield(made.Class, "own")
	if c.StartOn != nil || made.Class.StartOn == nil || YieldsTo(c) != "own" {
		t.Errorf("Yield = %+v; want no condition, for own", c)
	}
	if again, _ := job.Parse(c.Name, "", job.Print(c)); again == nil || YieldsTo(again) != "own" {
		t.Errorf("written and read again it yields to %+v; want own", again)
	}
}
