package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestUsage(t *testing.T) {
	general := "usage: sctl [OPTION...] VERB [ARGUMENT...]; 'sctl help' lists the verbs\n"
	for _, test := range []struct{ line, want string }{
		{"sctl", "sctl: missing verb\n" + general},
		{"sctl nope", "sctl: invalid verb: nope\n" + general},
		{"sctl help nope", "sctl: neither a verb nor a stanza: nope\n" + general},
		{"sctl --nope", "sctl: invalid option: --nope\n" + general},
		{"sctl --dest x list", "sctl: invalid option: --dest\n" + general},
		{"sctl -v list", "sctl: invalid option: -v\n" + general},
		{"sctl --quiet=yes list", "sctl: unexpected argument: --quiet=yes\n" + general},
		{"sctl --timeout", "sctl: missing argument: --timeout\n" + general},
		{"sctl --timeout= list", "sctl: --timeout takes a number of seconds above 0, not ''\n" + general},
		{"sctl --timeout=-1 list", "sctl: --timeout takes a number of seconds above 0, not '-1'\n" + general},
		{"sctl --timeout=nan list", "sctl: --timeout takes a number of seconds above 0, not 'nan'\n" + general},
		{"sctl --timeout=1e99 list", "sctl: --timeout takes a number of seconds above 0, not '1e99'\n" + general},
		{"sctl --address /run/x list", "sctl: cannot use address \"/run/x\": no \":\" after the transport\n" + general},
		{"sctl list --nope", "list: invalid option: --nope\nusage: sctl list [OPTION...]\n"},
		{"sctl list surplus", "list: unexpected argument: surplus\nusage: sctl list [OPTION...]\n"},
		{"sctl -n list", "list: --no-wait is no option of list\nusage: sctl list [OPTION...]\n"},
		{"sctl -qn list", "list: --no-wait is no option of list\nusage: sctl list [OPTION...]\n"},
		{"sctl start -e x", "start: --enumerate is no option of start\nusage: sctl start [OPTION...] JOB [KEY=VALUE...]\n"},
		{"sctl start", "start: missing job name\nusage: sctl start [OPTION...] JOB [KEY=VALUE...]\n"},
		{"start", "start: missing job name\nusage: start [OPTION...] JOB [KEY=VALUE...]\n"},
		{"emit", "emit: missing event name\nusage: emit [OPTION...] EVENT [KEY=VALUE...]\n"},
		{"sctl get-env", "get-env: missing variable name\nusage: sctl get-env [OPTION...] VARIABLE\n"},
		{"sctl unset-env", "unset-env: missing variable name\nusage: sctl unset-env [OPTION...] VARIABLE...\n"},
		{"sctl set-env", "set-env: missing variable value\nusage: sctl set-env [OPTION...] VARIABLE[=VALUE]...\n"},
		{"start a\xffb", "start: argument \"a\\xffb\" is not valid UTF-8\nusage: start [OPTION...] JOB [KEY=VALUE...]\n"},
		{"sctl reload --json x", "reload: --json is no option of reload\nusage: sctl reload [OPTION...] JOB [KEY=VALUE...]\n"},
		{"sctl --json halt", "halt: --json is no option of halt\nusage: sctl halt [OPTION...] [-f] [-p]\n"},
		{"telinit --json 2", "telinit: invalid option: --json\nusage: telinit [OPTION...] [-e KEY=VALUE] LEVEL\n"},
	} {
		// An address that must not be used: nothing here may reach a daemon.
		environ := []string{"UPSTART_SESSION=unix:path=/nonexistent/s"}
		if got, want := runWith(environ, strings.Fields(test.line)...), (result{exitUsage, "", test.want}); got != want {
			t.Errorf("%s = %+v\nwant %+v", test.line, got, want)
		}
	}
}

func TestOptionsAnywhere(t *testing.T) {
	w := newWorld(t, "-odd", "exec x", "svc", "exec x")
	here := "--address=" + w.server.Address()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"sctl", here, "status", "svc"}, "svc waiting (stop)\n"},
		{[]string{"sctl", "status", here, "svc"}, "svc waiting (stop)\n"},
		{[]string{"/usr/bin/status", "svc", here}, "svc waiting (stop)\n"},
		{[]string{"sctl", "status", here, "--", "-odd"}, "-odd waiting (stop)\n"},
		{[]string{"sctl", "--user", "--timeout", "60", here, "status", "svc"}, "svc waiting (stop)\n"},
		{[]string{"sctl", "status", here, "-q", "svc"}, ""},
	} {
		environ := []string{"UPSTART_SESSION=unix:path=/nonexistent/s"}
		if got, want := runWith(environ, test.args...), (result{0, test.want, ""}); got != want {
			t.Errorf("%q = %+v; want %+v", test.args, got, want)
		}
	}
}

func TestSetTimeout(t *testing.T) {
	for _, test := range []struct {
		text string
		want time.Duration
	}{
		{"3", 3 * time.Second}, {"0.25", 250 * time.Millisecond}, {"1e-300", 1}, {"1000000000", 1e18},
	} {
		var o options
		if err := setTimeout(&o, test.text); o.timeout != test.want || err != nil {
			t.Errorf("setTimeout(%s) = %v, %v; want %v", test.text, o.timeout, err, test.want)
		}
	}
	if maxTimeout*float64(time.Second) > math.MaxInt64 {
		t.Error("the longest timeout does not fit")
	}
}

// Every verb that exists can be found, and a table cannot name the verbs of an
// option wrongly.
func TestTables(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range verbTable() {
		if seen[v.name] || (v.run == nil) != (v.name == "help") || v.help == "" {
			t.Errorf("verb %s stands twice, or lacks something", v.name)
		}
		seen[v.name] = true
	}
	for _, o := range optionTable() {
		for _, name := range slices.Concat(o.verbs, o.except) {
			if findVerb(name) == nil {
				t.Errorf("option --%s is of the verb %s, which is not there", o.long, name)
			}
		}
	}
}
