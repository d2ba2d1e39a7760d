package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/api"
)

// With --system job files are the machine's, and the user's are let be.
func TestSystemFiles(t *testing.T) {
	h := newHome(t)
	m := machineIn(h.path("machine"))
	const user, own, first, packaged = ".config/session-init/", "machine/etc/init/", "machine/etc/init/jobs.d/", "machine/usr/share/session-init/system/"
	h.put(user+"mine.conf", "start on nobody-emits-it\nexec sleep 1\n")
	h.put(user+"both.conf", "exec sleep 1\n")
	h.put(own+"both.conf", "start on runlevel\nexec sleep 2\n")
	h.put(own+"broken.conf", "exce sleep 1\n")
	h.put(first+"early", "start on startup\nexec sleep 3\n")
	h.put("machine/etc/event.d/old", "start on startup\nexec sleep 4\n")
	h.put(packaged+"net/dhcp.conf", "start on startup\nconsole output\nsetuid root\nexec sleep 5\n")
	expect := func(editor, line string, status int, out, err string) {
		t.Helper()
		got := runAt(m, append([]string{"EDITOR=" + editor}, h.env...), strings.Fields(line)...)
		if got.status != status || !strings.Contains(got.out, out) || !strings.Contains(got.err, err) || (out == "") != (got.out == "") || (err == "") != (got.err == "") {
			t.Errorf("%s = %+v; want %d, %q, %q", line, got, status, out, err)
		}
	}
	expect("", "sctl --system check-config", 1, h.path(own+"broken.conf")+":1:1: ", "")
	if got := runAt(m, h.env, "sctl", "--system", "check-config"); strings.Contains(got.out, user) || strings.Contains(got.out, "warning") {
		t.Errorf("check-config of the machine = %+v; want nothing of the user, and no warning", got)
	}
	expect("", "sctl check-config", 0, h.path(user+"mine.conf"), "")
	expect("", "sctl --system graph", 0, `"event runlevel" -> "job both"`, "")
	expect("", "sctl graph mine both", 0, `"event nobody-emits-it" -> "job mine"`, "")
	expect("", "sctl --system graph mine", 1, "", "cannot draw 'mine': Unknown job")

	expect("", "sctl --system new svc -- sleep 6", 0, "# "+h.path(own+"svc.conf"), "")
	h.holds(own+"svc.conf", "exec sleep 6\n")
	h.holds(user+"svc.conf", "(none)")
	expect("", "sctl --system new both -- sleep 6", 1, "", "it is there already: "+h.path(own+"both.conf")+"; sctl --system edit both changes it")
	expect("", "sctl --system new ../x -- sleep 6", 1, "", "cannot be the name of a job")
	expect("", "sctl new svc -- sleep 7", 0, "# "+h.path(user+"svc.conf"), "")

	expect("echo nice 1 >>", "sctl --system edit both", 0, "wrote "+h.path(own+"both.conf"), "")
	h.holds(user+"both.conf", "exec sleep 1\n")
	// What is packaged is not touched; what counts less neither.
	expect("echo nice 1 >", "sctl --system edit net/dhcp", 0, "wrote "+h.path(own+"net/dhcp.override"), "")
	h.holds(packaged+"net/dhcp.override", "(none)")
	expect("", "sctl --system disable net/dhcp", 0, h.path(own+"net/dhcp.override"), "")
	h.holds(own+"net/dhcp.override", "nice 1\nmanual\n")
	expect("", "sctl --system enable net/dhcp", 0, h.path(own+"net/dhcp.override"), "")
	expect("", "sctl --system disable old", 0, h.path(own+"old.override"), "")
	expect("", "sctl --system enable old", 0, "removed "+h.path(own+"old.override"), "")
	// An override beside what counts more would not be seen.
	expect("", "sctl --system disable early", 0, h.path(first+"early.override"), "")
	expect("", "sctl --system enable early", 0, "removed "+h.path(first+"early.override"), "")
	h.put(first+"old.override", "manual\n")
	expect("", "sctl --system enable old", 0, "removed "+h.path(first+"old.override"), "")

	expect("", "sctl --system list", 3, "", "; it is the first process of a machine that boots with it, or started with: session-init --system\n")
	expect("", "sctl --system autostart", 2, "", "--system is no option of autostart")
	expect("", "sctl --system list-sessions", 2, "", "--system is no option of list-sessions")
}

// Without --system, the session-init that would be asked decides.
func TestForMachine(t *testing.T) {
	dir := t.TempDir()
	m := machineIn(dir)
	runtime, sessions := filepath.Join(dir, "user"), filepath.Join(dir, "user/upstart/sessions")
	for _, path := range []string{m.runtime, sessions} {
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	socket, other := m.addresses()[0], api.UnixAddress("/nonexistent/s")
	root := os.Geteuid() == 0
	session := filepath.Join(sessions, "1.session")
	for _, test := range []struct {
		what             string
		options          options
		environ          string
		socket, sessions bool
		want             bool
	}{
		{"nothing", options{}, "", false, false, false},
		{"--system", options{system: true}, "", false, true, true},
		{"its address", options{address: socket}, "", false, true, true},
		{"another address", options{address: other}, "", true, false, false},
		{"a job of it", options{}, api.SessionVariable + "=" + socket, true, true, true},
		{"who may only look", options{}, api.SessionVariable + "=" + m.addresses()[1], true, true, true},
		{"a job of a user", options{}, api.SessionVariable + "=" + other, true, false, false},
		{"its socket", options{}, "", true, false, root},
		{"its socket, and a session", options{}, "", true, true, false},
		{"the session bus", options{session: true}, "", true, false, false},
	} {
		os.Remove(session)
		os.Remove(filepath.Join(m.runtime, "socket"))
		if test.socket {
			write(t, filepath.Join(m.runtime, "socket"), "")
		}
		if test.sessions {
			write(t, session, api.SessionVariable+"="+other+"\n")
		}
		c := &command{machine: m, options: test.options, environ: []string{"XDG_RUNTIME_DIR=" + runtime, test.environ}}
		if got := c.forMachine(); got != test.want {
			t.Errorf("forMachine() with %s = %v; want %v", test.what, got, test.want)
		}
	}
}

// The machine's session-init that has answered is the one that is meant.
func TestFoundMachine(t *testing.T) {
	w := newWorld(t, "svc", "exec x")
	sockets, err := api.ParseAddress(w.server.Address())
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	m := machineIn(h.path("machine"))
	if got := runAt(m, h.env, "sctl", "--address", w.server.Address(), "new", "user", "--", "true"); got.status != 0 || !strings.Contains(got.out, h.path(".config/session-init/user.conf")) {
		t.Errorf("new by another session-init = %+v; want a file of the user", got)
	}
	m.runtime = filepath.Dir(sockets[0])
	for _, words := range [][]string{{"--system", "start", "s"}, {"start", "--system", "s"}} {
		if got := runAt(m, h.env, append([]string{"sctl", "__complete", "sctl"}, words...)...); completed(got) != "svc" {
			t.Errorf("complete %q = %+v; want the job of the machine", words, got)
		}
	}
	got := runAt(m, append([]string{"UPSTART_SESSION=" + w.server.Address()}, h.env...), "sctl", "new", "web", "--", "true")
	if want := h.path("machine/etc/init/web.conf"); got.status != 0 || !strings.Contains(got.out, want) {
		t.Errorf("new by the machine's session-init = %+v; want %s", got, want)
	}
	h.put("machine/etc/init/net/broken.conf", "exce true\n")
	if got := runAt(m, h.env, "sctl", "--system", "why", "net/broken"); !strings.Contains(got.out, "machine/etc/init/net/broken.conf:1:1") || !strings.Contains(got.out, "sctl --system edit net/broken ") {
		t.Errorf("why of a broken job of the machine = %+v; want its mistake", got)
	}
	h.put("machine/etc/init/net/dhcp.conf", "start on go\nexec x\n")
	if got := runAt(m, h.env, "sctl", "--system", "simulate", "edit", h.path("machine/etc/init/net/dhcp.conf"), "emit", "go"); !strings.Contains(got.out, "net/dhcp") {
		t.Errorf("simulate of a job of the machine = %+v; want it by its whole name", got)
	}
	// Where one may look only, what was written is not said to have failed.
	got = runAt(m, append([]string{"UPSTART_SESSION=" + m.addresses()[1]}, h.env...), "sctl", "new", "third", "--", "true")
	if got.status != 0 || !strings.Contains(got.err, "session-init tells nobody here") {
		t.Errorf("new by the read-only socket = %+v; want a note", got)
	}
}

// Commands that are proposed ask the session-init that this one has asked.
func TestAgain(t *testing.T) {
	for _, test := range []struct {
		options    options
		line, want string
	}{
		{options{}, "sctl why x", "sctl why x"},
		{options{system: true}, "sctl why x", "sctl --system why x"},
		{options{session: true}, "sctl why x", "sctl --session why x"},
		{options{address: "unix:path=/run/a b"}, "sctl list", "sctl --address 'unix:path=/run/a b' list"},
		{options{session: true, address: "unix:path=/run/bus"}, "sctl list", "sctl --session --address 'unix:path=/run/bus' list"},
		{options{system: true, address: "tcp:x"}, "session-init -- COMMAND", "session-init -- COMMAND"},
	} {
		c := &command{options: test.options}
		if got := c.again(test.line); got != test.want {
			t.Errorf("again(%s) with %+v = %s; want %s", test.line, test.options, got, test.want)
		}
	}
}

// With --address everything that a screen proposes carries it.
func TestProposedAddress(t *testing.T) {
	w := newWorld(t, "a", "exec x", "b", "start on started a\nexec x", "getty", "instance $TTY\nexec x", "bad", "exec missing")
	address := w.server.Address()
	w.play(t, []step{{"sctl -q start getty TTY=1", 0, "", ""}, {"sctl -q start getty TTY=2", 0, "", ""},
		{"sctl start bad", 1, "", "start: cannot start 'bad': *"}})
	for _, line := range []string{"sctl why a", "sctl why b", "sctl why getty", "sctl why bad", "sctl why started"} {
		args := append(strings.Fields(line), "--address", address)
		got := runWith(nil, args...)
		text := strings.Join(strings.Fields(got.out), " ")
		all, carried := strings.Count(text, "sctl "), strings.Count(text, "sctl --address "+shellWord(address)+" ")
		if got.status != 0 || all == 0 || all != carried {
			t.Errorf("%s proposes %d commands, %d with the address:\n%s%s", line, all, carried, got.out, got.err)
		}
	}
}
