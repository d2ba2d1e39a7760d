package main

import (
	"os"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

// systemBusConfig is what distributions have for the system bus, in short: nobody
// may own or call anything unless a file in system.d says so.
const systemBusConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <includedir>/run/d</includedir>
</busconfig>
`

// The machine's daemon joins the system bus when there is one: with our policy file
// root may do all there, and others may look. Should the policy of a machine let
// them do more, we do not.
func TestSystemBus(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		daemon, send := testkit.Need(t, "dbus-daemon"), testkit.Need(t, "dbus-send")
		policy, err := os.ReadFile("../../share/dbus-1/system.d/org.sessioninit.SessionInit1.conf")
		if err != nil {
			t.Fatal(err)
		}
		m.write("bus.conf", systemBusConfig)
		m.write("policy.conf", string(policy))
		m.write("conf/svc.conf", "exec sleep 1000\n")
		m.boot(nil, "--verbose")
		m.ready(1)
		m.says("", "sh", "-c", "mkdir -m 755 /run/dbus /run/d && cp "+m.path("policy.conf")+" /run/d/ && cp "+m.path("bus.conf")+" /run/bus.conf && chmod 644 /run/bus.conf /run/d/*")
		m.says("", "sh", "-c", daemon+" --config-file=/run/bus.conf --nofork --nopidfile >/run/bus.log 2>&1 </dev/null & echo $! >/run/bus.pid")
		m.until("the daemon to join the bus", func() bool {
			return strings.Contains(m.log.String(), "joined the system bus") && strings.Contains(m.log.String(), "has the name com.ubuntu.Upstart on the system bus")
		})
		call := func(user []string, dest, member string, args ...string) string {
			words := append(user[:len(user):len(user)], send, "--system", "--print-reply", "--type=method_call", "--dest="+dest, "/com/ubuntu/Upstart", member)
			text, _ := m.in(append(words, args...)...)
			return text
		}
		// Answers say what became of a call.
		want := func(what, got, part string) {
			t.Helper()
			if !strings.Contains(got, part) {
				t.Errorf("%s = %q; want %q in it", what, got, part)
			}
		}
		const name, emit = "org.sessioninit.SessionInit1", "com.ubuntu.Upstart0_6.EmitEvent"
		event := []string{"string:go", "array:string:", "boolean:true"}
		want("root's GetAllJobs", call(nil, name, "com.ubuntu.Upstart0_6.GetAllJobs"), "/com/ubuntu/Upstart/jobs/svc")
		want("root's EmitEvent", call(nil, "com.ubuntu.Upstart", emit, event...), "method return")
		if !m.rooted {
			return
		}
		nobody := []string{testkit.Need(t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"}
		for _, dest := range []string{name, "com.ubuntu.Upstart"} {
			want("another's GetAllJobs", call(nobody, dest, "com.ubuntu.Upstart0_6.GetAllJobs"), "/com/ubuntu/Upstart/jobs/svc")
			want("another's Get", call(nobody, dest, "org.freedesktop.DBus.Properties.Get", "string:com.ubuntu.Upstart0_6", "string:version"), "session-init")
			want("another's EmitEvent", call(nobody, dest, emit, event...), "AccessDenied")
			want("another's ListEnv", call(nobody, dest, "com.ubuntu.Upstart0_6.ListEnv", "array:string:"), "AccessDenied")
		}
		// A policy that lets all call everything.
		m.says("", "sh", "-c", `sed 's/<deny/<allow/' /run/d/policy.conf >/run/d/new && sed -i 's/send_interface="[^"]*"//; s/send_member="[^"]*"//; s/<allow own="org[^>]*>//; s/<allow own="com[^>]*>//' /run/d/new && mv /run/d/new /run/d/z.conf`)
		m.says("", "sh", "-c", "kill -HUP $(cat /run/bus.pid)")
		m.until("the bus to let everybody call", func() bool {
			return !strings.Contains(call(nobody, name, emit, event...), "AccessDenied")
		})
		const refused = "Permission denied: a client of the system bus who is not root may only read"
		want("another's EmitEvent", call(nobody, name, emit, event...), refused)
		want("another's EndSystem", call(nobody, name, "org.sessioninit.SessionInit1.EndSystem", "string:halt", "array:string:"), refused)
		want("another's ListEnv", call(nobody, name, "com.ubuntu.Upstart0_6.ListEnv", "array:string:"), refused)
		want("another's GetAllJobs", call(nobody, name, "com.ubuntu.Upstart0_6.GetAllJobs"), "/com/ubuntu/Upstart/jobs/svc")
		// Another bus takes its place.
		m.says("", "sh", "-c", "kill -9 $(cat /run/bus.pid)")
		m.until("the bus to be lost", func() bool { return strings.Contains(m.log.String(), "lost the system bus") })
		m.says("", "sh", "-c", "rm -f /run/dbus/system_bus_socket; "+daemon+" --config-file=/run/bus.conf --nofork --nopidfile >/run/bus.log 2>&1 </dev/null &")
		m.until("the daemon to join the new one", func() bool { return strings.Count(m.log.String(), "joined the system bus") == 2 })
	})
}
