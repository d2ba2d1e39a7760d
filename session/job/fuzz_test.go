package job

import (
	"bytes"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
)

// addVectors makes the texts of the vectors the seeds of a fuzzer.
func addVectors(f *testing.F, add func(v *vector)) {
	f.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		_, vectors := readVectors(f, path)
		for _, v := range vectors {
			add(v)
		}
	}
}

// bounded parses a text and fails when that took more than 100 bytes of memory
// for each byte of it, beside what a class and a hundred messages cost once.
// Others may be allocating meanwhile: what is too much must be so each time.
func bounded(t *testing.T, text []byte) (*Class, []Problem) {
	t.Helper()
	const once = 64 << 10
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		class, found := Parse("job", "job.conf", text)
		runtime.ReadMemStats(&after)
		if after.TotalAlloc-before.TotalAlloc <= uint64(100*len(text)+once) {
			return class, found
		}
	}
	t.Fatalf("Parse of %d bytes takes more than 100 times as much memory", len(text))
	return nil, nil
}

// FuzzParse: whatever the text, there is a class or an error and never both;
// problems stand in the text and in its order; a class is printed so that it
// is read as itself; an override leaves what it is laid on alone.
func FuzzParse(f *testing.F) {
	addVectors(f, func(v *vector) { f.Add([]byte(v.text), []byte(v.override)) })
	f.Fuzz(func(t *testing.T, text, override []byte) {
		class, found := bounded(t, text)
		checkProblems(t, text, class, found)
		if class == nil {
			return
		}
		roundTrip(t, class)
		for _, p := range class.Processes {
			if p != nil && len(p.Command().Argv) == 0 {
				t.Fatalf("Command(%q) has no words", p.Text)
			}
		}
		before := Print(class)
		result, found := Apply(class, "job.override", override)
		checkProblems(t, override, result, found)
		if after := Print(class); !bytes.Equal(before, after) {
			t.Fatalf("Apply changed %q to %q", before, after)
		}
		if result != nil {
			roundTrip(t, result)
		}
	})
}

func checkProblems(t *testing.T, text []byte, class *Class, found []Problem) {
	t.Helper()
	errors := 0
	lines := bytes.Split(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\n"))
	for i, p := range found {
		if !p.Warning {
			errors++
		}
		if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > len(lines[p.Line-1])+1 {
			t.Fatalf("%v is not in the text %q", p, text)
		}
		if i > 0 && (p.Line < found[i-1].Line || p.Line == found[i-1].Line && p.Col < found[i-1].Col) {
			t.Fatalf("%v comes behind %v", p, found[i-1])
		}
		if len(p.Msg) > 1000 {
			t.Fatalf("a message of %d bytes", len(p.Msg))
		}
	}
	if (class == nil) != (errors > 0) {
		t.Fatalf("class %v with %d errors: %v", class, errors, found)
	}
}

// FuzzExpr does the same for what follows "start on", with more of it.
func FuzzExpr(f *testing.F) {
	for _, seed := range []string{"a", "a or b and c", "(a X=1\n#\n and b) or c", `a "and" '(' \(`, "a X!=b Y=${Z:-x}"} {
		f.Add(seed)
	}
	addVectors(f, func(v *vector) {
		if class, _ := Parse("job", "", []byte(v.text)); class != nil && class.StartOn != nil {
			f.Add(printExpr(class.StartOn))
		}
	})
	f.Fuzz(func(t *testing.T, text string) {
		whole := []byte("start on " + text)
		class, found := bounded(t, whole)
		checkProblems(t, whole, class, found)
		if class == nil {
			return
		}
		roundTrip(t, class)
		if class.StartOn != nil && len(class.StartOn.Postfix()) != len(class.StartOn.Nodes) {
			t.Fatalf("Postfix of %q loses nodes", text)
		}
	})
}

// FuzzScan: a piece of text ends inside of it, at a stop or at its end; what
// it stands for is no longer than it, holds no line end, and is the same for a
// plain one whether it is dequoted or not; as a printer quotes a value, it is
// read as itself.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{"", "a b", "a\\\nb", "\"a\n b\"'c'", "\\ \\\\\\#", "a#b", "'", "a\\"} {
		f.Add(seed)
	}
	addVectors(f, func(v *vector) { f.Add(v.text) })
	f.Fuzz(func(t *testing.T, text string) {
		s := newScanner(text)
		for _, stops := range []string{wordStops, lineStops, exprStops} {
			for pos := 0; pos < len(s.text) && pos < 64; pos++ {
				sp, trouble := s.reach(pos, stops)
				if trouble != nil {
					if trouble.pos < pos || trouble.pos >= len(s.text) {
						t.Fatalf("reach(%q, %d) blames %d", s.text, pos, trouble.pos)
					}
					continue
				}
				if sp.start != pos || sp.end < pos || sp.end > len(s.text) ||
					sp.end < len(s.text) && strings.IndexByte(stops, s.text[sp.end]) < 0 {
					t.Fatalf("reach(%q, %d) = %v", s.text, pos, sp)
				}
				raw, value := s.value(sp, false), s.value(sp, true)
				if len(raw) > sp.end-sp.start || len(value) > len(raw) || strings.Contains(raw+value, "\n") || sp.plain && raw != value {
					t.Fatalf("value(%q) = %q, dequoted %q", s.text[sp.start:sp.end], raw, value)
				}
				if value == "" || strings.IndexByte(value, 0) >= 0 {
					continue
				}
				const stanza = "env "
				again := newScanner(stanza + quote(value, ""))
				back, trouble := again.reach(len(stanza), wordStops)
				if trouble != nil || back.end != len(again.text) || again.value(back, true) != value {
					t.Fatalf("%q is quoted as %q, which is read as something else", value, again.text)
				}
			}
		}
	})
}

// FuzzSockets: whatever an operand "socket" says, each socket of it either is
// one that can be asked of the kernel, or says in words why there is none, and
// the parser refuses just those that no variable can mend. An address tells
// one from all others, and naming it again gives the same.
func FuzzSockets(f *testing.F) {
	for _, seed := range []string{
		"PROTO=unix SOCKET_PATH=$X/a MODE=0666 FDNAME=n", "PROTO=inet PORT=80 ADDR=127.0.0.1", "PROTO=inet6 PORT=1 ADDR=::1",
		"PROTO=unix SOCKET_PATH=@a or socket PROTO=unix SOCKET_PATH=@a", "PROTO!=unix", "PROTO=unix PROTO=inet PORT=1",
		"unix PROTO=unix SOCKET_PATH=/x", "PROTO=inet PORT=$X ADDR=${X:-::}", "PROTO=inet6 PORT=9 ADDR=::ffff:1.2.3.4", "PROTO=unix SOCKET_PATH=/a*",
	} {
		f.Add(seed, "/run")
		f.Add(seed, "80")
	}
	f.Fuzz(func(t *testing.T, operands, value string) {
		text := []byte("start on socket " + operands)
		class, found := bounded(t, text)
		checkProblems(t, text, class, found)
		if class == nil || class.StartOn == nil {
			return
		}
		roundTrip(t, class)
		lookup := events.Env{"X=" + value}.Get
		list := Sockets(class.StartOn, lookup)
		if len(list) > MaxSockets {
			t.Fatalf("%d sockets", len(list))
		}
		seen := make(map[string]bool)
		for _, s := range list {
			if seen[s.Address()] {
				t.Fatalf("%s twice", s.Address())
			}
			seen[s.Address()] = true
			checkSocket(t, s)
			if s.Fault != "" && !strings.Contains(operands, "$") {
				t.Fatalf("%q is accepted, and cannot be: %s", operands, s.Fault)
			}
		}
	})
}

// checkSocket holds a socket to what socket(2), unix(7) and ip(7) take.
func checkSocket(t *testing.T, s Socket) {
	t.Helper()
	if s.Fault != "" {
		if len(s.Env) == 0 && !strings.Contains(s.Fault, "cannot be expanded") || strings.ContainsAny(s.Fault, "\n\x00") || len(s.Fault) > 1000 {
			t.Fatalf("the fault %q of %q", s.Fault, s.Env)
		}
		return
	}
	if s.Name != "" && !ValidFDName(s.Name) || s.Mode&^0o777 != 0 {
		t.Fatalf("socket %+v", s)
	}
	if s.Proto == ProtoUnix {
		if len(s.Path) < 2 || len(s.Path) > MaxSocketPath || s.Path[0] != '/' && s.Path[0] != '@' || strings.ContainsAny(s.Path, "*?[\\\x00") || s.Port != 0 || s.Addr.IsValid() {
			t.Fatalf("socket %+v", s)
		}
		return
	}
	if s.Proto != ProtoInet && s.Proto != ProtoInet6 || s.Port == 0 || s.Path != "" || s.Addr.IsValid() && s.Addr.Is4() != (s.Proto == ProtoInet) {
		t.Fatalf("socket %+v", s)
	}
	if again, err := netip.ParseAddr(s.Addr.String()); s.Addr.IsValid() && (err != nil || again != s.Addr) {
		t.Fatalf("address %s is read as %s, %v", s.Addr, again, err)
	}
}
