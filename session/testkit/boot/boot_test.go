package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/testkit"
)

func TestParseFigures(t *testing.T) {
	const text = "cpu  1755 5 1257 144 7 1 41 0 0 0\ngetty 712\n" +
		"1 (init) S 0 1 1 0 -1 4194560 109 53796 34 201 4 96 1999 1175 20 0 1 0 45\nPss:                 381 kB\n" +
		"57 (a b) c) S 1 1 1 0 -1 4194560 109 53796 34 201 7 8 1999 1175 20 0 1 0 45\nPss:                4000 kB\n"
	got, err := parseFigures(text)
	want := figures{getty: 7120 * time.Millisecond, all: 30590 * time.Millisecond, first: time.Second, daemon: 150 * time.Millisecond, firstPSS: 381, daemonPSS: 4000}
	if err != nil || got != want {
		t.Errorf("parseFigures(%q) = %+v, %v; want %+v", text, got, err, want)
	}
	if got, err := parseFigures("cpu 1 2\n"); err == nil {
		t.Errorf("parseFigures of half a line = %+v; want an error", got)
	}
}

func TestExpect(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "console"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m := &machine{cmd: exec.Command("true"), more: make(chan struct{}), exited: make(chan error, 1), file: file}
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	go m.follow(out)
	// A pattern that comes in two parts, and what the one before has read.
	io.WriteString(in, "boot login: boot lo")
	if _, err := m.expect(`boot login: `); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "gin: ")
	if groups, err := m.expect(`(bo+t) login: `); err != nil || groups[1] != "boot" {
		t.Errorf("expect = %q, %v; want the second prompt", groups, err)
	}
	in.Close()
	if groups, err := m.expect(`login`); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("expect on a machine that has ended = %q, %v; want an error that says so", groups, err)
	}
	<-m.exited
}

// TestDisk spoils file systems as the boots do, and has them looked at.
func TestDisk(t *testing.T) {
	for _, program := range []string{"mke2fs", "debugfs", "dumpe2fs", "e2fsck"} {
		testkit.Need(t, program)
	}
	dir := t.TempDir()
	tree := filepath.Join(dir, "tree")
	for _, path := range []string{"etc", "usr/share/perl5/a"} {
		if err := os.MkdirAll(filepath.Join(tree, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	image := filepath.Join(dir, "image")
	if err := tool("mke2fs", "-q", "-t", "ext4", "-d", tree, image, "8M"); err != nil {
		t.Fatal(err)
	}
	if err := checkClean(image); err != nil {
		t.Errorf("checkClean of a new file system: %v", err)
	}

	jobs := filepath.Join(dir, "jobs")
	if err := copySparse(image, jobs); err != nil {
		t.Fatal(err)
	}
	if err := spoilJobs(jobs); err != nil {
		t.Errorf("spoilJobs: %v", err)
	}
	if err := checkClean(jobs); err != nil {
		t.Errorf("checkClean with other jobs: %v", err)
	}
	out, err := exec.Command("debugfs", "-R", "cat /etc/init/rc-sysinit.conf", jobs).Output()
	if err != nil || !strings.Contains(string(out), "/no/such/program") {
		t.Errorf("rc-sysinit.conf = %q, %v; want the one that cannot run", out, err)
	}

	if err := debugfs(image, "no-such-command"); err == nil {
		t.Error("debugfs with a wrong command: no error")
	}
	if err := spoilRoot(image); err != nil {
		t.Errorf("spoilRoot: %v", err)
	}
	if err := checkClean(image); err == nil {
		t.Error("checkClean of a spoilt root: no error")
	}
	// What checks a root at the beginning may not mend it.
	if err := tool("e2fsck", "-p", image); err == nil || !strings.Contains(err.Error(), "UNEXPECTED INCONSISTENCY") {
		t.Errorf("e2fsck -p of a spoilt root: %v; want an inconsistency that it leaves", err)
	}
}
