package events

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func found(x *Index[string], name string, env ...string) string {
	var out []string
	x.Find(name, env, func(owner string) { out = append(out, owner) })
	slices.Sort(out)
	return strings.Join(out, " ")
}

// TestIndexLooksWhereItMust: an event meets the operands filed under its own
// values and those in the general list, and no others.
func TestIndexLooksWhereItMust(t *testing.T) {
	var x Index[string]
	for owner, text := range map[string]string{
		"named":  "started JOB=a",
		"place":  "started a",
		"other":  "started b",
		"glob":   "started JOB=?",
		"not":    "started JOB!=a",
		"plain":  "started",
		"second": "started * i",
		"empty":  "started INSTANCE=",
		"two":    "started JOB=a INSTANCE=x",
		"never":  "started JOB=$UNSET",
		"else":   "stopped a",
		"both":   "started JOB=a or started JOB=b",
	} {
		x.Add(expr(t, text), owner, none)
	}
	tests := []struct {
		event string
		want  string
	}{
		{"started JOB=a INSTANCE=", "both empty glob named not place plain two"},
		{"started JOB=a INSTANCE=i", "both glob named not place plain second two"},
		{"started JOB=b INSTANCE=", "both empty glob not other plain"},
		{"started JOB=zz INSTANCE=q", "glob not plain"},
		{"started INSTANCE=a", "glob not place plain"},
		{"started", "glob not plain"},
		{"started JOB=", "glob not plain"},
		{"stopped JOB=a", "else"},
		{"nothing JOB=a", ""},
	}
	for _, test := range tests {
		words := strings.Fields(test.event)
		if got := found(&x, words[0], words[1:]...); got != test.want {
			t.Errorf("Find(%s) = %q; want %q", test.event, got, test.want)
		}
	}
}

func TestIndexRemove(t *testing.T) {
	var x Index[string]
	a := x.Add(expr(t, "ev A=1 or ev or other"), "a", none)
	b := x.Add(expr(t, "ev A=1"), "b", none)
	if got := found(&x, "ev", "A=1"); got != "a a b" {
		t.Errorf("Find = %q; want %q", got, "a a b")
	}
	x.Remove(a)
	if got := found(&x, "ev", "A=1"); got != "b" {
		t.Errorf("Find after Remove = %q; want %q", got, "b")
	}
	x.Remove(b)
	if len(x.names) != 0 {
		t.Errorf("an empty index holds %d names", len(x.names))
	}
	c := x.Add(expr(t, "ev A=1"), "c", none)
	if got := found(&x, "ev", "A=1"); got != "c" {
		t.Errorf("Find after Add = %q; want %q", got, "c")
	}
	x.Remove(c)
	x.Remove(x.Add(nil, "d", none))
}

// TestIndexOrder: who was filed first is found first, whoever left in between.
func TestIndexOrder(t *testing.T) {
	var x Index[string]
	order := func() string {
		var out []string
		x.Find("ev", Env{"A=1"}, func(owner string) { out = append(out, owner) })
		return strings.Join(out, " ")
	}
	filed := make(map[string]Filed[string])
	for _, owner := range []string{"a", "b", "c", "d"} {
		filed[owner] = x.Add(expr(t, "ev A=1"), owner, none)
	}
	for _, step := range []struct{ gone, want string }{{"", "a b c d"}, {"b", "a c d"}, {"a", "c d"}, {"d", "c"}, {"c", ""}} {
		x.Remove(filed[step.gone])
		if got := order(); got != step.want {
			t.Errorf("Find after %q was removed = %q; want %q", step.gone, got, step.want)
		}
	}
}

// TestIndexShares: operands that choose the same variable share a slot, so
// that an event looks in few places.
func TestIndexShares(t *testing.T) {
	var x Index[int]
	texts := []string{"ev A=%d", "ev %d", "ev * %d", "ev B=%d", "ev A=* B=%d", "ev A!=%d", "ev *"}
	for i := range 20 {
		for _, text := range texts {
			x.Add(expr(t, strings.ReplaceAll(text, "%d", fmt.Sprint(i))), i, none)
		}
	}
	slots := 0
	for s := x.names["ev"].slots; s != nil; s = s.next {
		slots++
	}
	// A, the first place, the second, B, and the general one.
	if slots != 5 {
		t.Errorf("%d slots for operands that choose in five ways", slots)
	}
}

// TestIndexExpands: operands are filed by the variables of the moment.
func TestIndexExpands(t *testing.T) {
	var x Index[string]
	lookup := func(value string) Lookup {
		return func(string) (string, bool) { return value, true }
	}
	down := expr(t, "down N=$N")
	for i := range 3 {
		x.Add(down, fmt.Sprint(i), lookup(fmt.Sprint(i)))
	}
	x.Add(down, "any", lookup("*"))
	if got := found(&x, "down", "N=1"); got != "1 any" {
		t.Errorf("Find = %q; want %q", got, "1 any")
	}
}

// TestIndexAsFullScan: what the index finds, asked whether it matches, is
// what a look at every condition finds; in any state of adding and removing.
func TestIndexAsFullScan(t *testing.T) {
	operands := []string{"ev", "ev 1", "ev 2", "ev A=1", "ev B=2", "ev A!=1", "ev *", "ev * 2", "ev A=* B=1", "ev ? B=2",
		"ev [1]", "ev A=$V", "ev $V B=$V", "ev A=${W:-1}", "ev A=$W", "go", "go 1", "ev =x", "ev A=", "ev \\1", "ev A=$V B!=$V"}
	envs := []Env{nil, {"A=1"}, {"A=2"}, {"B=2"}, {"A=1", "B=2"}, {"B=1", "A=2"}, {"A=1", "A=2"}, {"A="}, {"=x"}, {"A=2", "B=1"}}
	rapid.Check(t, func(t *rapid.T) {
		type entry struct {
			id     int
			expr   *Expr
			lookup Lookup
			filed  Filed[int]
		}
		var x Index[int]
		var all []*entry
		for i := range rapid.IntRange(1, 25).Draw(t, "steps") {
			if len(all) > 0 && rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
				at := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				x.Remove(all[at].filed)
				all = slices.Delete(all, at, at+1)
				continue
			}
			text := rapid.SampledFrom(operands).Draw(t, "left")
			if rapid.Bool().Draw(t, "two") {
				text += rapid.SampledFrom([]string{" and ", " or "}).Draw(t, "operator") + rapid.SampledFrom(operands).Draw(t, "right")
			}
			value := rapid.SampledFrom([]string{"1", "2", "*", ""}).Draw(t, "V")
			e := &entry{id: i, lookup: func(name string) (string, bool) { return value, name == "V" }}
			var tokens []Token
			for _, word := range strings.Fields(text) {
				tokens = append(tokens, Token{Kind: map[string]Kind{"and": And, "or": Or}[word], Text: word})
			}
			var err error
			if e.expr, err = Parse(tokens, Token{}); err != nil {
				t.Fatalf("Parse(%q) = %v", text, err)
			}
			e.filed = x.Add(e.expr, e.id, e.lookup)
			all = append(all, e)
		}
		matches := func(e *entry, name string, env Env) bool {
			return slices.ContainsFunc(e.expr.Nodes, func(n Node) bool {
				return n.Op == OpMatch && n.Match.Matches(name, env, e.lookup)
			})
		}
		for _, name := range []string{"ev", "go", "none"} {
			for _, env := range envs {
				seen := map[int]bool{}
				x.Find(name, env, func(id int) { seen[id] = true })
				for _, e := range all {
					if matches(e, name, env) && !seen[e.id] {
						t.Fatalf("%s %v matches %s, which the index does not find", name, env, e.expr)
					}
					delete(seen, e.id)
				}
				if len(seen) > 0 {
					t.Fatalf("%s %v: the index finds %v, which was removed", name, env, seen)
				}
			}
		}
	})
}

// BenchmarkIndexNobody is an event that no operand is filed for where it
// looks, beside many that are filed elsewhere.
func BenchmarkIndexNobody(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var x Index[int]
			for i := range n {
				x.Add(expr(b, fmt.Sprintf("started job%d", i)), i, none)
			}
			env := Env{"JOB=nobody", "INSTANCE="}
			b.ReportAllocs()
			for b.Loop() {
				x.Find("started", env, func(int) { b.Fatal("somebody was found") })
			}
		})
	}
}
