package conf

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestClassify(t *testing.T) {
	const job, over = jobFile, overrideFile
	for _, c := range []struct {
		root, file string
		name       string
		kind       kind
	}{
		{"/r", "/r/a.conf", "a", job},
		{"/r", "/r/a.override", "a", over},
		{"/r", "/r/net/dhcp.conf", "net/dhcp", job},
		{"/r", "/r/net/dhcp.override", "net/dhcp", over},
		{"/r", "/r/o.conf.conf", "o.conf", job},
		{"/r", "/r/a b.conf", "a b", job},
		{"/r", "/r/-v.conf", "-v", job},
		{"/r", "/r/CVS.conf", "CVS", job},
		{"/r", "/r/a.swp.conf", "a.swp", job},
		{"/r", "/r/#h.conf", "#h", job},
		{"/r", "/r/d.conf/x.conf", "d.conf/x", job},
		{"/r", "/r/\xff.conf", "\xff", job},
		{"/", "/a.conf", "a", job},
		{"/r", "/r/jobs.d/getty", "getty", job},
		{"/r", "/r/event.d/getty", "getty", job},
		{"/r/jobs.d", "/r/jobs.d/getty", "getty", job},
		{"/r/event.d", "/r/event.d/getty.conf", "getty", job},
		{"/r/event.d", "/r/event.d/getty.override", "getty", over},
		{"/r", "/r/net/jobs.d/dhcp", "net/dhcp", job},
		{"/r", "/r/jobs.d/net/dhcp.conf", "net/dhcp", job},

		{"/r", "/r/a", "", noJob},
		{"/r", "/r/jobs.d/net/dhcp", "", noJob},
		{"/r", "/r/jobs.d/getty.old", "", noJob},
		{"/r", "/r/jobs.d/getty~", "", noJob},
		{"/r", "/r/jobs.d/#getty#", "", noJob},
		{"/r", "/r/.conf", "", noJob},
		{"/r", "/r/.override", "", noJob},
		{"/r", "/r/.a.conf", "", noJob},
		{"/r", "/r/.#a.conf", "", noJob},
		{"/r", "/r/.a.conf.swp", "", noJob},
		{"/r", "/r/#a#.conf", "", noJob},
		{"/r", "/r/#a.conf#", "", noJob},
		{"/r", "/r/a.conf~", "", noJob},
		{"/r", "/r/a.CONF", "", noJob},
		{"/r", "/r/a.conf.bak", "", noJob},
		{"/r", "/r/a.conf.dpkg-old", "", noJob},
		{"/r", "/r/a.conf.rpmsave", "", noJob},
		{"/r", "/r/a.conf.ucf-dist", "", noJob},
	} {
		got := classify(c.root, c.file)
		if got.name != c.name || got.kind != c.kind {
			t.Errorf("classify(%q, %q) = %q, %d; want %q, %d", c.root, c.file, got.name, got.kind, c.name, c.kind)
		}
	}
}

func TestPlaceOrder(t *testing.T) {
	want := []string{
		"/r/event.d/jobs.d/a.conf",
		"/r/event.d/a.conf",
		"/r/jobs.d/a.conf",
		"/r/event.d/a",
		"/r/jobs.d/a",
		"/r/a.conf",
	}
	var places []place
	for _, file := range want {
		places = append([]place{classify("/r", file)}, places...)
	}
	slices.SortFunc(places, place.before)
	for i, p := range places {
		if p.path != want[i] || p.name != "a" {
			t.Errorf("place %d = %q of job %q; want %q of a", i, p.path, p.name, want[i])
		}
	}
}

func TestIgnored(t *testing.T) {
	for _, name := range []string{"", ".git", ".hid", "x~", "x.bak", "#x#", ".x.swp", "x.swp", "x.dpkg-new",
		"x.dpkg-dist", "x.ucf-old", "x.rpmnew", "x.pacsave", "x.orig", "x.rej"} {
		if !ignored(name) {
			t.Errorf("ignored(%q) = false; want true", name)
		}
	}
	for _, name := range []string{"x", "d.conf", "#", "#x", "x#", "bak", "orig", "CVS", "x.old"} {
		if ignored(name) {
			t.Errorf("ignored(%q) = true; want false", name)
		}
	}
	for _, name := range []string{"CVS", "RCS", "SCCS"} {
		if !versionControl(name) {
			t.Errorf("versionControl(%q) = false; want true", name)
		}
	}
}

// Names come from other people's directories.
func FuzzClassify(f *testing.F) {
	f.Add("/r", "a.conf")
	f.Add("/jobs.d", "net/event.d/a")
	f.Add("/", "#a#.override")
	f.Fuzz(func(t *testing.T, root, rel string) {
		root = path.Clean("/" + root)
		file := path.Join(root, path.Clean("/"+rel))
		if file == root {
			return
		}
		p := classify(root, file)
		if (p.kind == noJob) != (p.name == "") || p.path != file {
			t.Fatalf("classify(%q, %q) = %+v; a name just for a job, and the path itself", root, file, p)
		}
		if p.kind != noJob && (strings.HasPrefix(p.name, "/") || ignored(path.Base(file))) {
			t.Fatalf("classify(%q, %q) = %+v; want no job", root, file, p)
		}
		if p.before(p) != 0 {
			t.Fatalf("%+v stands before itself", p)
		}
	})
}
