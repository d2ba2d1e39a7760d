package pid1

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnescape(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"/a", "/a"},
		{`/a\040b\011c`, "/a b\tc"},
		{`/a\134040`, `/a\040`},
		{`/a\09`, `/a\09`},
		{`/a\089`, `/a\089`},
		{`\`, `\`},
	} {
		if got := unescape(test.in); got != test.want {
			t.Errorf("unescape(%q) = %q; want %q", test.in, got, test.want)
		}
	}
}

func TestParseMounts(t *testing.T) {
	const text = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:20 / /proc rw,nosuid - proc proc rw
24 22 8:2 / /mnt/a\040b rw shared:7 master:3 - xfs /dev/sda2 rw
25 22 8:2 / short
26 22 8:2 / /no/type rw -
`
	got := parseMounts(text)
	want := []mountPoint{{"/", "ext4"}, {"/proc", "proc"}, {"/mnt/a b", "xfs"}}
	if !slices.Equal(got, want) {
		t.Errorf("parseMounts() = %v; want %v", got, want)
	}
}

// What stays mounted has nothing on a disk.
func TestMemory(t *testing.T) {
	for _, test := range []struct {
		m    mountPoint
		want bool
	}{
		{mountPoint{"/proc", "proc"}, true},
		{mountPoint{"/run", "tmpfs"}, true},
		{mountPoint{"/dev", "devtmpfs"}, true},
		{mountPoint{"/tmp", "tmpfs"}, false},
		{mountPoint{"/home", "ext4"}, false},
		{mountPoint{"/net", "nfs4"}, false},
		{mountPoint{"/x", "fuse.sshfs"}, false},
	} {
		if got := test.m.memory(); got != test.want {
			t.Errorf("%v.memory() = %v; want %v", test.m, got, test.want)
		}
	}
}

// Who is not the first process ends nobody, and no machine.
func TestFinishElsewhere(t *testing.T) {
	if os.Getpid() == 1 {
		t.Fatal("the tests are the first process")
	}
	var log bytes.Buffer
	for _, place := range []Place{Elsewhere, Container, Machine} {
		if err := Finish(place, PowerOff, &log); err != nil || log.Len() > 0 {
			t.Errorf("Finish(%v) = %v, %q; want nothing", place, err, log.String())
		}
	}
}

func TestByOnce(t *testing.T) {
	for _, test := range []struct {
		number int
		want   string
	}{{34 + 13, Halt}, {34 + 14, PowerOff}, {34 + 15, Reboot}, {34 + 3, ""}, {15, ""}} {
		if got := ByOnce(unix.Signal(test.number)); got != test.want {
			t.Errorf("ByOnce(%d) = %q; want %q", test.number, got, test.want)
		}
	}
}

// The first process of this machine is another program, or a session-init that is
// somebody's: none is told anything for a word that is no end.
func TestEndAtOnce(t *testing.T) {
	if err := EndAtOnce("dance"); err == nil {
		t.Error("EndAtOnce(dance) = nil; want an error")
	}
}

// What never comes back is not waited for.
func TestWithin(t *testing.T) {
	failed := errors.New("no")
	for _, want := range []error{nil, failed} {
		if got := within(time.Hour, func() error { return want }); got != want {
			t.Errorf("within() = %v; want %v", got, want)
		}
	}
	over := make(chan struct{})
	defer close(over)
	if got := within(time.Millisecond, func() error { <-over; return nil }); !errors.Is(got, errNoAnswer) {
		t.Errorf("within() of what hangs = %v; want %v", got, errNoAnswer)
	}
}
