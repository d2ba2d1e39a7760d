package cgroup

import (
	"slices"
	"testing"
)

const (
	unified = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	hybrid  = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	part  = "50 40 0:28 /docker/a1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	above = "50 40 0:28 /.. /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
	blank = "50 40 0:28 / /my\\040groups\\134x rw shared:1 master:2 - cgroup2 cgroup rw\n"
)

// TestFind: where the directory of a group is, by what is mounted.
func TestFind(t *testing.T) {
	const none, hidden = "no cgroup v2 file system is mounted", "no cgroup v2 file system that is mounted shows the group /x"
	for _, test := range []struct{ mountinfo, group, want, fails string }{
		{unified, "/user.slice/a", "/sys/fs/cgroup/user.slice/a", ""},
		{unified, "/", "/sys/fs/cgroup", ""},
		{hybrid, "/x", "/sys/fs/cgroup/unified/x", ""},
		{part, "/docker/a1", "/sys/fs/cgroup", ""},
		{part, "/docker/a1/b", "/sys/fs/cgroup/b", ""},
		{part + unified, "/docker/a12", "/sys/fs/cgroup/docker/a12", ""},
		{part, "/x", "", hidden},
		{above, "/x", "", hidden},
		{unified, "/../x", "", "no cgroup v2 file system that is mounted shows the group /../x"},
		{blank, "/x", `/my groups\x/x`, ""},
		{"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "/x", "", none},
		{"", "/x", "", none},
		{"1 2 3 - cgroup2\n - \n", "/x", "", none},
	} {
		h, err := Find(test.mountinfo, test.group)
		got, fails := "", ""
		if err != nil {
			fails = err.Error()
		} else {
			got, _ = h.File(test.group)
		}
		if got != test.want || fails != test.fails {
			t.Errorf("Find(%q, %q) = %q, %q; want %q, %q", test.mountinfo, test.group, got, fails, test.want, test.fails)
		}
	}
}

func TestGroupIn(t *testing.T) {
	for text, want := range map[string]string{
		"0::/\n": "/",
		"9:name=systemd:/a\n8:pids:/b\n0::/user.slice/a b\n": "/user.slice/a b",
		"0::/a (deleted)\n": "",
		"8:pids:/b\n":       "",
		"0::\n":             "",
		"":                  "",
	} {
		got, ok := GroupIn(text)
		if ok != (want != "") || ok && got != want {
			t.Errorf("GroupIn(%q) = %q, %t; want %q", text, got, ok, want)
		}
	}
}

func TestCommon(t *testing.T) {
	for _, test := range [][3]string{
		{"/", "/a", "/"}, {"/a", "/a/b/c", "/a"}, {"/a/b", "/a/c", "/a"}, {"/a", "/ab", "/"},
		{"/a/b/c", "/a", "/a"}, {"/a", "/a", "/a"},
	} {
		if got := common(test[0], test[1]); got != test[2] {
			t.Errorf("common(%q, %q) = %q; want %q", test[0], test[1], got, test[2])
		}
	}
}

func TestContents(t *testing.T) {
	if got := pidsIn("12\n0\n7\nx\n"); !slices.Equal(got, []int{12, 7}) {
		t.Errorf("pidsIn = %v; want 12 and 7", got)
	}
	for text, want := range map[string][2]bool{
		"populated 0\nfrozen 0\n": {true, true},
		"populated 0\nfrozen 1\n": {true, false},
		"populated 1\nfrozen 0\n": {false, true},
		"":                        {false, true},
	} {
		if empty, running := isEmpty(text); empty != want[0] || running != want[1] {
			t.Errorf("isEmpty(%q) = %t, %t; want %v", text, empty, running, want)
		}
	}
}
