package keeper

import (
	"os"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLastWords: what one end of the link has said last is heard, also if it has
// ended with lines unread, which the kernel tells first.
func TestLastWords(t *testing.T) {
	link := func() (ours *os.File, theirs int) {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours = os.NewFile(uintptr(fds[0]), "link")
		t.Cleanup(func() { ours.Close() })
		return ours, fds[1]
	}
	// leave has the other end say something and end, with a line unread.
	leave := func(ours *os.File, theirs int, words ...string) {
		if _, err := ours.Write([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		for _, word := range words {
			if _, err := unix.Write(theirs, []byte(word)); err != nil {
				t.Fatal(err)
			}
		}
		unix.Close(theirs)
	}

	ours, theirs := link()
	leave(ours, theirs, "exit 5 0", "exit 6 256")
	var told []int
	(&Link{file: ours}).Exits(func(pid int, _ syscall.WaitStatus) { told = append(told, pid) }, func() {})
	if want := []int{5, 6}; !slices.Equal(told, want) {
		t.Errorf("told of %v; want %v", told, want)
	}

	ours, theirs = link()
	leave(ours, theirs, "ready")
	k := newKeeper(Config{Log: os.Stderr})
	defer k.log.Close(logPatience)
	k.link = ours
	k.serve(ours)
	if !k.ready {
		t.Error("the keeper has not heard that the daemon is ready")
	}
}
