package sink

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

const size = 1 << 20

func newSink(out io.Writer) *Sink {
	return New(out, size, func(lost int) string { return fmt.Sprintf("%d lines are lost\n", lost) }, func(run func()) { go run() })
}

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
	s := newSink(out)
	io.WriteString(s, "first\n")
	<-out.begun
	line := strings.Repeat("x", 1023) + "\n"
	for range size/len(line) + 5 {
		io.WriteString(s, line)
	}
	if s.Flush(time.Millisecond) {
		t.Error("Flush = true while nothing can be written; want false")
	}
	close(out.let)
	if !s.Flush(time.Minute) {
		t.Error("Flush = false; want true once all is written")
	}
	got := out.text.String()
	if want := 6 + size; !strings.HasPrefix(got, "first\nxxx") || strings.Count(got, "x") != (want-6)/len(line)*1023 {
		t.Errorf("written %d bytes, %d of them x; want what fits", len(got), strings.Count(got, "x"))
	}
	if want := `5 lines are lost` + "\n"; !strings.HasSuffix(got, want) {
		t.Errorf("written ...%s; want at the end %s", got[max(0, len(got)-120):], want)
	}
	s.Close(time.Minute)
}

// TestSinkOrder: lines come out in their order, also around close.
func TestSinkOrder(t *testing.T) {
	var out bytes.Buffer
	s := newSink(&out)
	var want strings.Builder
	for i := range 1000 {
		fmt.Fprintf(s, "%d\n", i)
		fmt.Fprintf(&want, "%d\n", i)
		if i == 900 {
			s.Close(time.Minute)
		}
	}
	if out.String() != want.String() {
		t.Errorf("written %q; want the numbers in order", out.String())
	}
}
