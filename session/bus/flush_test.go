package bus

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
)

// room is a kernel that takes so many bytes at a time.
type room struct {
	most int
	got  []byte
}

func (r *room) writeNow(data []byte) int {
	n := min(r.most, len(data))
	r.got = append(r.got, data[:n]...)
	return n
}

// What the kernel does not take is left for the writer, in order and without
// a byte lost or sent twice, wherever the cut is.
func TestFlushInPart(t *testing.T) {
	messages := [][]byte{[]byte("first"), []byte("2"), []byte("third message")}
	all := bytes.Join(messages, nil)
	for most := 0; most <= len(all)+1; most++ {
		o := newOutbox(1 << 20)
		for i, m := range messages {
			if ok, first := o.push(m); !ok || first != (i == 0) {
				t.Errorf("push(%q) = %v, %v", m, ok, first)
			}
		}
		r := &room{most: most}
		o.flush(r, flushBytes)
		var rest [][]byte
		if most < len(all) {
			rest = o.take(nil)
		} else if ok, first := o.push(all); !ok || !first {
			t.Errorf("push after all is written = %v, %v; want it held", ok, first)
		}
		if got := append(r.got, bytes.Join(rest, nil)...); !bytes.Equal(got, all) {
			t.Errorf("written with room for %d = %q; want %q", most, got, all)
		}
		if want := 0; most < len(all) {
			for _, m := range rest {
				want += len(m) + messageCost
			}
			if o.size != want {
				t.Errorf("size with room for %d = %d; want %d", most, o.size, want)
			}
			// The writer is at work: what comes now is its own.
			if ok, first := o.push([]byte("x")); !ok || first {
				t.Errorf("push beside the writer = %v, %v; want it not held", ok, first)
			}
		}
		if string(messages[0])+string(messages[1]) != "first2" {
			t.Errorf("a message was changed: %q", messages)
		}
	}
}

// What is large, and what goes to many, is left to the writers.
func TestFlushLeavesToTheWriter(t *testing.T) {
	for _, test := range []struct {
		size int
		most int
		want int
	}{{flushBytes, flushBytes, flushBytes}, {flushBytes + 1, flushBytes, 0}, {1, 0, 0}} {
		o := newOutbox(1 << 20)
		o.push(make([]byte, test.size))
		r := &room{most: 1 << 20}
		o.flush(r, test.most)
		if len(r.got) != test.want {
			t.Errorf("flush of %d bytes, most %d, wrote %d; want %d", test.size, test.most, len(r.got), test.want)
		}
		if test.want == 0 && len(o.take(nil)) != 1 {
			t.Error("the writer does not get it")
		}
	}
}

// A flush that comes late finds nothing to do.
func TestFlushAfterTheEnd(t *testing.T) {
	for name, end := range map[string]func(*outbox){"finish": (*outbox).finish, "close": (*outbox).close} {
		o := newOutbox(1 << 20)
		o.push([]byte("x"))
		end(o)
		r := &room{most: 10}
		o.flush(r, flushBytes)
		if len(r.got) != 0 {
			t.Errorf("flush after %s wrote %q", name, r.got)
		}
		if got := len(o.take(nil)); got != map[string]int{"finish": 1, "close": 0}[name] {
			t.Errorf("after %s the writer gets %d messages", name, got)
		}
	}
}

// However many clients there are, each gets every signal once, in order, and
// no reply before the signals of what happened earlier.
func TestFlushToFewAndMany(t *testing.T) {
	for _, clients := range []int{1, flushClients, flushClients + 3} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) {
			l, s := serve(t)
			var peers []*peer
			for range clients {
				peers = append(peers, connect(t, s))
			}
			const n = 200
			big := strings.Repeat("x", flushBytes)
			for i := range n {
				text := fmt.Sprint(i)
				if i%50 == 0 {
					text += big
				}
				l.do(func() { s.Notify(engine.Notify{Kind: engine.StateChanged, Class: "svc", Text: text}) })
			}
			for _, p := range peers {
				ping := p.send("/", api.PeerInterface, "Ping")
				for i := range n {
					got := story(p.receive())
					if want := fmt.Sprintf("StateChanged /jobs/svc/_ %d", i); strings.TrimRight(got, "x") != want {
						t.Fatalf("message %d = %.80q; want %q", i, got, want)
					}
				}
				if msg := p.receive(); replyTo(msg) != ping {
					t.Fatalf("after the signals came %q; want the answer", story(msg))
				}
			}
		})
	}
}
