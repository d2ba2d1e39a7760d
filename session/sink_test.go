package session

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// stuck blocks every write until it is let go.
type stuck struct {
	begun, let chan struct{}
	text       bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	s.begun <- struct{}{}
	<-s.let
	return s.text.Write(p)
}

// TestSinkStuck: a reader that reads nothing holds nobody, and learns later
// that something is missing.
func TestSinkStuck(t *testing.T) {
	out := &stuck{begun: make(chan struct{}, 16), let: make(chan struct{})}
	s := newSink(out, nil)
	io.WriteString(s, "first\n")
	<-out.begun
	line := strings.Repeat("x", 1023) + "\n"
	for range sinkSize/len(line) + 5 {
		io.WriteString(s, line)
	}
	s.flush(time.Millisecond) // gives up
	close(out.let)
	s.flush(time.Minute)
	got := out.text.String()
	if want := 6 + sinkSize; !strings.HasPrefix(got, "first\nxxx") || strings.Count(got, "x") != (want-6)/len(line)*1023 {
		t.Errorf("written %d bytes, %d of them x; want what fits", len(got), strings.Count(got, "x"))
	}
	if want := `msg="the log was not read in time: 5 lines are lost"` + "\n"; !strings.HasSuffix(got, want) {
		t.Errorf("written ...%s; want at the end %s", got[max(0, len(got)-120):], want)
	}
	s.close(time.Minute)
}

// TestSinkOrder: lines come out in their order, also around close.
func TestSinkOrder(t *testing.T) {
	var out bytes.Buffer
	s := newSink(&out, nil)
	var want strings.Builder
	for i := range 1000 {
		fmt.Fprintf(s, "%d\n", i)
		fmt.Fprintf(&want, "%d\n", i)
		if i == 900 {
			s.close(time.Minute)
		}
	}
	if out.String() != want.String() {
		t.Errorf("written %q; want the numbers in order", out.String())
	}
}
