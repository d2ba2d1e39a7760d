package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// xServers counts them: each has a number of its own.
var xServers atomic.Int64

// xServer runs an X server and returns it with its display. It ends with the
// test, by TERM, which has it take its socket and its lock away.
//
// The number is ours and not the server's own choice (-displayfd alone): of two
// servers that come and go at the same time, with one number, the one unlinks the
// other's socket. It says on a descriptor that it is ready.
func xServer(t testing.TB, args ...string) (server *exec.Cmd, display string) {
	t.Helper()
	program := testkit.Need(t, "Xvfb")
	for range 100 {
		display = fmt.Sprintf(":%d", 1000+os.Getpid()%1000*20+int(xServers.Add(1)))
		ready, told, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		server = exec.Command(program, append([]string{display, "-displayfd", "3", "-nolisten", "tcp"}, args...)...)
		server.ExtraFiles = []*os.File{told}
		err = server.Start()
		told.Close()
		if err != nil {
			t.Fatal(err)
		}
		// To the end of the line: it writes that by itself, and dies when nobody reads it.
		said, _ := bufio.NewReader(ready).ReadString('\n')
		ready.Close()
		if ":"+strings.TrimSpace(said) == display {
			t.Cleanup(func() {
				server.Process.Signal(unix.SIGTERM)
				server.Wait()
			})
			return server, display
		}
		server.Process.Kill()
		server.Wait()
	}
	t.Fatalf("no X server begins; the last was for %s", display)
	return nil, ""
}
