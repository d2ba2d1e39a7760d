package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/engine"
	"github.com/session-init/session-init/session/utmp"
)

// schema is a JSON Schema, as far as those in share/schema go.
type schema map[string]any

func readSchema(t *testing.T, name string) schema {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../share/schema", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// check gives what of a value breaks the schema. An unknown keyword is a
// breach, since nobody would check it.
func (s schema) check(root schema, at string, value any) (breaches []string) {
	breach := func(format string, args ...any) {
		breaches = append(breaches, at+": "+fmt.Sprintf(format, args...))
	}
	object, _ := value.(map[string]any)
	for _, keyword := range slices.Sorted(maps.Keys(s)) {
		want := s[keyword]
		switch keyword {
		case "$schema", "$defs", "title", "description":
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			target, ok := root["$defs"].(map[string]any)[name].(map[string]any)
			if !ok {
				breach("there is no definition %s", name)
				continue
			}
			breaches = append(breaches, schema(target).check(root, at, value)...)
		case "const":
			if value != want {
				breach("is %v, not %v", value, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), value) {
				breach("%v is none of %v", value, want)
			}
		case "type":
			number, isNumber := value.(float64)
			ok := map[string]bool{"object": object != nil, "number": isNumber, "integer": isNumber && number == float64(int64(number))}[want.(string)]
			switch value.(type) {
			case string:
				ok = want == "string"
			case bool:
				ok = want == "boolean"
			case []any:
				ok = want == "array"
			}
			if !ok {
				breach("%v is no %v", value, want)
			}
		case "required":
			for _, key := range want.([]any) {
				if _, has := object[key.(string)]; !has {
					breach("%v is missing", key)
				}
			}
		case "properties":
			for _, key := range slices.Sorted(maps.Keys(want.(map[string]any))) {
				if inner, has := object[key]; has {
					breaches = append(breaches, schema(want.(map[string]any)[key].(map[string]any)).check(root, at+"."+key, inner)...)
				}
			}
		case "additionalProperties":
			for _, key := range slices.Sorted(maps.Keys(object)) {
				if _, known := s["properties"].(map[string]any)[key]; !known {
					breach("%s is not in the schema", key)
				}
			}
		case "items":
			list, _ := value.([]any)
			for i, inner := range list {
				breaches = append(breaches, schema(want.(map[string]any)).check(root, fmt.Sprintf("%s[%d]", at, i), inner)...)
			}
		default:
			breach("the schema says %s, which is not checked", keyword)
		}
	}
	return breaches
}

// fits reports what of a text of JSON breaks a schema.
func fits(t *testing.T, what, name, text string) {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Errorf("%s = %s, which is no JSON: %v", what, text, err)
		return
	}
	s := readSchema(t, name)
	for _, breach := range s.check(s, name, value) {
		t.Errorf("%s: %s\n%s", what, breach, text)
	}
}

func TestSchemaCanFail(t *testing.T) {
	s := readSchema(t, "jobs")
	for _, test := range []struct{ text, want string }{
		{`{"version":1,"jobs":[]}`, ""},
		{`{"version":2,"jobs":[]}`, "j.version: is 2, not 1"},
		{`{"version":1}`, "j: jobs is missing"},
		{`{"version":1,"jobs":{}}`, "j.jobs: map[] is no array"},
		{`{"version":1,"jobs":[],"more":1}`, "j: more is not in the schema"},
		{`{"version":1,"jobs":[{"name":1,"instances":[]}]}`, "j.jobs[0].name: 1 is no string"},
		{`{"version":1,"jobs":[{"name":"x","instances":[{"name":"","goal":"go","state":"running","processes":[]}]}]}`,
			"j.jobs[0].instances[0].goal: go is none of [start stop]"},
		{`{"version":1,"jobs":[{"name":"x","instances":[{"name":"","goal":"stop","state":"running","processes":[{"pid":1.5}]}]}]}`,
			"j.jobs[0].instances[0].processes[0].pid: 1.5 is no integer"},
	} {
		var value any
		if err := json.Unmarshal([]byte(test.text), &value); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.check(s, "j", value), "; "); got != test.want {
			t.Errorf("check(%s) = %q; want %q", test.text, got, test.want)
		}
	}
	if got := (schema{"minimum": 1.0}).check(nil, "x", 0.0); len(got) != 1 {
		t.Errorf("check with an unknown keyword = %q; want a breach", got)
	}
}

// Every verb that has --json keeps to its schema, and every schema is used.
func TestJSON(t *testing.T) {
	used := map[string]bool{"monitor": true, "log": true, "why": true, "file": true, "files": true} // whose lines have tests of their own
	w := newWorld(t, "svc", "description 'a \"service\"'\nrespawn\nexec x", "getty", "instance $TTY\nexec x",
		"bad", "start on (a and b X=1) or c\nstop on d\nemits e\nexec missing", "mess", "task\nexec litter")
	w.play(t, []step{{"sctl -q start svc", 0, "", ""}, {"sctl -q start getty TTY=tty1", 0, "", ""}, {"sctl -q start mess", 0, "", ""},
		{"sctl start bad", 1, "", "start: cannot start 'bad': *"}})
	w.Step(engine.SessionOpen{Leader: 77, Env: events.Env{"XDG_SEAT=seat0"}})
	for _, test := range []struct{ line, schema, has string }{
		{"sctl list --json", "jobs", `"description": "a \"service\""`},
		{"sctl list --json", "jobs", `"last_failure": "`},
		{"sctl list --json", "jobs", `"left_behind": [`},
		{"sctl list -l --json", "jobs", `"process_count": 2`},
		{"sctl status svc --json", "jobs", `"pid": 1001`},
		{"sctl status getty TTY=tty1 --json", "jobs", `"name": "tty1"`},
		{"sctl restart getty TTY=tty1 --json", "jobs", `"state": "running"`},
		{"sctl stop getty TTY=tty1 --json", "jobs", `"instances": []`},
		{"sctl start getty TTY=tty2 --json", "jobs", `"name": "tty2"`},
		{"sctl tree --json", "tree", `"command": "/bin/svc -x"`},
		{"sctl tree --json mess", "tree", `"left_behind": true`},
		{"sctl version --json", "version", `"session_init": "session-init TEST"`},
		{"sctl list-env --json", "environment", `"value": "/bin"`},
		{"sctl get-env --json PATH", "environment", `"name": "PATH"`},
		{"sctl env --json", "environment", `"value": "/bin"`},
		{"sctl env --json PATH", "environment", `"value": "/bin"`},
		{"sctl env --json --origin PATH", "layers", `"layer": "daemon"`},
		{"sctl session list --json", "logins", `"leader": 77`},
		{"sctl session show --json 1", "logins", `"XDG_SEAT=seat0"`},
		{"sctl session begin --json", "logins", `"id": 2`},
		{"sctl usage --json svc", "usage", `"usage": ""`},
		{"sctl log-priority --json", "priority", `"log_priority": "message"`},
		{"sctl cat --json svc", "definition", `"text": "respawn"`},
		{"sctl wait --json svc running", "jobs", `"pid": 1001`},
		{"sctl list-sessions --json", "sessions", `"sessions": [`},
		{"sctl show-config --json", "config", `"start_on": "((a and b X=1) or c)"`},
		{"sctl autostart --json", "autostart", `"entries": []`},
		{"sctl simulate --json start svc stop svc", "simulate", `"process": "main"`},
		{"sctl plot --json", "plot", `"jobs": [`},
		{"sctl graph --json", "graph", `"kind": "and"`},
		{"sctl graph --json svc", "graph", `"state": "running"`},
		{"sctl check-config --json", "check", `"problems": []`},
	} {
		used[test.schema] = true
		got := w.sctl([]string{"XDG_RUNTIME_DIR=/nonexistent", "HOME=/nonexistent", "XDG_CONFIG_DIRS=/nonexistent", "XDG_DATA_DIRS=/nonexistent"}, strings.Fields(test.line)...)
		if got.status != 0 || got.err != "" || !strings.Contains(got.out, test.has) {
			t.Errorf("%s = %+v; want %s in it", test.line, got, test.has)
			continue
		}
		fits(t, test.line, test.schema, got.out)
	}
	levels := filepath.Join(t.TempDir(), "utmp")
	write(t, levels, "")
	for _, test := range []struct {
		level  byte
		status int
		has    string
	}{{0, 1, `"version": 1`}, {'2', 0, `"previous": "N"`}, {'5', 0, `"current": "5"`}} {
		if test.level != 0 {
			previous, current, err := utmp.Runlevel(levels)
			if err == nil {
				err = utmp.SetRunlevel(levels, filepath.Join(t.TempDir(), "wtmp"), current, test.level, time.Now())
			}
			if err != nil {
				t.Fatalf("cannot note the level %c after %c: %v", test.level, previous, err)
			}
		}
		for _, line := range []string{"sctl runlevel --json " + levels, "runlevel --json " + levels, "sctl --json runlevel " + levels} {
			got := runWith(nil, strings.Fields(line)...)
			if got.status != test.status || got.err != "" || !strings.Contains(got.out, test.has) {
				t.Errorf("%s = %+v; want %d, %s in it", line, got, test.status, test.has)
				continue
			}
			used["runlevel"] = true
			fits(t, line, "runlevel", got.out)
		}
	}
	if got := w.sctl(nil, "sctl", "status", "nope", "--json"); got.status != 1 || got.out != "" {
		t.Errorf("status nope --json = %+v; want a refusal", got)
	}
	files, err := filepath.Glob("../../share/schema/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no schemas: %v", err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".json"); !used[name] {
			t.Errorf("nothing is held to %s", file)
		}
	}
}
