package bus

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

func TestGetTimings(t *testing.T) {
	l, s := serve(t, service("svc"), service("task", func(c *job.Class) { c.Task = true }))
	p := connect(t, s)
	l.do(func() { l.engine.Step(2*time.Second, engine.Tick{}) })
	if answer := p.call(api.JobPath("svc"), api.JobInterface, "Start", []string{}, true); answer.Type != dbus.TypeMethodReply {
		t.Fatal(story(answer))
	}
	if answer := p.call(api.JobPath("task"), api.JobInterface, "Start", []string{}, false); answer.Type != dbus.TypeMethodReply {
		t.Fatal(story(answer))
	}
	l.do(func() { l.engine.Step(3*time.Second, engine.Tick{}) })
	answer := p.call(api.ManagerPath, api.ManagerExtension, "GetTimings")
	if answer.Type != dbus.TypeMethodReply || len(answer.Body) != 4 {
		t.Fatalf("GetTimings = %s", story(answer))
	}
	timings := answer.Body[3].([]map[string]dbus.Variant)
	if len(timings) != 2 {
		t.Fatalf("GetTimings has %d timings; want 2: %v", len(timings), timings)
	}
	for key, want := range map[string]any{"job": "svc", "reason": "caller", "starting": uint64(2e6), "running": uint64(2e6)} {
		if got := timings[0][key].Value(); got != want {
			t.Errorf("GetTimings: %s of svc is %v; want %v", key, got, want)
		}
	}
	for _, key := range []string{"ended", "failed", "task", "event", "instance"} {
		if got, has := timings[0][key]; has {
			t.Errorf("GetTimings: svc has %s %v; want none", key, got)
		}
	}
	if got := timings[1]["task"].Value(); got != true {
		t.Errorf("GetTimings: task of task is %v; want true", got)
	}
	if wall := answer.Body[1].(uint64); wall == 0 {
		t.Errorf("GetTimings = %v; want the time", answer.Body)
	}
}
