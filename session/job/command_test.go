package job

import (
	"slices"
	"strings"
	"testing"
)

func TestCommand(t *testing.T) {
	long := strings.Repeat("x", maxArgument-len("exec "))
	sh := func(text string) []string { return []string{"/bin/sh", "-e", "-c", text} }
	for _, test := range []struct {
		process Process
		want    Command
	}{
		{Process{Text: "/bin/a"}, Command{Argv: []string{"/bin/a"}}},
		{Process{Text: "a  -b\tc\rd"}, Command{Argv: []string{"a", "-b", "c", "d"}}},
		{Process{Text: "a --x=y"}, Command{Argv: []string{"a", "--x=y"}}},
		{Process{Text: "--x=y a"}, Command{Argv: []string{"--x=y", "a"}}},
		{Process{Text: "/a/b=c d"}, Command{Argv: []string{"/a/b=c", "d"}}},
		{Process{Text: "_A9=1 a"}, Command{Argv: sh("exec _A9=1 a")}},
		{Process{Text: "9A=1 a"}, Command{Argv: []string{"9A=1", "a"}}},
		{Process{Text: "=1 a"}, Command{Argv: []string{"=1", "a"}}},
		{Process{Text: "a $B"}, Command{Argv: sh("exec a $B")}},
		{Process{Text: "a 'b'"}, Command{Argv: sh("exec a 'b'")}},
		{Process{Text: "a && b"}, Command{Argv: sh("exec a && b")}},
		{Process{Text: `a \#`}, Command{Argv: sh(`exec a \#`)}},
		{Process{Text: "a\fb c"}, Command{Argv: []string{"a\fb", "c"}}},
		{Process{Text: ""}, Command{Argv: sh("exec ")}},
		{Process{Script: true, Text: ""}, Command{Argv: sh("")}},
		{Process{Script: true, Text: "a b\n"}, Command{Argv: sh("a b\n")}},
		{Process{Script: true, Text: "a\nb\n"}, Command{Argv: sh("a\nb\n")}},
		{Process{Text: "$" + long[1:]}, Command{Argv: sh("exec $" + long[1:])}},
		{Process{Text: "$" + long}, Command{Argv: []string{"/bin/sh", "-e"}, Script: "exec $" + long}},
		{Process{Text: long + "x"}, Command{Argv: []string{long + "x"}}},
		{Process{Script: true, Text: long + "12345"}, Command{Argv: sh(long + "12345")}},
		{Process{Script: true, Text: long + "123456"}, Command{Argv: []string{"/bin/sh", "-e"}, Script: long + "123456"}},
	} {
		got := test.process.Command()
		if !slices.Equal(got.Argv, test.want.Argv) || got.Script != test.want.Script {
			t.Errorf("Command(%.40q, script %t) = %.60q, script of %d; want %.60q, script of %d", test.process.Text,
				test.process.Script, got.Argv, len(got.Script), test.want.Argv, len(test.want.Script))
		}
	}
	for _, c := range "~`!$^&*()|\\{}[];\"'<>?" {
		p := Process{Text: "a " + string(c)}
		if got := p.Command().Argv[0]; got != "/bin/sh" {
			t.Errorf("Command(%q) begins with %q; want the shell", p.Text, got)
		}
	}
}

func TestResourceName(t *testing.T) {
	for i := range resources {
		if n, ok := parseResource(ResourceName(i)); !ok || n != i {
			t.Errorf("parseResource(ResourceName(%d)) = %d, %t; want itself", i, n, ok)
		}
	}
	for _, n := range []int{-1, len(resources)} {
		if got := ResourceName(n); got != "" {
			t.Errorf("ResourceName(%d) = %q; want none", n, got)
		}
	}
	for name, want := range map[string]int{"cpu": 0, "core": 4, "nofile": 7, "as": 9, "rttime": 15} {
		if n, _ := parseResource(name); n != want {
			t.Errorf("parseResource(%s) = %d; want %d", name, n, want)
		}
	}
}

func TestSignals(t *testing.T) {
	for n := 1; n <= 64; n++ {
		name := SignalName(n)
		got, ok := ParseSignal(name)
		if nameless := n == 32 || n == 33; nameless == ok || ok && got != n {
			t.Errorf("ParseSignal(SignalName(%d)) = %d, %t; its name is %q", n, got, ok, name)
		}
		if got, ok := ParseSignal("SIG" + name); ok && got != n {
			t.Errorf("ParseSignal(SIG%s) = %d; want %d", name, got, n)
		}
	}
	for name, want := range map[string]int{"IOT": 6, "CLD": 17, "SIGPOLL": 29, "RTMIN": 34, "SIGRTMIN+30": 64,
		"RTMAX": 64, "RTMAX-30": 34, "SIGTERM": 15} {
		if got, ok := ParseSignal(name); !ok || got != want {
			t.Errorf("ParseSignal(%s) = %d, %t; want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "SIG", "9", "term", "SIGSIGTERM", "RTMIN+31", "RTMIN+", "RTMIN-1", "RTMAX-31", "RTMIN++1", "TERM "} {
		if got, ok := ParseSignal(name); ok {
			t.Errorf("ParseSignal(%q) = %d; want none", name, got)
		}
	}
}

func TestIsName(t *testing.T) {
	for _, test := range []struct {
		name string
		want bool
	}{
		{"", false}, {"a", true}, {"z", true}, {"A", true}, {"Z", true}, {"_", true}, {"a0", true}, {"a9_", true},
		{"0", false}, {"9a", false}, {"a-", false}, {"@", false}, {"[", false}, {"`", false}, {"{", false},
		{"a/", false}, {"a:", false}, {"a b", false}, {"é", false},
	} {
		if got := isName(test.name); got != test.want {
			t.Errorf("isName(%q) = %t; want %t", test.name, got, test.want)
		}
	}
}

// A command that no file could have given is split at line ends, too.
func TestCommandLineEnds(t *testing.T) {
	p := Process{Text: "a\nb\tc\rd e"}
	if got := p.Command().Argv; len(got) != 5 {
		t.Errorf("Command(%q) = %q; want five words", p.Text, got)
	}
}

func TestSignalNameBeyond(t *testing.T) {
	for signal, want := range []string{0: "0", 31: "SYS", 32: "32", 33: "33", 34: "RTMIN", 35: "RTMIN+1", 64: "RTMIN+30", 65: "65"} {
		if want != "" && SignalName(signal) != want {
			t.Errorf("SignalName(%d) = %q; want %q", signal, SignalName(signal), want)
		}
	}
}
