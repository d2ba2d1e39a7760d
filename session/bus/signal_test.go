package bus

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
)

func TestSignal(t *testing.T) {
	_, s := serve(t, service("svc"), service("idle"))
	p := connect(t, s)
	p.mustCall(api.JobPath("svc"), api.JobInterface, "Start", []string{}, true)
	path := api.InstancePath("svc", "")
	for _, test := range []struct{ path, signal, want string }{
		{path, "DANCE", "error " + api.ErrInvalidArgs + " Unknown signal: DANCE"},
		{path, "", "error " + api.ErrInvalidArgs + " Unknown signal:"},
		{path, "0", "error " + api.ErrInvalidArgs + " Unknown signal: 0"},
		{path, "65", "error " + api.ErrInvalidArgs + " Unknown signal: 65"},
		{path, "SIGUSR1", "reply"},
		{api.InstancePath("idle", ""), "USR1", "error " + api.ErrUnknownInstance + " Unknown instance: idle"},
	} {
		got := story(p.call(test.path, api.InstanceExtension, "Signal", test.signal))
		if got != test.want {
			t.Errorf("Signal(%s) of %s = %q; want %q", test.signal, test.path, got, test.want)
		}
	}
	const want = "/log/svc-.log" // as the loop of the tests names it
	log := p.mustCall(api.JobPath("svc"), api.PropertiesInterface, "Get", api.JobExtension, "log")[0].(dbus.Variant)
	if got := log.Value(); got != want {
		t.Errorf("the property log = %v; want %s", got, want)
	}
}
