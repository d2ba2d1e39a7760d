package api

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestEscapeElement(t *testing.T) {
	for _, test := range []struct{ name, want string }{
		{"", "_"},
		{"apache2", "apache2"},
		{"net/dhcp", "net_2fdhcp"},
		{"rc-sysinit", "rc_2dsysinit"},
		{"_", "_5f"},
		{"a b", "a_20b"},
		{"é", "_c3_a9"},
		{"\xff\x00", "_ff_00"},
		{"A.Z", "A_2eZ"},
	} {
		if got := EscapeElement(test.name); got != test.want {
			t.Errorf("EscapeElement(%q) = %q; want %q", test.name, got, test.want)
		}
		if got, ok := UnescapeElement(test.want); !ok || got != test.name {
			t.Errorf("UnescapeElement(%q) = %q, %v; want %q", test.want, got, ok, test.name)
		}
	}
}

// A name has one path only: what EscapeElement does not make is none.
func TestUnescapeElementRefuses(t *testing.T) {
	for _, element := range []string{
		"", "_2", "_2F", "_2g", "_61", "a_", "__", "a-b", "net/dhcp", "é", "_5", "_5f_",
	} {
		if got, ok := UnescapeElement(element); ok {
			t.Errorf("UnescapeElement(%q) = %q; want a refusal", element, got)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, test := range []struct {
		path, job, instance string
		isInstance, ok      bool
	}{
		{ManagerPath + "/jobs/svc", "svc", "", false, true},
		{ManagerPath + "/jobs/svc/_", "svc", "", true, true},
		{ManagerPath + "/jobs/net_2fdhcp/eth0", "net/dhcp", "eth0", true, true},
		{ManagerPath + "/jobs/_/_", "", "", true, true},
		{ManagerPath + "/jobs/svc/", "", "", false, false},
		{ManagerPath + "/jobs/svc/_/_", "", "", false, false},
		{ManagerPath + "/jobs/", "", "", false, false},
		{ManagerPath + "/jobs", "", "", false, false},
		{ManagerPath, "", "", false, false},
		{"/", "", "", false, false},
		{"", "", "", false, false},
	} {
		job, instance, isInstance, ok := ParsePath(test.path)
		if job != test.job || instance != test.instance || isInstance != test.isInstance || ok != test.ok {
			t.Errorf("ParsePath(%q) = %q, %q, %v, %v; want %q, %q, %v, %v", test.path,
				job, instance, isInstance, ok, test.job, test.instance, test.isInstance, test.ok)
		}
	}
}

// Every name has a path, which is valid on the bus and gives the name back;
// and every path that is taken for one is the only one of its name.
func FuzzPath(f *testing.F) {
	f.Add("svc", "")
	f.Add("net/dhcp", "eth 0")
	f.Add("_5f", "_\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		path := InstancePath(a, b)
		job, instance, isInstance, ok := ParsePath(path)
		if !ok || !isInstance || job != a || instance != b {
			t.Fatalf("ParsePath(%q) = %q, %q, %v, %v; want %q, %q", path, job, instance, isInstance, ok, a, b)
		}
		if !dbus.ObjectPath(path).IsValid() {
			t.Fatalf("InstancePath(%q, %q) = %q, which is no object path", a, b, path)
		}
		foreign := JobsPath + "/" + a
		job, instance, isInstance, ok = ParsePath(foreign)
		if !ok {
			return
		}
		again := JobPath(job)
		if isInstance {
			again = InstancePath(job, instance)
		}
		if again != foreign || strings.Count(a, "/") > 1 {
			t.Fatalf("ParsePath(%q) = %q, %q, %v, whose path is %q", foreign, job, instance, isInstance, again)
		}
	})
}
