package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listFiles is a fixture: it says what its descriptors are, which pid it was
// told, and its own.
func listFiles() {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	var list []string
	for _, entry := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.Contains(to, "memfd:") {
			list = append(list, entry.Name()+"="+strings.TrimSuffix(strings.TrimPrefix(to, "/memfd:"), " (deleted)"))
		}
	}
	slices.Sort(list)
	fmt.Println(os.Getenv("LISTEN_PID") == fmt.Sprint(os.Getpid()), strings.Join(list, " "))
}

func memfds(t *testing.T, n int) (fds []int) {
	t.Helper()
	for i := range n {
		fd, err := unix.MemfdCreate(fmt.Sprintf("f%d", i), unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	return fds
}

// TestFiles: a process gets its files from 3 on, and no others, whichever
// numbers they had before, and however many there are; here they are closed,
// also when it cannot be made.
func TestFiles(t *testing.T) {
	for _, n := range []int{1, 6, 7, 60} {
		for _, way := range []string{"exec", "script", "leader", "fails"} {
			t.Run(fmt.Sprint(n, way), func(t *testing.T) {
				w := newWorld(t, Options{})
				self, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				spec := Spec{ID: 1, Path: self, Argv: []string{self}, Env: []string{"SUPERVISE_FIXTURE=files"}}
				spec.Files, spec.PidVariables = memfds(t, n), []string{"LISTEN_PID"}
				// Low numbers are in the way of what they are to be.
				slices.Reverse(spec.Files)
				numbers := slices.Clone(spec.Files)
				var want []string
				for i := range n {
					want = append(want, fmt.Sprintf("%d=f%d", FirstFile+i, n-1-i))
				}
				switch way {
				case "script":
					spec.Script, spec.Path, spec.Argv = "exec "+self+"\n", "/bin/sh", []string{"/bin/sh", "-e"}
				case "leader":
					spec.Leader = true
				case "fails":
					spec.Path = "/no/such/program"
				}
				slices.Sort(want)
				spec.Output, spec.LogPath = OutputFile, filepath.Join(t.TempDir(), "log")
				w.Start(spec)
				if way == "fails" {
					w.failed(1)
				} else {
					w.exited(1)
					text, err := os.ReadFile(spec.LogPath)
					if n >= 6 {
						// Where no low number is free, dash leaves what it reads
						// its script from open.
						text = regexp.MustCompile(` [0-9]+=script`).ReplaceAll(text, nil)
					}
					if got, want := string(text), fmt.Sprintln(true, strings.Join(want, " ")); got != want {
						t.Errorf("the process says %q, %v; want %q", got, err, want)
					}
				}
				for _, fd := range numbers {
					if name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && strings.HasPrefix(name, "/memfd:f") {
						t.Errorf("descriptor %d is open yet: %s", fd, name)
					}
				}
			})
		}
	}
}
