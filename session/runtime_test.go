package session

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func list(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestRuntimeLock(t *testing.T) {
	base := t.TempDir()
	first, err := openRuntimeDir("", base, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openRuntimeDir("", base, false, nil); err == nil || !strings.Contains(err.Error(), "already running here (process "+strconv.Itoa(os.Getpid())+")") {
		t.Errorf("a second daemon of one directory: %v", err)
	}
	beside, err := openRuntimeDir("", base, true, nil)
	if err != nil {
		t.Fatalf("a private daemon beside it: %v", err)
	}
	if beside.socket() == first.socket() {
		t.Errorf("both listen at %s", first.socket())
	}
	beside.close()
	first.close()
	again, err := openRuntimeDir("", base, false, nil)
	if err != nil {
		t.Fatalf("the next daemon: %v", err)
	}
	again.close()
	if got := list(t, base); !slices.Equal(got, []string{"session-init"}) {
		t.Errorf("left behind: %q", got)
	}
}

func TestRuntimeSweepsStaleFiles(t *testing.T) {
	base := t.TempDir()
	sessions := filepath.Join(base, "upstart", "sessions")
	if err := os.MkdirAll(sessions, 0o700); err != nil {
		t.Fatal(err)
	}
	// No process has this pid: it is above what the kernel gives.
	for _, name := range []string{"99999999.session", strconv.Itoa(os.Getppid()) + ".session", "notes"} {
		if err := os.WriteFile(filepath.Join(sessions, name), []byte("UPSTART_SESSION=x\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := openRuntimeDir("", base, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	if err := r.writeSession("unix:path=/s"); err != nil {
		t.Fatal(err)
	}
	want := []string{strconv.Itoa(os.Getpid()) + ".session", strconv.Itoa(os.Getppid()) + ".session", "notes"}
	slices.Sort(want)
	if got := list(t, sessions); !slices.Equal(got, want) {
		t.Errorf("session files are %q; want %q", got, want)
	}
	text, err := os.ReadFile(r.file)
	if err != nil || string(text) != "UPSTART_SESSION=unix:path=/s\n" {
		t.Errorf("the session file says %q, %v", text, err)
	}
}

func TestRuntimeAuto(t *testing.T) {
	r, err := openRuntimeDir("auto", "", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := r.link("/usr/bin/sctl")
	if err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(bin, "start")); err != nil || target != "/usr/bin/sctl" {
		t.Errorf("start leads to %q, %v", target, err)
	}
	r.close()
	if _, err := os.Stat(r.base); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", r.base, err)
	}
}
