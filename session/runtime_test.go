package session

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
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

// TestRuntimeSweepsStaleFiles: what a dead daemon has left goes, also when its pid
// has come to another process.
func TestRuntimeSweepsStaleFiles(t *testing.T) {
	base, elsewhere := t.TempDir(), t.TempDir()
	sessions := filepath.Join(base, "upstart", "sessions")
	if err := os.MkdirAll(sessions, 0o700); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(elsewhere, "live"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(elsewhere, "dead"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	// 1 lives always; no process has the large one: it is above what the kernel
	// gives.
	const lives, nobody = "1.session", "99999999.session"
	address := func(path string) string { return "UPSTART_SESSION=" + api.UnixAddress(path) + "\n" }
	for _, c := range []struct {
		what, name, text string
		stays            bool
	}{
		{"a pid of nobody", nobody, "UPSTART_SESSION=x\n", false},
		{"a daemon's", lives, address(filepath.Join(elsewhere, "live")), true},
		{"our socket", lives, address(filepath.Join(base, "session-init/socket")), false},
		{"a socket that is gone", lives, address(filepath.Join(elsewhere, "gone")), false},
		{"a socket at which nobody listens", lives, address(filepath.Join(elsewhere, "dead")), false},
		{"one that is gone and one that is not", lives, "UPSTART_SESSION=" + api.UnixAddress(filepath.Join(elsewhere, "gone")) + ";" + api.UnixAddress(filepath.Join(elsewhere, "live")), true},
		{"another transport", lives, "UPSTART_SESSION=tcp:host=x\n", true},
		{"an abstract name", lives, "UPSTART_SESSION=unix:abstract=session-init-test-of-nobody\n", true},
		{"no session file", lives, "hello\n", true},
		{"another file", "notes", address(filepath.Join(elsewhere, "gone")), true},
	} {
		if err := os.WriteFile(filepath.Join(sessions, c.name), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := openRuntimeDir("", base, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.writeSession("unix:path=/s"); err != nil {
			t.Fatal(err)
		}
		want := []string{strconv.Itoa(os.Getpid()) + ".session"}
		if c.stays {
			want = append(want, c.name)
		}
		slices.Sort(want)
		if got := list(t, sessions); !slices.Equal(got, want) {
			t.Errorf("%s: session files are %q; want %q", c.what, got, want)
		}
		text, err := os.ReadFile(r.file)
		if err != nil || string(text) != "UPSTART_SESSION=unix:path=/s\n" {
			t.Errorf("the session file says %q, %v", text, err)
		}
		r.close()
		if err := os.MkdirAll(sessions, 0o700); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(sessions, c.name))
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

// TestLinkKeeps: a job may use the links while another daemon begins. What is right
// is not touched, what is not is replaced, and what is none of ours goes.
func TestLinkKeeps(t *testing.T) {
	r := &runtimeDir{own: t.TempDir()}
	bin, err := r.link("/usr/bin/sctl")
	if err != nil {
		t.Fatal(err)
	}
	inode := func(name string) uint64 {
		t.Helper()
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(bin, name), &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	before, dir := inode("initctl"), inode(".")
	if err := os.WriteFile(filepath.Join(bin, "old"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(bin, "stop")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.link("/usr/bin/sctl"); err != nil {
		t.Fatal(err)
	}
	if inode("initctl") != before || inode(".") != dir {
		t.Error("a link that was right has been made anew")
	}
	// An upgrade may have put the client elsewhere.
	if _, err := r.link("/opt/bin/sctl"); err != nil {
		t.Fatal(err)
	}
	if inode(".") != dir {
		t.Error("the directory has been made anew")
	}
	want := slices.Sorted(slices.Values(commandLinks))
	if got := list(t, bin); !slices.Equal(got, want) {
		t.Errorf("the links are %q; want %q", got, want)
	}
	for _, name := range commandLinks {
		if target, err := os.Readlink(filepath.Join(bin, name)); err != nil || target != "/opt/bin/sctl" {
			t.Errorf("%s leads to %q, %v", name, target, err)
		}
	}
}
