package bus

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/job"
)

// Each error of Upstart's, from each method that can give it, in the words
// that clients print.
func TestErrors(t *testing.T) {
	none := []string{}
	svc, one := api.JobPath("svc"), api.InstancePath("inst", "a b")
	inst := api.JobPath("inst")
	classes := func() []*job.Class {
		return []*job.Class{
			service("svc", func(c *job.Class) {
				c.StartOn = expr(t, "go")
				c.Processes[job.PostStop] = &job.Process{Text: "true"}
			}),
			service("inst", func(c *job.Class) {
				c.Instance = "$X"
				c.Processes[job.PreStart] = &job.Process{Text: "true"}
			}),
		}
	}
	start := engine.Start{Target: engine.Target{Class: "svc"}}
	stop := engine.Stop{Target: engine.Target{Class: "svc"}}
	startInst := engine.Start{Target: engine.Target{Class: "inst"}, Env: []string{"X=a b"}}
	stopInst := engine.Stop{Target: engine.Target{Class: "inst"}, Env: []string{"X=a b"}}
	up := engine.Spawned{Proc: 1, Pid: 11}
	failedMain := engine.SpawnFailed{Proc: 1, Reason: "no such file"}
	type (
		inputs = []engine.Input
		args   = []any
	)
	for _, test := range []struct {
		name               string
		before             inputs // before the call
		path, face, member string
		args               args
		after              inputs // while it waits
		want               string // of the error's name and message, without prefix
	}{
		{"no job", nil, api.ManagerPath, api.ManagerInterface, "GetJobByName", args{"x/y"}, nil, "UnknownJob Unknown job: x/y"},
		{"env of no job", nil, api.ManagerPath, api.ManagerInterface, "GetEnv", args{[]string{"x"}, "A"}, nil, "UnknownJob Unknown job: x"},
		{"set env of no job", nil, api.ManagerPath, api.ManagerInterface, "SetEnv", args{[]string{"x"}, "A=b", true}, nil, "UnknownJob Unknown job: x"},
		{"set list", nil, api.ManagerPath, api.ManagerInterface, "SetEnvList", args{[]string{"x"}, []string{"A=b"}, true}, nil, "UnknownJob Unknown job: x"},
		{"unset", nil, api.ManagerPath, api.ManagerInterface, "UnsetEnv", args{[]string{"x"}, "A"}, nil, "UnknownJob Unknown job: x"},
		{"unset list", nil, api.ManagerPath, api.ManagerInterface, "UnsetEnvList", args{[]string{"x"}, []string{"A"}}, nil, "UnknownJob Unknown job: x"},
		{"list env", nil, api.ManagerPath, api.ManagerInterface, "ListEnv", args{[]string{"x"}}, nil, "UnknownJob Unknown job: x"},
		{"reset env", nil, api.ManagerPath, api.ManagerInterface, "ResetEnv", args{[]string{"x"}}, nil, "UnknownJob Unknown job: x"},
		{"env of no instance", nil, api.ManagerPath, api.ManagerInterface, "ListEnv", args{[]string{"inst", "z"}}, nil, "UnknownInstance Unknown instance: inst (z)"},

		{"no instance", nil, svc, api.JobInterface, "GetInstance", args{none}, nil, "UnknownInstance Unknown instance: svc"},
		{"no such name", nil, inst, api.JobInterface, "GetInstanceByName", args{"z"}, nil, "UnknownInstance Unknown instance: inst (z)"},
		{"stop at rest", nil, svc, api.JobInterface, "Stop", args{none, true}, nil, "UnknownInstance Unknown instance: svc"},
		{"restart at rest", nil, inst, api.JobInterface, "Restart", args{[]string{"X=z"}, true}, nil, "UnknownInstance Unknown instance: inst (z)"},
		{"force-stop at rest", nil, svc, api.JobExtension, "ForceStop", args{none, true}, nil, "UnknownInstance Unknown instance: svc"},

		{"start twice", inputs{start}, svc, api.JobInterface, "Start", args{none, true}, nil, "AlreadyStarted Job is already running: svc"},
		{"start an instance twice", inputs{startInst}, one, api.InstanceInterface, "Start", args{true}, nil, "AlreadyStarted Job is already running: inst (a b)"},
		{"stop twice", inputs{start, up, stop}, svc, api.JobInterface, "Stop", args{none, true}, nil, "AlreadyStopped Job has already been stopped: svc"},
		{"stop an instance twice", inputs{startInst, stopInst}, one, api.InstanceInterface, "Stop", args{true}, nil, "AlreadyStopped Job has already been stopped: inst (a b)"},
		{"restart what stops", inputs{start, up, stop}, svc, api.JobInterface, "Restart", args{none, true}, nil, "AlreadyStopped Job has already been stopped: svc"},
		{"restart an instance that stops", inputs{startInst, stopInst}, one, api.InstanceInterface, "Restart", args{true}, nil, "AlreadyStopped Job has already been stopped: inst (a b)"},
		{"reload without main", inputs{startInst}, one, api.InstanceInterface, "Reload", nil, nil, "NotRunning Job is not running: inst (a b)"},
		{"signal without main", inputs{startInst}, one, api.InstanceExtension, "Signal", args{"USR1"}, nil, "NotRunning Job is not running: inst (a b)"},

		{"start fails", nil, svc, api.JobInterface, "Start", args{none, true}, inputs{failedMain, engine.Spawned{Proc: 2, Pid: 12}, engine.Exited{Proc: 2}}, "JobFailed Job failed to start"},
		{"stop fails", inputs{start, up}, svc, api.JobInterface, "Stop", args{none, true},
			inputs{engine.Exited{Proc: 1, Signal: 15}, engine.Spawned{Proc: 2, Pid: 12}, engine.Exited{Proc: 2, Status: 1}}, "JobFailed Job failed while stopping"},
		{"restart fails", inputs{start, up}, svc, api.JobInterface, "Restart", args{none, true},
			inputs{engine.Exited{Proc: 1, Signal: 15}, engine.Spawned{Proc: 2, Pid: 12}, engine.Exited{Proc: 2}, engine.SpawnFailed{Proc: 3},
				engine.Spawned{Proc: 4, Pid: 14}, engine.Exited{Proc: 4}}, "JobFailed Job failed to restart"},
		{"event fails", nil, api.ManagerPath, api.ManagerInterface, "EmitEvent", args{"go", none, true},
			inputs{failedMain, engine.Spawned{Proc: 2, Pid: 12}, engine.Exited{Proc: 2}}, "EventFailed Event failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, s := serve(t, classes()...)
			l.do(func() {
				l.manual = true
				for _, in := range test.before {
					l.apply(in)
				}
			})
			p := connect(t, s)
			serial := p.send(test.path, test.face, test.member, test.args...)
			if test.after != nil {
				// The answer says that the engine has taken the call.
				p.mustCall(api.ManagerPath, api.PeerInterface, "Ping")
			}
			l.do(func() {
				for _, in := range test.after {
					l.apply(in)
				}
			})
			for {
				msg := p.receive()
				if replyTo(msg) != serial {
					continue
				}
				if got, want := story(msg), "error "+api.ErrPrefix+test.want; got != want {
					t.Errorf("%s = %q; want %q", test.member, got, want)
				}
				return
			}
		})
	}
}

// sample makes an argument of a signature.
func sample(t *testing.T, sig string) any {
	t.Helper()
	for _, v := range []any{"x", true, uint32(1), uint64(1), []string{}, dbus.MakeVariant("x"), dbus.UnixFDIndex(0)} {
		if dbus.SignatureOf(v).String() == sig {
			return v
		}
	}
	if sig == "a(ssass)" {
		return []struct {
			A, B string
			C    []string
			D    string
		}{}
	}
	t.Fatalf("no sample of %s", sig)
	return nil
}

// Every method of the table refuses arguments of other types and a string with
// a NUL byte, and is unknown where there is no such object; every property
// that can only be read says so.
func TestEveryMethodRefuses(t *testing.T) {
	_, s := serve(t, service("svc"))
	p := connect(t, s)
	p.mustCall(api.JobPath("svc"), "", "Start", []string{}, true)
	paths := map[objectKind][2]string{
		managerObject:  {api.ManagerPath, "/com/ubuntu/Upstart/x"},
		jobObject:      {api.JobPath("svc"), api.JobPath("x")},
		instanceObject: {api.InstancePath("svc", ""), api.InstancePath("svc", "x")},
		jobsObject:     {api.JobsPath, api.JobsPath + "x"},
		nodeObject:     {"/com", "/org"},
		busObject:      {busPath, busPath + "/x"},
		systemdObject:  {systemdPath, systemdPath + "/unit/x"},
	}
	// The engine has its own word for what is not there. An argument that is
	// no verb and no signal may be found out first.
	unknown := []string{api.ErrUnknownMethod, api.ErrUnknownJob, api.ErrUnknownInstance, api.ErrInvalidArgs}
	for kind, faces := range s.objects {
		there, missing := paths[kind][0], paths[kind][1]
		for _, face := range faces {
			for _, m := range face.methods {
				wrong := []any{int16(1)}
				got := story(p.call(there, face.name, m.name, wrong...))
				if !strings.HasPrefix(got, "error "+api.ErrInvalidArgs+" cannot call "+m.name+": its arguments are (") {
					t.Errorf("%s.%s(n) = %q; want %s", face.name, m.name, got, api.ErrInvalidArgs)
				}
				var args []any
				descriptors := false
				for _, a := range m.in {
					args = append(args, sample(t, a.sig))
					descriptors = descriptors || a.sig == "h"
				}
				if descriptors {
					continue // without one the message is none
				}
				got = story(p.call(missing, face.name, m.name, args...))
				if name := strings.Fields(got + " nothing")[1]; face.name != api.PeerInterface && !slices.Contains(unknown, name) {
					t.Errorf("%s %s = %q; want one of %q", missing, m.name, got, unknown)
				}
			}
			for _, prop := range face.properties {
				got := story(p.call(there, api.PropertiesInterface, "Set", face.name, prop.name, dbus.MakeVariant(byte(1))))
				want := "error " + api.ErrPropertyReadOnly + " Property is read-only: " + prop.name
				if prop.set != nil {
					want = "error " + api.ErrInvalidArgs + " cannot set " + prop.name + ": its type is " + prop.sig + ", not y"
				}
				if got != want {
					t.Errorf("Set(%s) = %q; want %q", prop.name, got, want)
				}
				if got := p.call(there, api.PropertiesInterface, "Get", face.name, prop.name); got.Type != dbus.TypeMethodReply {
					t.Errorf("Get(%s) = %q; want a value", prop.name, story(got))
				} else if sig := got.Body[0].(dbus.Variant).Signature().String(); sig != prop.sig {
					t.Errorf("Get(%s) has the signature %s; want %s", prop.name, sig, prop.sig)
				}
			}
		}
	}
}
