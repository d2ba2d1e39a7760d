package bus

import (
	"encoding/xml"
	"os"
	"slices"
	"testing"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/wire"
)

// busPolicy is what a policy of a message bus says, as dbus-daemon(1) has it.
type busPolicy struct {
	Policies []struct {
		User    string `xml:"user,attr"`
		Context string `xml:"context,attr"`
		Allow   []struct {
			Destination string `xml:"send_destination,attr"`
			Interface   string `xml:"send_interface,attr"`
			Member      string `xml:"send_member,attr"`
		} `xml:"allow"`
	} `xml:"policy"`
}

// Whoever is not root may do on the system bus what everybody may on the read-only
// socket, under either name: the policy and the server say the same.
func TestPolicyIsPublic(t *testing.T) {
	text, err := os.ReadFile("../../share/dbus-1/system.d/" + api.BusName + ".conf")
	if err != nil {
		t.Fatal(err)
	}
	var policy busPolicy
	if err := xml.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{}
	for _, p := range policy.Policies {
		for _, a := range p.Allow {
			if p.Context == "default" {
				allowed[a.Destination] = append(allowed[a.Destination], a.Interface+"."+a.Member)
			}
		}
	}
	var want []string
	s := &Server{objects: objects()}
	stranger := &conn{public: true, restricted: elsewhereSystemBus}
	for kind, faces := range s.objects {
		if kind == busObject { // the bus has its own
			continue
		}
		for _, face := range faces {
			for i := range face.methods {
				m := &face.methods[i]
				in := &wire.Message{Header: wire.Header{Interface: face.name, Member: m.name, Signature: signature(m.in)}}
				if _, fail := s.find(stranger, object{kind: kind}, in); fail != nil {
					continue
				}
				name := face.name + "." + m.name
				if face.name == api.PeerInterface || face.name == api.IntrospectableInterface {
					name = face.name + "." // the whole interface
				}
				want = append(want, name)
			}
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	for _, name := range bothNames {
		got := slices.Sorted(slices.Values(allowed[name]))
		if !slices.Equal(got, want) {
			t.Errorf("others may call at %s\n%q\nwant\n%q", name, got, want)
		}
	}
	if len(allowed) != len(bothNames) {
		t.Errorf("the policy lets calls through to %v; want our names only", allowed)
	}
}
