package main

import (
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/session-init/session-init/session/api"
)

// TestListenGivesUp: a daemon that accepts connections and closes them is not
// asked for ever.
func TestListenGivesUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var accepted atomic.Int32
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			conn.Close()
		}
	}()
	var out, errOut strings.Builder
	status := run([]string{"sctl", "monitor"}, []string{"UPSTART_SESSION=" + api.UnixAddress(path)}, &out, &errOut)
	want := "monitor: cannot watch session-init: no session-init to talk to: session-init closed 10 connections in a row and never answered\n"
	if status != exitNoDaemon || errOut.String() != want {
		t.Errorf("monitor = %d, %q; want %d, %q", status, errOut.String(), exitNoDaemon, want)
	}
	// The last of them may be counted after the command has ended.
	if n := accepted.Load(); n < maxUnheard-1 || n > 2*maxUnheard {
		t.Errorf("%d connections; want about %d", n, maxUnheard)
	}
}
