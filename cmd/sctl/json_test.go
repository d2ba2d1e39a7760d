package main

import (
	"strings"
	"testing"
)

// What the verbs that write files say, and the event that was waited for.
func TestJSONFiles(t *testing.T) {
	h := newHome(t)
	h.put(".config/session-init/svc.conf", "start on startup\nexec sleep 1\n")
	h.put(".config/session-init/other.conf", "start on startup\nexec sleep 1\n")
	for _, test := range []struct{ line, schema, has string }{
		{"sctl new --json x -- true", "file", `"done": "written"`},
		{"sctl disable --json svc", "files", `svc.override"`},
		{"sctl disable --json svc", "files", `"done": "nothing"`},
		{"sctl disable --json svc other", "files", `other.override"`},
		{"sctl enable --json svc other", "files", `"done": "removed"`},
	} {
		got := runWith(h.env, strings.Fields(test.line)...)
		if got.status != 0 || got.err != "" || !strings.Contains(got.out, test.has) {
			t.Errorf("%s = %+v; want %s in it", test.line, got, test.has)
			continue
		}
		fits(t, test.line, test.schema, got.out)
	}
	// What was done before a failure is told, and that is one document, too.
	h.put(".config/session-init/hand.conf", "exec sleep 1\n")
	if got := runWith(h.env, "sctl", "enable", "--json", "svc", "hand", "other"); got.status != 1 || !strings.HasPrefix(got.err, "enable: cannot enable 'hand': ") {
		t.Errorf("enable --json svc hand other = %+v; want hand refused", got)
	} else {
		fits(t, "enable --json svc hand other", "files", got.out)
	}
	h.put(".config/session-init/svc.conf", "author a\nauthor b\nauthor c\nauthor d\nexec sleep 1\n")
	for _, test := range []struct{ editor, line, has string }{
		{"sed -i s/^exec.*/task/", "sctl edit --json svc", `"kind": "left-out"`},
		{"true", "sctl edit --json svc", `"done": "nothing"`},
		{"true", "sctl edit --undo --json svc", `"line": "exec sleep 1"`},
		{"echo nice 3 >", "sctl edit --json --full new", `"kind": "added"`},
	} {
		if strings.HasSuffix(test.line, " new") {
			h.put("etc/session-init/new.conf", "exec sleep 1\n")
		}
		got := runWith(append([]string{"EDITOR=" + test.editor}, h.env...), strings.Fields(test.line)...)
		if got.status != 0 || got.err != "" || !strings.Contains(got.out, test.has) {
			t.Errorf("%s with %s = %+v; want %s in it", test.line, test.editor, got, test.has)
			continue
		}
		fits(t, test.line, "file", got.out)
	}
	w := newWorld(t, "svc", "exec x")
	for _, line := range []string{"sctl wait --json svc started", "sctl wait --json started"} {
		got := w.waiting(t, line, "sctl -q start svc", "sctl -q stop svc")
		if got.status != 0 || !strings.Contains(got.out, `"event": "started"`) {
			t.Errorf("%s = %+v; want the event", line, got)
			continue
		}
		fits(t, line, "monitor", got.out)
	}
}

// A verb has --json, or prints no data.
func TestJSONVerbs(t *testing.T) {
	none := strings.Fields("reload signal emit reload-configuration set-env unset-env reset-env notify-dbus-address notify-cgroup-manager-address notify-disk-writeable " +
		"re-exec end-session shutdown halt poweroff reboot telinit completion help")
	for _, v := range verbTable() {
		if contains(jsonVerbs(), v.name) == contains(none, v.name) {
			t.Errorf("%s has --json: %v; want it for what prints data, and only for that", v.name, contains(jsonVerbs(), v.name))
		}
	}
}
