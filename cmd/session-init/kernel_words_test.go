package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/testkit"
)

func TestReadKernelWords(t *testing.T) {
	for _, test := range []struct {
		args  string
		words kernelWords
		flags string
	}{
		{"", kernelWords{}, ""},
		{"quiet splash foo=bar", kernelWords{}, ""},
		{"single", kernelWords{runlevel: "S"}, ""},
		{"-s quiet", kernelWords{runlevel: "S"}, ""},
		{"1", kernelWords{runlevel: "1"}, ""},
		{"3", kernelWords{runlevel: "3"}, ""},
		{"6 0 9", kernelWords{}, ""},
		{"emergency 4", kernelWords{runlevel: "4", rescue: true}, ""},
		{"-b", kernelWords{rescue: true}, ""},
		{"quiet --verbose single", kernelWords{runlevel: "S"}, "--verbose"},
		// The value of a flag is no runlevel.
		{"--stop-timeout 5 3", kernelWords{runlevel: "3"}, "--stop-timeout 5"},
		{"--stop-timeout=5 3", kernelWords{runlevel: "3"}, "--stop-timeout=5"},
		{"--logdir s --verbose s", kernelWords{runlevel: "S"}, "--logdir s --verbose"},
		{"--verbose quiet --logdir logdir 2", kernelWords{runlevel: "2"}, "--verbose --logdir logdir"},
		{"single -- emergency", kernelWords{runlevel: "S"}, "-- emergency"},
	} {
		words, flags := readKernelWords(strings.Fields(test.args))
		if words != test.words || strings.Join(flags, " ") != test.flags {
			t.Errorf("readKernelWords(%s) = %+v, %q; want %+v, %q", test.args, words, flags, test.words, test.flags)
		}
	}
}

// The first process of a machine goes on whatever the kernel's command line says.
func TestBootFlags(t *testing.T) {
	testkit.NeedRoot(t)
	for _, test := range []struct{ args, left, said string }{
		{"quiet --verbose --stop-timeout 3 4", "quiet --verbose --stop-timeout 3 4", ""},
		{"--bogus 3", "3", "session-init: unknown argument '--bogus': see --help: going on without options\n"},
		{"--stop-timeout", "", "session-init: --stop-timeout"},
		{"--autostart single", "S", "session-init: --system: --autostart is for the daemon of a user: going on without options\n"},
		{"--version 2", "2", "session-init: --help, --version and --no-keeper are not for the first process: going on without options\n"},
		{"--no-keeper", "", "session-init: --help, --version and --no-keeper are not for the first process: going on without options\n"},
		{"-- true", "", "session-init: --system: '-- COMMAND' is for a login of a user: going on without options\n"},
	} {
		args := strings.Fields(test.args)
		words, _ := readKernelWords(args)
		var said bytes.Buffer
		p, left := bootFlags(args, words, nil, &said)
		if p == nil || p.options.System == nil || p.options.System.Runlevel != words.runlevel || p.noKeeper || p.command != nil {
			t.Fatalf("bootFlags(%s) = %+v; want those of a machine", test.args, p)
		}
		if strings.Join(left, " ") != test.left || !strings.HasPrefix(said.String(), test.said) || said.Len() > 0 != (test.said != "") {
			t.Errorf("bootFlags(%s) leaves %q and says %q; want %q, %q", test.args, left, said.String(), test.left, test.said)
		}
		if want := defaultStopTimeout; slices.Contains(left, "--stop-timeout") {
			if p.options.StopTimeout != 3*time.Second {
				t.Errorf("bootFlags(%s): stop timeout %v; want 3s", test.args, p.options.StopTimeout)
			}
		} else if p.options.StopTimeout != want {
			t.Errorf("bootFlags(%s): stop timeout %v; want %v", test.args, p.options.StopTimeout, want)
		}
	}
}
