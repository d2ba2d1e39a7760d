package job

import (
	"fmt"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
)

func TestSockets(t *testing.T) {
	vars := events.Env{"XDG_RUNTIME_DIR=/run/user/7", "PORT=80", "NUL=\x00", "LINES=a\nb"}
	for _, c := range []struct{ condition, want string }{
		{"started x", ""},
		{"socket", ""},
		{"socket SOCKET_PATH=/x", ""},
		{"socket PROTO!=unix", ""},
		{"sockets PROTO=unix SOCKET_PATH=/x", ""},
		{"socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/a", "unix:/run/user/7/a 600 [PROTO=unix SOCKET_PATH=/run/user/7/a]"},
		{"socket SOCKET_PATH=@a MODE=0666 PROTO=unix FDNAME=n", "unix:@a n 666 [SOCKET_PATH=@a MODE=0666 PROTO=unix FDNAME=n]"},
		{"socket PROTO=inet PORT=$PORT", "inet:*:80 600 [PROTO=inet PORT=80]"},
		{"socket PROTO=inet PORT=65535 ADDR=127.0.0.1", "inet:127.0.0.1:65535 600 [PROTO=inet PORT=65535 ADDR=127.0.0.1]"},
		{"socket PROTO=inet6 PORT=1 ADDR=::1", "inet6:[::1]:1 600 [PROTO=inet6 PORT=1 ADDR=::1]"},
		{"socket PROTO=inet6 PORT=1", "inet6:*:1 600 [PROTO=inet6 PORT=1]"},
		{"socket PROTO=inet PORT=1 X=y or (started a and socket PROTO=unix SOCKET_PATH=/b) or socket PROTO=inet PORT=1",
			"inet:*:1 600 [PROTO=inet PORT=1 X=y], unix:/b 600 [PROTO=unix SOCKET_PATH=/b]"},
		{"socket PROTO=unix SOCKET_PATH=${NONE:-/d}", "unix:/d 600 [PROTO=unix SOCKET_PATH=/d]"},
		{"socket PROTO=udp PORT=1", "! PROTO=udp is not known (expected unix, inet or inet6)"},
		{"socket PROTO= PORT=1", "! PROTO= is not known (expected unix, inet or inet6)"},
		{"socket PROTO=unix", "! SOCKET_PATH is missing (a socket of PROTO=unix has one)"},
		{"socket PROTO=unix SOCKET_PATH=rel", "! SOCKET_PATH=rel is neither an absolute path nor an abstract name (@…)"},
		{"socket PROTO=unix SOCKET_PATH=@", "! SOCKET_PATH=@ is neither an absolute path nor an abstract name (@…)"},
		{"socket PROTO=unix SOCKET_PATH=/" + strings.Repeat("x", 106), "unix:/" + strings.Repeat("x", 106) + " 600 [PROTO=unix SOCKET_PATH=/" + strings.Repeat("x", 106) + "]"},
		{"socket PROTO=unix SOCKET_PATH=/" + strings.Repeat("x", 107), "! SOCKET_PATH has 108 bytes: a socket's path has 107 at the most"},
		{"socket PROTO=unix SOCKET_PATH=/x PORT=1", "! PORT is not for a socket of PROTO=unix"},
		{"socket PROTO=unix SOCKET_PATH=/x*", "! '/x*' is a pattern (expected one value)"},
		{"socket PROTO=unix SOCKET_PATH=/x MODE=999", "! MODE=999 is no mode (expected one as 0660)"},
		{"socket PROTO=unix SOCKET_PATH=/x MODE=4755", "! MODE=4755 is no mode (expected one as 0660)"},
		{"socket PROTO=unix SOCKET_PATH=/x FDNAME=a:b", "! FDNAME=a:b is no name of a descriptor (expected up to 255 characters without blanks and colons)"},
		{"socket PROTO=unix SOCKET_PATH=$NONE/x", "! '$NONE/x' cannot be expanded: unknown parameter: NONE"},
		{"socket PROTO=unix SOCKET_PATH=/a$NUL", "! '/a\\x00' has a NUL byte, which ends a name for the kernel"},
		{"socket PROTO=unix SOCKET_PATH=$LINES", `! SOCKET_PATH=a\nb is neither an absolute path nor an abstract name (@…)`},
		{"socket unix PROTO=unix SOCKET_PATH=/x", "! 'unix' says nothing about a socket that is to be made (expected KEY=VALUE)"},
		{"socket PROTO=unix SOCKET_PATH!=/x", "! '/x' says nothing about a socket that is to be made (expected KEY=VALUE)"},
		{"socket PROTO=inet", "! PORT is missing (a socket of PROTO=inet has one)"},
		{"socket PROTO=inet PORT=0", "! PORT=0 is no port (expected 1 to 65535)"},
		{"socket PROTO=inet PORT=65536", "! PORT=65536 is no port (expected 1 to 65535)"},
		{"socket PROTO=inet PORT=http", "! PORT=http is no port (expected 1 to 65535)"},
		{"socket PROTO=inet PORT=1 MODE=0600", "! MODE is not for a socket of PROTO=inet"},
		{"socket PROTO=inet PORT=1 ADDR=::1", "! ADDR=::1 is no address of PROTO=inet (expected one as 127.0.0.1, or ::1 for inet6)"},
		{"socket PROTO=inet6 PORT=1 ADDR=127.0.0.1", "! ADDR=127.0.0.1 is no address of PROTO=inet6 (expected one as 127.0.0.1, or ::1 for inet6)"},
		{"socket PROTO=inet6 PORT=1 ADDR=fe80::1%lo", "! ADDR=fe80::1%lo is no address of PROTO=inet6 (expected one as 127.0.0.1, or ::1 for inet6)"},
		{"socket PROTO=inet PORT=1 ADDR=localhost", "! ADDR=localhost is no address of PROTO=inet (expected one as 127.0.0.1, or ::1 for inet6)"},
	} {
		class, problems := Parse("svc", "svc.conf", []byte("start on "+c.condition+"\nexec true\n"))
		fault, refused := strings.CutPrefix(c.want, "! ")
		if refused && !strings.Contains(c.condition, "$") {
			// Such a job file is refused, and the place is named.
			want := "svc.conf:1:10: no such socket can be made: " + fault
			if class != nil || len(problems) != 1 || problems[0].Error() != want {
				t.Errorf("Parse of %q = %v; want %q", c.condition, problems, want)
			}
			continue
		}
		if class == nil {
			t.Errorf("Parse of %q = %v", c.condition, problems)
			continue
		}
		var got []string
		for _, s := range Sockets(class.StartOn, vars.Get) {
			if s.Fault != "" {
				got = append(got, "! "+s.Fault)
				continue
			}
			got = append(got, strings.Join(strings.Fields(fmt.Sprintf("%s %s %o %s", s.Address(), s.Name, s.Mode, s.Env)), " "))
		}
		if text := strings.Join(got, ", "); text != c.want {
			t.Errorf("Sockets of %q = %q; want %q", c.condition, text, c.want)
		}
	}
}

// The place of a socket in a longer condition, and where none is asked for.
func TestSocketPlaces(t *testing.T) {
	_, problems := Parse("svc", "svc.conf", []byte("start on (a socket PROTO=x\n    or socket PROTO=inet\n    and b)\nstop on socket PROTO=x\n"))
	got := fmt.Sprint(problems)
	if want := "svc.conf:2:8: no such socket can be made: PORT is missing"; !strings.Contains(got, want) || strings.Contains(got, "PROTO=x is not known") {
		t.Errorf("Parse = %s; want %q alone", got, want)
	}
	var text strings.Builder
	for i := range MaxSockets + 5 {
		fmt.Fprintf(&text, " or socket PROTO=inet PORT=%d", i+1)
	}
	class, problems := Parse("svc", "svc.conf", []byte("start on a"+text.String()+"\n"))
	if class == nil {
		t.Fatal(problems)
	}
	if got := len(Sockets(class.StartOn, nil)); got != MaxSockets {
		t.Errorf("%d sockets; want %d", got, MaxSockets)
	}
}
