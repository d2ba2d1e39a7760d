package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRealWirePlumber: two daemons, of which one goes where the other goes, and
// which is ready when post-start has seen it work.
func TestRealWirePlumber(t *testing.T) {
	t.Parallel()
	r, _ := newReal(t, real{name: "pipewire", needs: []string{"pipewire", "pw-cli"}})
	r.realJob("wireplumber", "wireplumber", "wpctl")
	r.realJob("dbus-daemon-listen", "dbus-daemon")
	r.env = append(r.env, "DBUS_SESSION_BUS_ADDRESS=unix:path="+r.dir+"/bus")
	r.start()
	r.ok("start", "dbus-daemon-listen")
	bus := r.main("dbus-daemon-listen")
	up := func() (pipewire, wireplumber int) {
		t.Helper()
		r.becomes("wireplumber running (start), process PID\n", "wireplumber")
		if err := says("WirePlumber", "wpctl", "status")(r, ""); err != nil {
			t.Error(err)
		}
		return r.main("pipewire"), r.main("wireplumber")
	}
	for range realRounds() {
		r.ok("start", "pipewire")
		pipewire, first := up()
		r.ok("restart", "pipewire")
		again, second := up()
		if pipewire == again || first == second || !isGone(pipewire) || !isGone(first) {
			t.Errorf("pipewire was process %d and is %d, wireplumber was %d and is %d; want others, and those gone", pipewire, again, first, second)
		}
		unix.Kill(second, unix.SIGKILL)
		r.until("another wireplumber", func() bool {
			status := r.ok("status", "wireplumber")
			return strings.HasPrefix(status, "wireplumber running ") && !strings.Contains(status, fmt.Sprintf(" %d\n", second))
		})
		up()
		r.ok("stop", "pipewire")
		r.prints("wireplumber waiting (stop)\n", "status", "wireplumber")
		r.until("all but the bus to be gone", func() bool {
			// What the bus has started for them, gvfsd say, is the bus's.
			shown := r.ok("sctl", "status", "--processes", "dbus-daemon-listen")
			for pid := range r.below() {
				if pid != bus && !strings.Contains(shown, fmt.Sprintf("process %d (", pid)) {
					return false
				}
			}
			return true
		})
	}
}

// TestRealMisdeclared: who declares of a real daemon what it does not do is told
// what it does, and what fits.
func TestRealMisdeclared(t *testing.T) {
	for _, c := range []struct {
		of, declares string
		// want stands in the log, or in the answer of start; "*" is some address.
		want string
	}{
		{"nginx-fork", "expect none", ": sending QUIT; if it goes into the background by itself, 'expect fork' (one fork)"},
		{"nginx-fork", "expect daemon", "goes on beside it, which is taken for main: if it is to, 'expect fork' fits"},
		{"nginx-listen", "expect fork", "goes on beside it, which is taken for main: if it is to, 'expect none' or 'expect listen' fits"},
		{"dnsmasq-daemon", "expect fork", "it declares 'expect fork' and seems to fork once more: 'expect daemon' fits"},
		{"ssh-agent-fork", "expect daemon\nready timeout 5", "as 'expect daemon' declares it; it forked once: 'expect fork' fits"},
		{"ssh-agent-fork", "expect stop\nready timeout 5", "if it goes into the background by itself, 'expect fork' (one fork)"},
		{"redis-notify", "expect fork\nready timeout 5", "as 'expect fork' declares it; it did not fork and listens on tcp *: 'expect listen' fits"},
		{"memcached-listen", "expect notify\nready timeout 5", "it did not say READY=1 and listens on tcp *: 'expect listen' fits"},
		{"dnsmasq-daemon", "expect notify\nready timeout 5", "it went into the background, did not say READY=1 and listens on tcp *: 'expect listen' fits"},
	} {
		declares, _, _ := strings.Cut(c.declares, "\n")
		t.Run(c.of+" "+declares, func(t *testing.T) {
			t.Parallel()
			at := slices.IndexFunc(reals[:], func(d real) bool { return d.name == c.of })
			r, _ := newReal(t, reals[at])
			r.write("conf/"+c.of+".override", c.declares+"\n")
			r.start()
			answer := r.command("start", c.of).errOut
			want := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(c.want), `\*`, `[0-9.:]+`))
			r.until(c.want, func() bool { return want.MatchString(answer + r.stderr.String()) })
			r.command("stop", c.of)
		})
	}
}
