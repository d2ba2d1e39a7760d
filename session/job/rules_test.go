package job

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rulesOf are how many rules each section of the language has, from the first.
var rulesOf = []int{9, 14, 4, 4, 5, 16, 7, 5, 11, 6, 8, 10, 3, 25}

// Every rule of the language has a vector, or a test elsewhere, that is there.
func TestRules(t *testing.T) {
	const path = "testdata/rules.list"
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(data), "\n\n")
	known := vectorTitles(t)
	var got, want []string
	for line := range strings.Lines(list) {
		number, holders, _ := strings.Cut(strings.TrimSpace(line), " ")
		got = append(got, number)
		for holder := range strings.SplitSeq(holders, "; ") {
			dir, test, elsewhere := strings.Cut(strings.TrimPrefix(holder, "@"), " ")
			switch {
			case !strings.HasPrefix(holder, "@"):
				if !known[holder] {
					t.Errorf("%s: rule %s: no vector is called %q", path, number, holder)
				}
			case !elsewhere || !hasTest(t, dir, test):
				t.Errorf("%s: rule %s: there is no test %s", path, number, holder)
			}
		}
	}
	for section, rules := range rulesOf {
		for rule := range rules {
			want = append(want, fmt.Sprintf("%d.%d", section+1, rule+1))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: rules %q; want %q", path, got, want)
	}
}

func vectorTitles(t *testing.T) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	titles := map[string]bool{}
	for _, path := range paths {
		_, vectors := readVectors(t, path)
		for _, v := range vectors {
			titles[v.title] = true
		}
	}
	return titles
}

// hasTest reports whether a test of that name stands in a directory, named
// from the top of the tree.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(paths, func(path string) bool {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(text), "\nfunc "+name+"(")
	})
}
