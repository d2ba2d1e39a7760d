package conf

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func paths(dirs []Dir) []string {
	var list []string
	for _, dir := range dirs {
		list = append(list, dir.Path)
	}
	return list
}

func TestUserDirs(t *testing.T) {
	for _, c := range []struct {
		name string
		env  map[string]string
		want []string
	}{
		{"home alone", map[string]string{"HOME": "/home/u"}, []string{
			"/home/u/.config/session-init",
			"/etc/xdg/session-init",
			"/home/u/.local/share/session-init/jobs",
			"/usr/local/share/session-init/jobs",
			"/usr/share/session-init/jobs",
			"/home/u/.config/upstart",
			"/home/u/.init",
			"/etc/xdg/upstart",
			"/usr/local/share/upstart/sessions",
			"/usr/share/upstart/sessions",
		}},
		{"all set", map[string]string{
			"HOME": "/h", "XDG_CONFIG_HOME": "/c/", "XDG_CONFIG_DIRS": "/x:/y//z",
			"XDG_DATA_HOME": "/d", "XDG_DATA_DIRS": "/s",
		}, []string{
			"/c/session-init", "/x/session-init", "/y/z/session-init",
			"/d/session-init/jobs", "/s/session-init/jobs",
			"/c/upstart", "/h/.init", "/x/upstart", "/y/z/upstart", "/s/upstart/sessions",
		}},
		{"relative ones and doubles left out", map[string]string{
			"HOME": "/h", "XDG_CONFIG_HOME": "c", "XDG_CONFIG_DIRS": "x::/h/.config:./y:/x:/x",
			"XDG_DATA_HOME": "../d", "XDG_DATA_DIRS": "s",
		}, []string{
			"/h/.config/session-init", "/x/session-init",
			"/h/.local/share/session-init/jobs",
			"/h/.config/upstart", "/h/.init", "/x/upstart",
		}},
		{"no home", map[string]string{"XDG_CONFIG_DIRS": "/x", "XDG_DATA_DIRS": "/s"}, []string{
			"/x/session-init", "/s/session-init/jobs", "/x/upstart", "/s/upstart/sessions",
		}},
		{"relative home", map[string]string{"HOME": "h", "XDG_CONFIG_DIRS": "/x", "XDG_DATA_DIRS": "/s"}, []string{
			"/x/session-init", "/s/session-init/jobs", "/x/upstart", "/s/upstart/sessions",
		}},
	} {
		got := paths(UserDirs(func(name string) string { return c.env[name] }))
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: UserDirs() = %q; want %q", c.name, got, c.want)
		}
	}
}

func TestSystemDirs(t *testing.T) {
	want := []string{"/etc/init/jobs.d", "/etc/init", "/etc/event.d", "/usr/share/session-init/system"}
	if got := paths(SystemDirs()); !slices.Equal(got, want) {
		t.Errorf("SystemDirs() = %q; want %q", got, want)
	}
}

func TestFromFlags(t *testing.T) {
	base := []Dir{{Path: "/a"}, {Path: "/b"}}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		confdirs, prepend, append []string
		want                      []string
	}{
		{nil, nil, nil, []string{"/a", "/b"}},
		{[]string{"/c", "/d/"}, nil, nil, []string{"/c", "/d"}},
		{nil, []string{"/p", "/q"}, []string{"/r"}, []string{"/p", "/q", "/a", "/b", "/r"}},
		{[]string{"/c"}, []string{"/p"}, []string{"/r"}, []string{"/p", "/c", "/r"}},
		{nil, []string{"/b"}, []string{"/a"}, []string{"/b", "/a"}},
		{[]string{"jobs", ""}, nil, nil, []string{filepath.Join(here, "jobs")}},
	} {
		got := paths(FromFlags(base, c.confdirs, c.prepend, c.append))
		if !slices.Equal(got, c.want) {
			t.Errorf("FromFlags(%q, %q, %q) = %q; want %q", c.confdirs, c.prepend, c.append, got, c.want)
		}
	}
}
