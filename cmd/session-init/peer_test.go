package main

import (
	"context"
	"testing"
	"time"

	"github.com/session-init/session-init/session/api"
)

// peer is a client of the private socket, for what sctl does not do yet.
type peer struct {
	t testing.TB
	*api.Client
}

func (r *rig) dial() *peer {
	r.t.Helper()
	client, err := api.Dial(context.Background(), r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	return &peer{r.t, client}
}

// call makes a call that must succeed.
func (p *peer) call(path, iface, member string, args ...any) []any {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, err := p.Call(ctx, path, iface, member, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", member, err)
	}
	return body
}

// fails makes a call that must be answered with this error.
func (p *peer) fails(name, path, iface, member string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := p.Call(ctx, path, iface, member, args...); !api.IsName(err, name) {
		p.t.Errorf("%s: error is %v; want %s", member, err, name)
	}
}

// abandon makes a call and goes away before it is answered.
func (p *peer) abandon(path, iface, member string, args ...any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := p.Call(ctx, path, iface, member, args...); err == nil {
		p.t.Errorf("%s was answered", member)
	}
	p.Close()
}
