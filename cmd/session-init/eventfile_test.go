package main

import (
	"bufio"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
)

// emitWith emits an event with one end of a pipe, and returns the other.
func (r *rig) emitWith(name string, wait bool) *os.File {
	r.t.Helper()
	conn, err := dbus.Dial(r.address)
	if err == nil {
		defer conn.Close()
		err = conn.Auth(nil)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { in.Close() })
	in.SetReadDeadline(time.Now().Add(10 * patience)) // it is read until the test's end
	defer out.Close()
	done := conn.Object(api.UpstartBusName, api.ManagerPath).Call(api.ManagerInterface+".EmitEventWithFile", 0, name, []string{"N=1"}, wait, dbus.UnixFD(out.Fd()))
	if done.Err != nil {
		r.t.Fatalf("EmitEventWithFile(%s) = %v", name, done.Err)
	}
	return in
}

// TestEmitEventWithFile: main writes into the pipe that came with its event,
// again after it was respawned, whatever became of the daemon meanwhile, and the
// pipe ends with the job.
func TestEmitEventWithFile(t *testing.T) {
	const writes = `'eval "echo $UPSTART_EVENTS $UPSTART_FDS $LISTEN_FDNAMES >&${UPSTART_FDS%% *}"; exec sleep 600'`
	for _, c := range []struct {
		name string
		args []string
		next func(r *rig)
	}{
		{"keeper", nil, (*rig).crash},
		{"alone", []string{"--no-keeper"}, func(r *rig) { r.ok("sctl", "re-exec") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.args = append(r.args, c.args...)
			r.job("svc", "start on go\nrespawn\nexec sh -c "+writes)
			r.job("half", "start on left and right\nexec sh -c "+writes)
			r.start()
			says := func(in *bufio.Reader, want string) {
				t.Helper()
				if got, err := in.ReadString('\n'); strings.TrimSpace(got) != want {
					t.Errorf("the pipe has %q, %v; want %q\n%s", got, err, want, r.stderr)
				}
			}
			in := bufio.NewReader(r.emitWith("go", true))
			says(in, "go 3 event")
			half := bufio.NewReader(r.emitWith("left", false))
			c.next(r)
			before := r.main("svc")
			if err := unix.Kill(before, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			says(in, "go 3 event")
			nobody := bufio.NewReader(r.emitWith("go", true))
			if text, err := nobody.ReadString('\n'); text != "" || os.IsTimeout(err) {
				t.Errorf("the pipe that nobody wants has %q, %v; want its end", text, err)
			}
			other := bufio.NewReader(r.emitWith("right", true))
			says(half, "left right 3 4 event:event")
			c.next(r)
			for job, pipes := range map[string][]*bufio.Reader{"svc": {in}, "half": {half, other}} {
				r.ok("sctl", "stop", job)
				for _, pipe := range pipes {
					if text, err := pipe.ReadString('\n'); text != "" || os.IsTimeout(err) {
						t.Errorf("after the stop of %s the pipe has %q, %v; want its end", job, text, err)
					}
				}
			}
		})
	}
}
