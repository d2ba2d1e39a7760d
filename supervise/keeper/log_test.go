package keeper

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func contains(text []byte, what string) bool { return bytes.Contains(text, []byte(what)) }

// TestLogIsNotRead: a standard error that nobody reads holds up neither the next
// daemon nor the end.
func TestLogIsNotRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	full := w.Fd() // which blocks from here on
	for unix.SetNonblock(int(full), true); !errors.Is(err, unix.EAGAIN); {
		if _, err = unix.Write(int(full), make([]byte, 4096)); err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
	}
	unix.SetNonblock(int(full), false)
	k := startTo(t, w)
	w.Close()
	k.lines("daemon unready 0")
	for range 2 {
		unix.Kill(k.daemon, unix.SIGKILL)
		k.lines("daemon unready 0")
	}
	k.say("end")
	if got := k.status(); got != 0 {
		t.Errorf("the keeper's status is %d; want 0", got)
	}
}
