package bus

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/wire"
)

// TestOwners: the bus is asked once for all who ask meanwhile, and anew for who
// asks later; it may know nothing, or refuse.
func TestOwners(t *testing.T) {
	lists := [][]string{{":1.1", driver, "org.b", "org.a"}, {":1.1", driver}, nil, {"org.gone"}}
	begin := make(chan struct{})
	var asked atomic.Int32
	b := newFakeBus(t, func(b *fakeBus, m wire.Message) {
		switch {
		case m.Member == "ListNames":
			<-begin
			if list := lists[asked.Add(1)-1]; list != nil {
				b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "as"}, -1, list)
			} else {
				b.send(wire.Header{Kind: wire.Error, ReplyTo: m.Serial, ErrorName: errNoOwner, Signature: "s"}, -1, "no")
			}
		case m.Member == "GetConnectionUnixProcessID" && m.Text(0) == "org.gone":
			b.send(wire.Header{Kind: wire.Error, ReplyTo: m.Serial, ErrorName: errNoOwner, Signature: "s"}, -1, "gone")
		case m.Member == "GetConnectionUnixProcessID":
			b.send(wire.Header{Kind: wire.MethodReply, ReplyTo: m.Serial, Signature: "u"}, -1, uint32(m.Text(0)[4]))
		}
	})
	_, s := serve(t)
	r, err := s.Join(RemoteOptions{Addresses: []string{api.UnixAddress(b.path)}, Names: bothNames, Insist: true, Owner: (&owners{}).tell})
	if err != nil {
		t.Fatal(err)
	}
	joined := func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.link != nil
	}
	eventually(t, "the bus is joined", joined)
	const many = 20
	told := make(chan []NameOwner, many)
	tell := func(list []NameOwner) { told <- list }
	for range many {
		r.Owners(tell)
	}
	close(begin)
	for range many {
		if got, want := <-told, []NameOwner{{"org.a", 'a'}, {"org.b", 'b'}}; !slices.Equal(got, want) {
			t.Errorf("the owners are %v; want %v", got, want)
		}
	}
	for range len(lists) - 1 {
		r.Owners(tell)
		if got := <-told; len(got) > 0 {
			t.Errorf("the owners are %v; want none", got)
		}
	}
	if n := int(asked.Load()); n != len(lists) {
		t.Errorf("the bus was asked %d times; want %d", n, len(lists))
	}
}
