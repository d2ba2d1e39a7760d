package session

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

func notifying(t *testing.T, name string) *job.Class {
	t.Helper()
	class, problems := job.Parse(name, name+".conf", []byte("expect notify\nexec true\npre-stop exec true\n"))
	if class == nil {
		t.Fatal(problems)
	}
	return class
}

// TestNotifyPaths: no two instances have one socket, however long the runtime
// directory is.
func TestNotifyPaths(t *testing.T) {
	for _, dir := range []string{"/run/user/1000/session-init/notify", "/" + strings.Repeat("d", 80), "/" + strings.Repeat("d", 104)} {
		tr := translator{notifyDir: dir}
		seen := make(map[string]string)
		for _, c := range [][2]string{{"a-b", ""}, {"a", "b"}, {"x/y", ""}, {"x_y", ""}, {"x", "y"}, {"a", ""}, {"a", "b-c"}, {"a-b", "c"},
			{"a", "b/c"}, {"a", "b_c"}, {strings.Repeat("n", 300), ""}, {strings.Repeat("n", 300) + "m", ""}} {
			path := tr.notifyPath(notifying(t, c[0]), c[1])
			if path != tr.notifyPath(notifying(t, c[0]), c[1]) {
				t.Errorf("%q has two sockets", c)
			}
			if other := seen[path]; other != "" {
				t.Errorf("job %s and instance %q have one socket with %s: %s", c[0], c[1], other, path)
			}
			seen[path] = c[0] + " (" + c[1] + ")"
			if len(path) > maxSocketPath {
				t.Errorf("socket path of %d bytes", len(path))
			}
		}
	}
}

// TestNotifyFormerPath: what runs since before the names had numbers keeps its
// socket, and its hooks speak there; the next main has a name with one.
func TestNotifyFormerPath(t *testing.T) {
	tr := translator{notifyDir: t.TempDir()}
	class := notifying(t, "svc")
	socket := func(kind job.ProcessKind) string {
		spec, _ := tr.spec(engine.Spawn{Class: class, Kind: kind})
		path, _ := events.Env(spec.Env).Get("NOTIFY_SOCKET")
		return path
	}
	now, former := tr.notifyPath(class, ""), filepath.Join(tr.notifyDir, "svc")
	bind := func(path string) {
		t.Helper()
		conn, err := net.ListenPacket("unixgram", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	looks := func(when, hook string) {
		t.Helper()
		if got := socket(job.Main); got != now {
			t.Errorf("%s: a new main has %s; want %s", when, got, now)
		}
		if got := socket(job.PreStop); got != hook || tr.boundPath(class, "") != hook {
			t.Errorf("%s: pre-stop has %s; want %s", when, got, hook)
		}
	}
	looks("with no socket", now)
	if err := os.WriteFile(former, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	looks("with another file", now)
	if err := os.Remove(former); err != nil {
		t.Fatal(err)
	}
	bind(former)
	looks("with the socket of an older daemon", former)
	bind(now)
	looks("with its own", now)
}
