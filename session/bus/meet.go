package bus

import (
	"slices"
	"time"

	"github.com/session-init/session-init/session/api"
)

// meetTime is how long one that is being joined is waited for.
const meetTime = time.Second

// Meet tells of a bus that a login session is on. Without any other that one is
// joined; one that is being joined is waited for. It returns the address of the
// bus that is joined already and is another one, or "".
func (r *Remote) Meet(address string) (other string) {
	r.mu.Lock()
	trying := r.trying
	r.mu.Unlock()
	if trying != nil {
		late := time.NewTimer(meetTime)
		defer late.Stop()
		select {
		case <-trying:
		case <-late.C:
		case <-r.ctx.Done():
		}
	}
	r.mu.Lock()
	joined := r.link != nil
	r.mu.Unlock()
	if joined {
		return r.Other(address)
	}
	// What is no address is nobody's bus.
	_ = r.Tell(address)
	return ""
}

// Other returns the address of the bus that is joined if an address is that of
// another one; "" also when none is joined. Addresses are compared by their
// sockets: one with a guid is that without.
func (r *Remote) Other(address string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link == nil || r.link.address == address {
		return ""
	}
	have, _ := api.ParseAddress(r.link.address)
	if want, err := api.ParseAddress(address); err != nil || slices.ContainsFunc(want, func(socket string) bool { return slices.Contains(have, socket) }) {
		return ""
	}
	return r.link.address
}
