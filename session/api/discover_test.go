package api

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

func TestSessions(t *testing.T) {
	runtime := t.TempDir()
	dir := SessionDir(runtime)
	if got, err := Sessions(dir); got != nil || err != nil {
		t.Errorf("Sessions without a directory = %v, %v; want none", got, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// A pid that nobody has: the largest there can be is 1<<22.
	const nobody = 1<<22 + 1
	const first = 1 // always lives, and may be another user's
	self := os.Getpid()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	own := write(fmt.Sprintf("%d.session", self), "UPSTART_SESSION=unix:abstract=own\n")
	other := write(fmt.Sprintf("%d.session", first), "UPSTART_SESSION=unix:abstract=other")
	write(fmt.Sprintf("%d.session", nobody), "UPSTART_SESSION=unix:abstract=dead\n")
	write(fmt.Sprintf("0%d.session", self), "UPSTART_SESSION=unix:abstract=zero\n")
	write("-1.session", "UPSTART_SESSION=unix:abstract=negative\n")
	write("99999999999.session", "UPSTART_SESSION=unix:abstract=large\n")
	write(fmt.Sprintf("%d.old", self), "UPSTART_SESSION=unix:abstract=old\n")
	want := []Session{{first, "unix:abstract=other", other}, {self, "unix:abstract=own", own}}
	got, err := Sessions(dir)
	if !reflect.DeepEqual(got, want) || err != nil {
		t.Errorf("Sessions = %v, %v; want %v", got, err, want)
	}
	// A dead daemon's, whose pid is another process's, and the next one's with the
	// same socket: the last that was written is meant, whatever its pid.
	for _, c := range []struct {
		first int64
		want  Session
	}{{-1, Session{self, "unix:abstract=own", own}}, {1, Session{first, "unix:abstract=own", other}}} {
		write(fmt.Sprintf("%d.session", first), "UPSTART_SESSION=unix:abstract=own\n")
		at := time.Now().Add(time.Duration(c.first) * time.Hour)
		if err := os.Chtimes(other, at, at); err != nil {
			t.Fatal(err)
		}
		if got, err := Sessions(dir); !reflect.DeepEqual(got, []Session{c.want}) || err != nil {
			t.Errorf("Sessions of two files with one address = %v, %v; want %v", got, err, c.want)
		}
	}
	write(fmt.Sprintf("%d.session", self), "SOMETHING=else\n")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := Sessions(dir); len(got) != 0 || err != nil {
		t.Errorf("Sessions of files that are none = %v, %v; want none", got, err)
	}
	if _, err := Sessions(own); err == nil {
		t.Error("Sessions of a file = no error")
	}
}
