package bus

import (
	"testing"

	"github.com/session-init/session-init/session/api"
)

func TestParseSession(t *testing.T) {
	const ours = "unix:path=/run/x/socket"
	for _, test := range []struct {
		environ string
		want    uint64
	}{
		{"A=1\x00UPSTART_SESSION=" + ours + "\x00UPSTART_SESSION_ID=7\x00", 7},
		{"UPSTART_SESSION_ID=7\x00UPSTART_SESSION=" + ours, 7},
		{"UPSTART_SESSION=unix:path=/run/other\x00UPSTART_SESSION_ID=7\x00", 0},
		{"UPSTART_SESSION_ID=7\x00", 0},
		{"UPSTART_SESSION=" + ours + "\x00", 0},
		{"UPSTART_SESSION=" + ours + "\x00UPSTART_SESSION_ID=seven\x00", 0},
		{"UPSTART_SESSION=" + ours + "\x00UPSTART_SESSION_ID=-1\x00", 0},
		{"", 0},
	} {
		if got := parseSession([]byte(test.environ), ours); got != test.want {
			t.Errorf("parseSession(%q) = %d; want %d", test.environ, got, test.want)
		}
	}
}

// A client that counts logins is told what the daemon stays for after the last
// one, and may take it back until the end has begun.
func TestSetUntilLogout(t *testing.T) {
	l, s := serve(t, parseJob(t, "tmux", "linger\nexec daemon\n"))
	p := connect(t, s)
	p.mustCall(api.JobPath("tmux"), "", "Start", []string{}, true)
	set := func(on bool, want string) {
		t.Helper()
		if got := story(p.call(api.ManagerPath, api.ManagerExtension, "SetUntilLogout", on)); got != want {
			t.Errorf("SetUntilLogout(%v) = %s; want %s", on, got, want)
		}
	}
	set(true, "reply what lingers: tmux")
	set(false, "reply")
	p.mustCall(api.JobPath("tmux"), "", "Stop", []string{}, true)
	set(true, "reply")
	eventually(t, "the session to end", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.quit
	})
	set(false, "error "+api.ErrJobFailed+" the session is ending")
}
