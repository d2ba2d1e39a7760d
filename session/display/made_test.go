package display

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A socket comes, and then somebody listens on it; what is another's, or no
// display's, does not count, and a new socket of the same name does.
func TestMade(t *testing.T) {
	runtime, x := t.TempDir(), filepath.Join(t.TempDir(), "x")
	w, err := watchIn(runtime, x)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	other := exec.Command("sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	made := func(by int, name string, silent bool) {
		t.Helper()
		if got, quiet := w.Made(within(t), by); got != name || quiet != silent {
			t.Errorf("Made(%d) = %q, %t; want %q, %t", by, got, quiet, name, silent)
		}
	}
	listen := func(path string) net.Listener {
		t.Helper()
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	next := func() {
		t.Helper()
		if err := w.Next(); err != nil {
			t.Errorf("Next: %v", err)
		}
	}
	made(os.Getpid(), "", false)
	if err := os.WriteFile(filepath.Join(runtime, "wayland-3"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next()
	listen(filepath.Join(runtime, "bus"))
	next()
	made(os.Getpid(), "", false)
	// Bound, and nobody listens.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: filepath.Join(runtime, "wayland-0")}); err != nil {
		t.Fatal(err)
	}
	next()
	made(os.Getpid(), "", true)
	if err := os.Mkdir(x, 0o700); err != nil {
		t.Fatal(err)
	}
	next()
	listen(filepath.Join(x, "X5"))
	next()
	made(os.Getpid(), "x11::5", false)
	if err := syscall.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	made(os.Getpid(), "wayland:"+filepath.Join(runtime, "wayland-0"), false)
	// None of these is the other's, and that is known from then on.
	made(other.Process.Pid, "", false)
	made(os.Getpid(), "", false)
	if err := os.Remove(filepath.Join(x, "X5")); err != nil {
		t.Fatal(err)
	}
	listen(filepath.Join(x, "X5"))
	made(os.Getpid(), "x11::5", false)
	w.Close()
	for w.Next() == nil {
		// What came before the end is told first.
	}
}

func TestBelow(t *testing.T) {
	child := exec.Command("sleep", "600")
	child.Env = []string{"WAYLAND_DISPLAY=/d/wayland-1", "SWAYSOCK=/s", "OTHER=x"}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		child.Process.Kill()
		child.Wait()
	}()
	pid := child.Process.Pid
	for _, test := range []struct {
		pid, ancestor int
		want          bool
	}{{pid, pid, true}, {pid, os.Getpid(), true}, {os.Getpid(), pid, false}, {1, pid, false}, {0, pid, false}, {-1, pid, false}} {
		if got := Below(test.pid, test.ancestor); got != test.want {
			t.Errorf("Below(%d, %d) = %t; want %t", test.pid, test.ancestor, got, test.want)
		}
	}
	// Its environment is there a moment after its exec is known of.
	got, want := []string(nil), []string{"WAYLAND_DISPLAY=/d/wayland-1", "SWAYSOCK=/s"}
	for late := time.Now().Add(patience); got == nil && time.Now().Before(late); time.Sleep(time.Millisecond) {
		got = InUse("wayland:/d/wayland-1", "OTHER=x")
	}
	if !slices.Equal(got, want) {
		t.Errorf("InUse = %q; want %q", got, want)
	}
	if got := InUse("wayland:/d/wayland-2", "OTHER=x"); got != nil {
		t.Errorf("InUse of another display = %q; want none", got)
	}
	if got := InUse("wayland:/d/wayland-1", "OTHER=y"); got != nil {
		t.Errorf("InUse of another login = %q; want none", got)
	}
	for name, want := range map[string]string{"wayland:/d/wayland-1": "WAYLAND_DISPLAY=wayland-1", "x11::7": "DISPLAY=:7"} {
		if got := Variable(name); got != want {
			t.Errorf("Variable(%s) = %s; want %s", name, got, want)
		}
	}
}
