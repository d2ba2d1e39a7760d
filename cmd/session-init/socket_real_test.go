package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

// TestSocketReal: daemons of packages are started by a client that connects
// before they exist, and serve it, again after a stop, a restart, and another
// daemon of ours.
func TestSocketReal(t *testing.T) {
	for _, c := range []struct {
		name, job string
		needs     []string
		ask       func(r *rig, port string) error
	}{
		{"dbus-daemon", "expect notify\nstart on socket PROTO=unix SOCKET_PATH=$W/bus\nexec dbus-daemon --session --address=systemd: --nofork",
			[]string{"dbus-daemon", "dbus-send"}, askBus},
		{"gpg-agent", "start on socket PROTO=unix SOCKET_PATH=$W/gnupg/S.gpg-agent FDNAME=std or socket PROTO=unix SOCKET_PATH=$W/gnupg/S.gpg-agent.ssh FDNAME=ssh\n" +
			"exec gpg-agent --homedir \"$W/gnupg\" --supervised", []string{"gpg-agent", "gpg-connect-agent"}, askGnuPG},
		{"pipewire", "start on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/pipewire-0\nenv PIPEWIRE_DEBUG=1\nexec pipewire",
			[]string{"pipewire", "pw-cli"}, says("id: 0", "pw-cli", "info", "0")},
		{"ssh-agent", "start on socket PROTO=unix SOCKET_PATH=$W/agent\nexec ssh-agent -D", []string{"ssh-agent", "ssh-add"}, askAgent},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, program := range c.needs {
				testkit.Need(t, program)
			}
			if c.name == "ssh-agent" {
				// OpenSSH has it from 10.0 on.
				if program, err := os.ReadFile(testkit.Need(t, "ssh-agent")); err != nil || !bytes.Contains(program, []byte("LISTEN_FDS")) {
					testkit.Need(t, "ssh-agent that takes sockets")
				}
			}
			r := newRig(t)
			r.write("gnupg/common.conf", "")
			r.job("svc", c.job)
			r.start()
			asked := func() {
				t.Helper()
				if err := c.ask(r, ""); err != nil {
					t.Fatalf("%v\n%s", err, r.stderr)
				}
				r.until("the job to run", func() bool {
					return strings.HasPrefix(r.ok("sctl", "status", "svc"), "svc running (start), process ")
				})
			}
			path := map[string]string{"dbus-daemon": r.dir + "/bus", "gpg-agent": r.dir + "/gnupg/S.gpg-agent", "pipewire": r.run + "/pipewire-0", "ssh-agent": r.dir + "/agent"}[c.name]
			r.until("the socket", func() bool {
				return strings.Contains(r.ok("sctl", "why", "svc"), "socket PROTO=unix") && r.listens(path)
			})
			asked()
			for range 3 {
				r.ok("sctl", "stop", "svc")
				asked()
				r.ok("sctl", "restart", "svc")
				asked()
				r.ok("sctl", "stop", "svc")
				r.ok("sctl", "re-exec")
				asked()
			}
			r.ok("sctl", "stop", "svc")
			r.crash()
			asked()
			r.ok("sctl", "stop", "svc")
		})
	}
}
