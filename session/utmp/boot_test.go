package utmp

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func TestBootOnce(t *testing.T) {
	size, _, _ := layout(runtime.GOARCH)
	first := time.Unix(1_000_000, 0)
	// count returns how many records a file has.
	count := func(path string) int {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return len(data) / size
	}
	dir := t.TempDir()
	current, log := filepath.Join(dir, "utmp"), filepath.Join(dir, "wtmp")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Boot(current, "", first); err != nil {
		t.Fatal(err)
	}
	if got := count(log); got != 0 {
		t.Errorf("Boot without a log wrote %d records into it; want 0", got)
	}

	for _, c := range []struct {
		what  string
		do    func() error
		began time.Time
		want  int // records of the log
	}{
		{"a disk", nil, first, 1},
		{"the next daemon, and a clock that was set", nil, first.Add(time.Hour), 1},
		{"a level between", func() error { return SetRunlevel(current, log, None, '2', first) }, first, 2},
		{"scripts that emptied what is so", func() error { return os.Truncate(current, 0) }, first.Add(time.Minute), 3},
		{"the daemon after that", nil, first.Add(2 * time.Minute), 3},
		{"another boot", func() error { return Boot(current, "", first.Add(time.Hour)) }, first.Add(time.Hour), 4},
	} {
		if c.do != nil {
			if err := c.do(); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
		}
		if err := BootOnce(current, log, c.began); err != nil {
			t.Errorf("BootOnce, %s: %v", c.what, err)
		}
		if got := count(log); got != c.want {
			t.Errorf("BootOnce, %s: the log has %d records; want %d", c.what, got, c.want)
		}
		now, err := lastBoot(current)
		if err != nil || now == nil {
			t.Errorf("BootOnce, %s: lastBoot(current) = %v, %v; want a record", c.what, now, err)
		}
	}

	// A machine without a log wants none.
	if err := BootOnce(current, filepath.Join(dir, "none"), first); err != nil {
		t.Errorf("BootOnce without a log: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none")); err == nil {
		t.Error("BootOnce has made a log; want none")
	}
}
