package supervise

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// shells are those of this machine that a script must work with; /bin/sh
// is there always.
func shells() []string {
	list := []string{"/bin/sh"}
	for _, path := range []string{"/bin/dash", "/bin/bash", "/bin/busybox"} {
		if _, err := os.Stat(path); err == nil {
			list = append(list, path)
		}
	}
	return list
}

func (w *world) script(id ProcID, shell, text string) (Spec, string) {
	spec, log := w.sh(id, "")
	spec.Path, spec.Argv, spec.Script = shell, []string{"sh", "-e"}, text
	return spec, log
}

func TestScript(t *testing.T) {
	long := strings.Repeat(": "+strings.Repeat("x", 1000)+"\n", 400)
	tests := []struct{ name, text, want string }{
		{"long", long + "echo end\n", "end\n"},
		{"one line", "echo a", "a\n"},
		{"comment first", "#!/bin/sh -x\necho a\n", "a\n"},
		{"empty first", "\n\necho a\n", "a\n"},
		{"block first", "if true; then\necho a\nfi\n", "a\n"},
		{"no arguments", "echo $# $*\n", "0\n"},
		{"descriptors", "ls /proc/self/fd\n" + long + "ls /proc/self/fd\n", "0\n1\n2\n3\n0\n1\n2\n3\n"},
		{"descriptors of the first line", "ls /proc/self/fd", "0\n1\n2\n3\n"},
		{"here document", "cat <<x\na\nx\n", "a\n"},
		{"null device on input", "cat; echo a\n", "a\n"},
		{"subshell and background", "(ls /proc/self/fd) & wait\n", "0\n1\n2\n3\n"},
		{"own use of the descriptor", "exec 9>&1\necho a >&9\n", "a\n"},
	}
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			w := newWorld(t, Options{})
			for i, test := range tests {
				spec, log := w.script(ProcID(i+1), shell, test.text)
				if shell == "/bin/busybox" {
					spec.Argv[0] = "sh"
				}
				if got := w.output(spec, log); got != test.want {
					t.Errorf("%s: output = %q; want %q", test.name, got, test.want)
				}
			}
		})
	}
}

// TestScriptErrors: -e holds, and lines are counted as they were written.
func TestScriptErrors(t *testing.T) {
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			w := newWorld(t, Options{})
			spec, log := w.script(1, shell, "echo a\nfalse\necho b\n")
			w.Start(spec)
			end := w.exited(1)
			if text, _ := os.ReadFile(log); end.Status != 1 || string(text) != "a\n" {
				t.Errorf("%s: ended with %+v, output %q", shell, end, text)
			}
			spec, log = w.script(2, shell, "true\n\nnonexistent-program\n")
			w.Start(spec)
			end = w.exited(2)
			text, _ := os.ReadFile(log)
			if end.Status != 127 || !strings.Contains(string(text), ": 3:") && !strings.Contains(string(text), "line 3:") {
				t.Errorf("%s: ended with %+v, output %q; want line 3", shell, end, text)
			}
		})
	}
}

// TestScriptOfAnotherUser: the script belongs to the daemon, and the shell
// is someone else by then.
func TestScriptOfAnotherUser(t *testing.T) {
	cred := ownCredential(t)
	if isRoot {
		cred = &Credential{UID: 65534, GID: 65534}
	}
	for _, shell := range shells() {
		t.Run(shell, func(t *testing.T) {
			w := newWorld(t, Options{})
			spec, log := w.script(1, shell, "id -u\nls /proc/self/fd")
			spec.Credential, spec.Dir = cred, "/"
			if got, want := w.output(spec, log), fmt.Sprintf("%d\n0\n1\n2\n3\n", cred.UID); got != want {
				t.Errorf("%s: output = %q; want %q", shell, got, want)
			}
		})
	}
}

// TestScriptIsEnough: as long as memory lasts, and without a trace in it.
func TestScriptIsEnough(t *testing.T) {
	fd, err := openScript(strings.Repeat("x", 3<<20), scriptFD)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Size != 3<<20+int64(len(scriptHead)) || fd < firstFree {
		t.Errorf("openScript = descriptor %d of size %d, %v", fd, st.Size, err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags = %#x, %v; want CLOEXEC", flags, err)
	}
}
