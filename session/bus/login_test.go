package bus

import "testing"

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
