package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/testkit"
)

// A user's daemon beside that of the machine, in the same namespace: it hears the
// machine's events, over the socket for all.

// lodger is that daemon. Its directory is in the namespace's own /run, where an
// ordinary user comes in.
type lodger struct {
	*machine
	setpriv []string
	address string
}

// lodge starts it with these jobs.
func (m *machine) lodge(jobs map[string]string) *lodger {
	m.t.Helper()
	l := &lodger{machine: m}
	if m.rooted {
		l.setpriv = []string{testkit.Need(m.t, "setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"}
	}
	m.says("", "sh", "-c", "mkdir -p /run/u/conf && cp "+programs+"/session-init "+programs+"/sctl /run/u/ && chmod -R 755 /run/u && touch /run/u/trace && chmod 666 /run/u/trace && mkdir -m 700 /run/u/run")
	if m.rooted {
		m.says("", "chown", "65534:65534", "/run/u/run")
	}
	for name, text := range jobs {
		m.says("", "sh", "-c", "printf '%s' \"$1\" >/run/u/conf/$2.conf", "sh", text, name)
	}
	m.t.Cleanup(func() {
		if m.t.Failed() && !m.over() {
			m.t.Logf("the log of the user's daemon:\n%s", l.log())
		}
	})
	words := append(append([]string{"sh", "-c", `"$@" >/run/u/log 2>&1 </dev/null &`, "sh"}, l.setpriv...),
		"/run/u/session-init", "--confdir", "/run/u/conf", "--runtime-dir", "/run/u/run", "--no-log", "--verbose")
	m.says("", words...)
	m.until("the user's daemon", func() bool {
		found := regexp.MustCompile(`is ready.* session="?([^\s"]+)`).FindStringSubmatch(l.log())
		if found != nil {
			l.address = found[1]
		}
		return found != nil
	})
	return l
}

func (l *lodger) log() string {
	text, _ := l.in("cat", "/run/u/log")
	return text
}

// listens waits until it has connected so many times.
func (l *lodger) listens(times int) {
	l.t.Helper()
	l.until("the user's daemon to listen", func() bool {
		return strings.Count(l.log(), "listens to the session-init of the machine") == times
	})
}

// sctl runs the client as that user.
func (l *lodger) sctl(args ...string) string {
	l.t.Helper()
	text, _ := l.in(append(append(l.setpriv[:len(l.setpriv):len(l.setpriv)], "/run/u/sctl", "--address="+l.address), args...)...)
	return text
}

// heard waits for the trace.
func (l *lodger) heard(want string) {
	l.t.Helper()
	got := ""
	defer func() {
		if l.t.Failed() {
			l.t.Logf("heard %q; want %q", got, want)
		}
	}()
	l.until("the events", func() bool {
		got, _ = l.in("cat", "/run/u/trace")
		return got == want
	})
	l.until("the job to rest", func() bool { return l.sctl("status", "hear") == "hear waiting (stop)\n" })
}

func TestMachineEvents(t *testing.T) {
	eachMachine(t, func(t *testing.T, m *machine) {
		m.write("conf/service.conf", "exec sleep 1000\n")
		m.boot(nil)
		m.ready(1)
		// As long as nobody is there, "why" says so; whoever comes is noticed.
		m.says("", "mv", "/run/session-init/readonly", "/run/elsewhere")
		l := m.lodge(map[string]string{
			"hear": "start on :sys:hello NAME=world or :sys:started JOB=service\ntask\nexec sh -c 'echo $UPSTART_EVENTS $NAME $MORE $JOB >>/run/u/trace'\n",
		})
		const absent = "this machine has no session-init of its own: nobody listens on /run/session-init/readonly"
		l.until("why to tell of it", func() bool {
			text := strings.Join(strings.Fields(l.sctl("why", "hear")), " ")
			return strings.Contains(text, absent)
		})
		m.says("", "mv", "/run/elsewhere", "/run/session-init/readonly")
		l.listens(1)
		if text := l.sctl("why", "hear"); strings.Contains(text, "of the machine") || strings.Contains(text, "of its own") {
			t.Errorf("sctl why hear tells of no machine when there is one:\n%s", text)
		}

		m.says("", "sctl", "emit", "hello", "NAME=nobody")
		m.says("", "sctl", "emit", "hello", "NAME=world", "MORE=a b")
		trace := ":sys:hello world a b\n"
		l.heard(trace)
		m.in("sctl", "start", "service")
		trace += ":sys:started service\n"
		l.heard(trace)

		// The machine's daemon is replaced, and dies.
		m.says("", "sctl", "re-exec")
		l.listens(2)
		m.says("", "sctl", "emit", "hello", "NAME=world")
		trace += ":sys:hello world\n"
		l.heard(trace)
		pids := regexp.MustCompile(`is ready.* pid=([0-9]+)`).FindAllStringSubmatch(m.log.String(), -1)
		m.says("", "kill", "-9", pids[len(pids)-1][1])
		l.listens(3)
		m.says("", "sctl", "emit", "hello", "NAME=world")
		trace += ":sys:hello world\n"
		l.heard(trace)

		// So does the user's.
		if text := l.sctl("re-exec"); text != "" {
			t.Errorf("sctl re-exec = %q", text)
		}
		l.listens(4)
		m.says("", "sctl", "emit", "hello", "NAME=world")
		l.heard(trace + ":sys:hello world\n")
	})
}
