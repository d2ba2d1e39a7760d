package supervise

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestExecsOf(t *testing.T) {
	for text, want := range map[string][]string{
		"exec sudo x > y":                     {"sudo"},
		"  exec\t/bin/su -\n":                 {"/bin/su"},
		"set -x\nexec \"/bin/su\" -":          {"/bin/su"},
		"cd /x && exec ping y || exec pong":   {"ping", "pong"},
		"if a; then exec one; else exec two;": {"one", "two"},
		"a; exec b":                           {"b"},
		"exec $X":                             nil,
		"exec \"$X\"":                         nil,
		"exec >log":                           nil,
		"exec -a x y":                         nil,
		"exec":                                nil,
		"echo exec x":                         nil,
		"# exec x":                            nil,
		"":                                    nil,
	} {
		if got := execsOf(text); !slices.Equal(got, want) {
			t.Errorf("execsOf(%q) = %q; want %q", text, got, want)
		}
	}
}

func TestShellText(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Path: "/bin/sh", Argv: []string{"/bin/sh", "-e", "-c", "exec x"}}, "exec x"},
		{Spec{Path: "/bin/sh", Argv: []string{"/bin/sh", "-e"}, Script: "exec y"}, "exec y"},
		{Spec{Path: "/bin/sh", Argv: []string{"sh", "-c"}}, ""},
		{Spec{Path: "/bin/tar", Argv: []string{"tar", "-c", "exec x"}}, ""},
		{Spec{Path: "/bin/true"}, ""},
	} {
		if got := shellText(&c.spec); got != c.want {
			t.Errorf("shellText(%+v) = %q; want %q", c.spec, got, c.want)
		}
	}
}

func TestParseAuxv(t *testing.T) {
	own, err := os.ReadFile("/proc/self/auxv")
	if err != nil {
		t.Fatal(err)
	}
	aux := parseAuxv(own)
	if aux[auxUID] != uint64(os.Getuid()) || aux[auxEGID] != uint64(os.Getegid()) || aux[auxPage] != uint64(os.Getpagesize()) {
		t.Errorf("our own auxv = %v", aux)
	}
	if lostPrivileges(os.Getpid()) {
		t.Error("we have lost privileges")
	}
	// AT_SECURE, 0 stands where it could be taken for one word.
	var narrow []byte
	for _, pair := range [][2]uint32{{auxPage, 4096}, {3, 1}, {auxSecure, 0}, {auxUID, 7}, {auxEUID, 8}, {0, 0}} {
		for _, word := range pair {
			narrow = append(narrow, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
		}
	}
	if got := parseAuxv(narrow); got[auxUID] != 7 || got[auxEUID] != 8 || got[auxSecure] != 0 {
		t.Errorf("a narrow auxv = %v", got)
	}
}

// followSetID is the fixture that follows $TEXT, run by a shell, and says what
// came of it.
func followSetID() {
	over := make(chan bool)
	s, err := New(Options{}, func(batch []Event) {
		for _, ev := range batch {
			switch ev := ev.(type) {
			case Degraded:
				fmt.Println("untraced", ev.Errno == 0)
			case Unprivileged:
				fmt.Println(strings.ReplaceAll(ev.Error(), fmt.Sprint(ev.Pid), "PID"))
			case SpawnFailed:
				fmt.Println(ev.Error())
				close(over)
			case Exited:
				fmt.Println("exited", ev.Status, int(ev.Signal))
				close(over)
			}
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	s.Start(Spec{ID: 1, Path: "/bin/sh", Argv: []string{"sh", "-ec", os.Getenv("TEXT")}, Follow: FollowFork,
		Env: []string{"ID=" + os.Getenv("ID"), "PATH=/usr/bin:/bin"}, Output: OutputFile, LogPath: os.Getenv("LOG")})
	<-over
	s.Close(context.Background())
}

// TestSetID: an ordinary user follows a shell that runs a set-user-ID program in
// its place. What can be known beforehand keeps the privileges and is not traced;
// else it is said that they are lost.
func TestSetID(t *testing.T) {
	if !isRoot {
		return // only root can give such a program to another user
	}
	dir, err := os.MkdirTemp("", "session-init-setid-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	id, err := exec.LookPath("id")
	if err != nil {
		t.Fatal(err)
	}
	program, setid, log := filepath.Join(dir, "test"), filepath.Join(dir, "id"), filepath.Join(dir, "log")
	copyTo(t, program, self)
	copyTo(t, setid, id)
	const nobody = 65534
	for _, err := range []error{os.Chmod(dir, 0o777), os.Chmod(setid, 0o755|os.ModeSetuid)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Flags&unix.ST_NOSUID != 0 {
		t.Logf("no set-user-ID programs in %s: %v", dir, err)
		return
	}
	const lost = "process PID ran a program that gains privileges by its exec, and it got none, because its forks are followed: " +
		"name the program itself after 'exec', or declare no 'expect fork' or 'expect daemon'\n"
	for _, c := range []struct {
		text, want string
		root       bool
	}{
		{"exec " + setid + " -u", "untraced true\nexited 0 0\n", true},
		{"cd / && exec \"" + setid + "\" -u", "untraced true\nexited 0 0\n", true},
		{"exec $ID -u", lost + "exited 0 0\n", false},
		{"exec id -u", "exited 0 0\n", false},
	} {
		cmd := &exec.Cmd{Path: program, Args: []string{program}, Dir: "/",
			Env:         []string{"SUPERVISE_FIXTURE=followsetid", "TEXT=" + c.text, "ID=" + setid, "LOG=" + log},
			SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}}
		out, err := cmd.CombinedOutput()
		text, _ := os.ReadFile(log)
		want := "65534\n"
		if c.root {
			want = "0\n"
		}
		if err != nil || string(out) != c.want || string(text) != want {
			t.Errorf("%s: %v\n%sit said %q; want %q and\n%s", c.text, err, out, text, want, c.want)
		}
		os.Remove(log)
	}
}
