package main

import "testing"

// A desktop that is faster than the user's own jobs: session-start waits for
// them, so that the login's jobs find the variables that they set. A task is not
// waited for.
func TestSessionStartWaits(t *testing.T) {
	r := newLoginRig(t)
	r.userJob("agent", "start on startup\npre-start script\n    while [ ! -e $W/go ]; do sleep 0.02; done\n    sleep 0.5\n"+
		"    initctl set-env --global AGENT=here\nend script\nexec sleep 1000")
	r.userJob("long", "start on startup\ntask\nexec sleep 1000")
	r.userJob("panel", "start on session-start\nscript\n    echo panel $AGENT >> $T\n    exec sleep 1000\nend script")
	l := r.login("desk")
	r.fakeDisplay("wayland-9")
	begun := make(chan result, 1)
	env := append(r.env[:len(r.env):len(r.env)], "WAYLAND_DISPLAY=wayland-9", "UPSTART_SESSION_ID="+l.env("UPSTART_SESSION_ID"))
	go func() {
		other := *r
		other.env = env
		begun <- other.command("sctl", "session", "begin")
	}()
	r.write("go", "")
	r.traced("panel here")
	if got := <-begun; got.status != 0 || got.out != "session 1\n" {
		t.Errorf("begin: %+v", got)
	}
	l.logout(0)
}
