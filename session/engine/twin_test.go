package engine

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/session-init/session-init/session/job"
)

// derived are the fields that may differ between an engine and its twin made
// from a snapshot: what is found anew when it is needed, and what is empty
// between two steps. Deadlines are compared by themselves.
var derived = map[reflect.Type]string{
	reflect.TypeFor[Engine]():   "cfg effects index found deadlines budget stepBudget",
	reflect.TypeFor[class]():    "watch byName",
	reflect.TypeFor[instance](): "watch deadline stirred mover",
	reflect.TypeFor[ending]():   "event surveyed stirred movers outlived outlivers",
	reflect.TypeFor[numbered](): "spare",
}

// Differences lists what one engine holds and its twin does not, a path each,
// whether anybody can see it yet or not.
func Differences(a, b *Engine) []string {
	d := differ{seen: make(map[[2]uintptr]bool)}
	d.compare("engine", reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem())
	if x, y := a.deadlines.live(), b.deadlines.live(); !slices.Equal(x, y) {
		d.found = append(d.found, fmt.Sprintf("deadlines: %v and %v", x, y))
	}
	if a.ending.begun && b.ending.begun && a.ending.event.ID != b.ending.event.ID {
		d.found = append(d.found, "another event ends the session")
	}
	return d.found
}

// live gives the deadlines, the earliest first.
func (d *deadlines) live() []string {
	alive := slices.Clone(d.heap)
	slices.SortFunc(alive, func(a, b *deadline) int { return cmp.Compare(a.seq, b.seq) })
	var out []string
	for _, x := range alive {
		of := "the session"
		if x.in != nil {
			of = x.in.label()
			if x.in.deadline != x {
				of += ", which does not know it"
			}
		}
		out = append(out, fmt.Sprintf("%d at %s of kind %d for %s", x.seq, x.at, x.kind, of))
	}
	return out
}

type differ struct {
	seen  map[[2]uintptr]bool
	found []string
}

func (d *differ) differ(path string, a, b any) {
	d.found = append(d.found, fmt.Sprintf("%s: %v and %v", path, a, b))
}

func (d *differ) compare(path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				d.differ(path, a, b)
			}
			return
		}
		pair := [2]uintptr{a.Pointer(), b.Pointer()}
		if a.Pointer() == b.Pointer() || d.seen[pair] {
			return
		}
		d.seen[pair] = true
		if a.Type() == reflect.TypeFor[*job.Class]() {
			// It goes through its text, and the parser's tests see to that.
			for _, field := range []string{"Name", "Path", "Override"} {
				d.compare(path+"."+field, a.Elem().FieldByName(field), b.Elem().FieldByName(field))
			}
			return
		}
		d.compare(path, a.Elem(), b.Elem())
	case reflect.Struct:
		for i := range a.NumField() {
			name := a.Type().Field(i).Name
			if slices.Contains(strings.Fields(derived[a.Type()]), name) {
				continue
			}
			d.compare(path+"."+name, a.Field(i), b.Field(i))
		}
	case reflect.Slice, reflect.Array:
		// What is missing at the end is as good as zero.
		for i := range max(a.Len(), b.Len()) {
			x, y := reflect.Zero(a.Type().Elem()), reflect.Zero(a.Type().Elem())
			if i < a.Len() {
				x = a.Index(i)
			}
			if i < b.Len() {
				y = b.Index(i)
			}
			d.compare(fmt.Sprintf("%s[%d]", path, i), x, y)
		}
	case reflect.Map:
		if a.Len() != b.Len() {
			d.differ(path, fmt.Sprint(a.Len(), " entries"), b.Len())
			return
		}
		for _, key := range a.MapKeys() {
			y := b.MapIndex(key)
			if !y.IsValid() {
				d.differ(path, key, "none")
				continue
			}
			d.compare(fmt.Sprintf("%s[%v]", path, key), a.MapIndex(key), y)
		}
	default:
		if !a.Equal(b) {
			d.differ(path, a, b)
		}
	}
}
