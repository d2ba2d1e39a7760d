package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// open opens a directory for a test; the groups in it are removed at the end.
func open(t *testing.T, seed string) (*Dir, []Group) {
	t.Helper()
	d, left, err := Open(seed, "", true)
	testkit.NeedGroups(t, err)
	t.Cleanup(func() {
		d.Close()
		if _, err := os.Stat(d.Path); err == nil {
			t.Errorf("%s is left", d.Path)
		}
	})
	return d, left
}

// TestDir: a group is made, given away, found by the next daemon, and gone at
// the end.
func TestDir(t *testing.T) {
	d, left := open(t, "")
	if len(left) > 0 || d.Refused != nil {
		t.Fatalf("Open = %v, refused: %v", left, d.Refused)
	}
	for want, owner := range []uint64{7, 8} {
		if name, err := d.Make(owner); err != nil || name != string(rune('0'+want)) {
			t.Fatalf("Make = %q, %v", name, err)
		}
	}
	if err := d.Give("1", 9); err != nil {
		t.Fatal(err)
	}
	if empty, running := d.Empty("0"); !empty || !running {
		t.Errorf("Empty = %t, %t; want true and true", empty, running)
	}
	if err := os.WriteFile(filepath.Join(d.Path, "0", "cgroup.freeze"), []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	if empty, running := d.Empty("0"); !empty || running {
		t.Errorf("Empty of one that is frozen = %t, %t; want true and false", empty, running)
	}
	if pids := d.Members("1"); len(pids) > 0 || len(d.Owned()) > 0 {
		t.Errorf("members %v of an empty group", pids)
	}
	if name := d.NameOf(os.Getpid()); name != "" {
		t.Errorf("NameOf(us) = %q; want none", name)
	}
	next, _, err := Open("other", d.Group, true)
	if err != nil || next.Path != d.Path {
		t.Fatalf("Open(recorded) = %+v, %v", next, err)
	}
	found := next.list()
	slices.SortFunc(found, func(a, b Group) int { return int(a.Owner) - int(b.Owner) })
	if want := []Group{{"0", 7, true}, {"1", 9, true}}; !slices.Equal(found, want) {
		t.Errorf("the next daemon finds %v; want %v", found, want)
	}
	if name, err := next.Make(1); name != "2" || err != nil {
		t.Errorf("its Make = %q, %v; want 2", name, err)
	}
	next.Close()
}

// TestIsDelegated: a group is delegated that says so itself or in one above it.
func TestIsDelegated(t *testing.T) {
	d, _ := open(t, "")
	if name, err := d.Make(1); name != "0" || err != nil {
		t.Fatalf("Make = %q, %v", name, err)
	}
	h := Hierarchy{Mount: d.Path, Root: d.Group}
	for _, value := range []string{"", "0", "1"} {
		if value != "" {
			if err := unix.Setxattr(d.Path, "user.delegate", []byte(value), 0); err != nil {
				t.Fatal(err)
			}
		}
		want := value == "1"
		for _, group := range []string{d.Group, d.Group + "/0"} {
			if got := isDelegated(h, group); got != want {
				t.Errorf("isDelegated(%s) with %q = %t; want %t", group, value, got, want)
			}
		}
	}
}

// TestRemoved: a directory that somebody has removed is made again.
func TestRemoved(t *testing.T) {
	d, _ := open(t, "")
	if err := os.Remove(d.Path); err != nil {
		t.Fatal(err)
	}
	name, err := d.Make(1)
	if err != nil || !isDir(filepath.Join(d.Path, name)) {
		t.Errorf("Make = %q, %v", name, err)
	}
}

// TestStale: what a dead daemon left is removed by the next, and what belongs
// to one that lives is not.
func TestStale(t *testing.T) {
	lives, _ := open(t, "")
	dead, _ := open(t, "")
	if _, err := dead.Make(1); err != nil {
		t.Fatal(err)
	}
	// Gone like a process that is killed.
	file := os.NewFile(uintptr(dead.fd), "")
	dead.fd = -1
	file.Close()
	open(t, "")
	if isDir(dead.Path) || !isDir(lives.Path) {
		t.Errorf("there: %t and %t; want only the one whose daemon lives", isDir(dead.Path), isDir(lives.Path))
	}
}
