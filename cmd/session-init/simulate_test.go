package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/api"
)

// A client asks what an event would do, nothing happens, and then it happens.
func TestSimulate(t *testing.T) {
	r := newRig(t)
	note := func(text string) string { return fmt.Sprintf("exec sh -c \"echo %s >> $T\"", text) }
	r.job("first", "start on go\npre-start "+note("first-pre-start")+"\nexec sleep 600\nstop on stopping second")
	r.job("second", "start on started first\npre-start "+note("second-pre-start")+"\nexec sleep 600\npost-stop "+note("second-post-stop"))
	r.job("after", "start on stopped second\ntask\n"+note("after-main"))
	r.start()

	client, err := api.Dial(context.Background(), r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// simulate returns the processes that would note something, in order.
	simulate := func(q api.Question) []string {
		t.Helper()
		replies, err := client.CallAll(context.Background(), []api.Request{api.Simulate([]api.Question{q}, nil, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if replies[0].Err != nil {
			t.Fatal(replies[0].Err)
		}
		answer := replies[0].Body
		var out []string
		for _, line := range answer[0].([]any) {
			fields := line.([]any)
			if words := strings.Join(fields[6].([]string), " "); fields[1] == "process" && strings.Contains(words, "echo") {
				out = append(out, fmt.Sprintf("%s-%s", fields[2], fields[4]))
			}
		}
		if answer[2] != true {
			t.Errorf("Simulate(%v) is not complete: %v", q, answer)
		}
		return out
	}

	foreseen := simulate(api.Question{Verb: "emit", Name: "go", Env: nil, Text: ""})
	if want := []string{"first-pre-start", "second-pre-start"}; !slices.Equal(foreseen, want) {
		t.Errorf("Simulate(emit go) notes %q; want %q", foreseen, want)
	}
	r.prints("after waiting (stop)\nfirst waiting (stop)\nsecond waiting (stop)\n", "sctl", "list")
	r.traced("")
	r.ok("emit", "go")
	r.traced(foreseen...)
	r.becomes("second running (start), process PID\n", "second")

	foreseen = append(foreseen, simulate(api.Question{Verb: "stop", Name: "second", Env: nil, Text: ""})...)
	if want := []string{"first-pre-start", "second-pre-start", "second-post-stop", "after-main"}; !slices.Equal(foreseen, want) {
		t.Errorf("with Simulate(stop second) these are noted: %q; want %q", foreseen, want)
	}
	r.becomes("first running (start), process PID\n", "first")
	r.ok("stop", "second")
	r.traced(foreseen...)
	r.becomes("first waiting (stop)\n", "first")
}
