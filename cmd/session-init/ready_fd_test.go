package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withReadyFD starts the daemon with --ready-fd 3, and returns what comes there
// until it is closed.
func (r *rig) withReadyFD(args ...string) (*exec.Cmd, *os.File) {
	r.t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	defer ours.Close()
	r.t.Cleanup(func() { theirs.Close() })
	theirs.SetReadDeadline(time.Now().Add(patience))
	cmd := exec.Command(filepath.Join(programs, "session-init"), append([]string{"--ready-fd", "3"}, args...)...)
	cmd.Env, cmd.Dir, cmd.ExtraFiles = r.env, r.dir, []*os.File{ours}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(unix.SIGTERM)
			cmd.Wait()
		}
	})
	return cmd, theirs
}

// A supervisor is told when the daemon answers, once, and nobody holds its
// descriptor after that; it is told nothing by one that cannot begin.
func TestReadyFD(t *testing.T) {
	r := newFilesRig(t)
	daemon, told := r.withReadyFD()
	if got, err := io.ReadAll(told); err != nil || string(got) != "\n" {
		t.Fatalf("told was %q, %v; want a newline, and the end", got, err)
	}
	if got := r.command("sctl", "version"); got.status != 0 {
		t.Errorf("the daemon that has said that it answers: %+v", got)
	}
	second, told := r.withReadyFD()
	if got, err := io.ReadAll(told); err != nil || len(got) != 0 {
		t.Errorf("told was %q, %v by a daemon that cannot begin; want nothing", got, err)
	}
	if second.Wait(); second.ProcessState.ExitCode() != exitFailed {
		t.Errorf("a second daemon ends with %v; want %d", second.ProcessState, exitFailed)
	}
	// The image of an upgrade has the same options, and nobody to tell.
	r.traced("svc")
	r.ok("sctl", "re-exec")
	r.until("the next image to answer", func() bool { return r.command("sctl", "version").status == 0 })
	r.ok("sctl", "end-session")
	if err := daemon.Wait(); err != nil {
		t.Errorf("the daemon ends with %v; want 0", err)
	}
	r.over()
}

// What cannot be a supervisor's descriptor is refused.
func TestReadyFDRefused(t *testing.T) {
	r := newRig(t)
	for _, test := range []struct {
		args []string
		said string
	}{
		{[]string{"--ready-fd", "2"}, "session-init: --ready-fd: expected the number of a descriptor, 3 or above, not '2'\n"},
		{[]string{"--ready-fd=pipe"}, "session-init: --ready-fd: expected the number of a descriptor, 3 or above, not 'pipe'\n"},
		{[]string{"--ready-fd", "900"}, "session-init: --ready-fd: cannot use descriptor 900: bad file descriptor\n"},
		{[]string{"--ready-fd", "3", "--no-keeper"}, "session-init: --ready-fd: it is the keeper that tells it: with --no-keeper it is not supported yet\n"},
		{[]string{"--ready-fd", "3", "--", "true"}, "session-init: '-- COMMAND' begins when the daemon answers: --ready-fd is not supported with it\n"},
	} {
		r.refused(exitUsage, test.said, append([]string{"session-init"}, test.args...)...)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	cmd := exec.Command(filepath.Join(programs, "session-init"), "--ready-fd", "3")
	cmd.Env, cmd.ExtraFiles = r.env, []*os.File{null}
	const want = "session-init: --ready-fd: descriptor 3 is no pipe and no socket\n"
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != exitUsage || string(out) != want {
		t.Errorf("--ready-fd of /dev/null: status %d, %q; want %d, %q", cmd.ProcessState.ExitCode(), out, exitUsage, want)
	}
}
