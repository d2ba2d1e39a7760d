package job

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/session-init/session-init/events"
)

func TestLocate(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"task\n", "1:1 task"},
		{"# x\n\n  nice  5\n", "3:3 nice 3:9=5"},
		{"\ufefftask\n", "1:1 task"},
		{"exec /bin/a  'b c'\n", "1:1 exec 1:6=/bin/a"},
		{"env \"A=b c\"\nenv X=\\\ny\n", "1:1 env 1:5=A=b c|2:1 env 2:5=X= y"},
		{"script\n start on a\nend script\nstop on b c\n", "1:1 script|4:1 stop on 4:9=b* 4:11=c"},
		{"start on (a X=1\n  and b) or \"c\"\n", "1:1 start on 1:11=a* 1:13=X=1 2:7=b* 2:13=c*"},
		{"wait for fork\nlimit nofile 1 2\n", "1:1 expect 1:10=fork|2:1 limit 2:7=nofile 2:14=1 2:16=2"},
		{"pre-start exec x\nrespwan\ntask\n", "1:1 pre-start exec 1:16=x|3:1 task"},
		{"start on 'a\n", ""},
		{"task\x00\n", ""},
	} {
		var got []string
		for _, s := range Locate([]byte(test.text)) {
			line := fmt.Sprintf("%d:%d %s", s.Line, s.Col, s.Title)
			for _, w := range s.Words {
				line += fmt.Sprintf(" %d:%d=%s", w.Line, w.Col, w.Text)
				if w.Operand {
					line += "*"
				}
			}
			got = append(got, line)
		}
		if got := strings.Join(got, "|"); got != test.want {
			t.Errorf("Locate(%q) = %q; want %q", test.text, got, test.want)
		}
	}
}

// The operands that Locate finds are those of the class, whatever the text.
func TestLocateVectors(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	seen := 0
	for _, path := range paths {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		_, vectors := readVectors(t, path)
		for _, v := range vectors {
			class, _ := Parse("job", "job.conf", []byte(v.text))
			if class == nil {
				Locate([]byte(v.text)) // must not fail
				continue
			}
			stands := Locate([]byte(v.text))
			for title, x := range map[string]*events.Expr{"start on": class.StartOn, "stop on": class.StopOn} {
				if x == nil {
					continue
				}
				seen++
				var want, got []string
				for _, node := range x.Nodes {
					if node.Op == events.OpMatch {
						want = append(want, strings.Join(node.Match.Words, " "))
					}
				}
				for _, s := range stands {
					if s.Title != title {
						continue
					}
					got = nil // the last one counts
					for _, w := range s.Words {
						if w.Operand {
							got = append(got, w.Text)
						} else {
							got[len(got)-1] += " " + w.Text
						}
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: %s: operands %q; want %q", v.title, title, got, want)
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("%d conditions compared; want at least 30", seen)
	}
}

func TestSuggestName(t *testing.T) {
	names := []string{"started", "enable-cron", "net-device-up"}
	for name, want := range map[string]string{
		"startde": "started", "Started": "started", "disable-cron": "", "net-device-down": "", "net-devcie-up": "net-device-up", "x-started": "",
	} {
		if got := Suggest(name, names); got != want {
			t.Errorf("Suggest(%s) = %q; want %q", name, got, want)
		}
	}
}
