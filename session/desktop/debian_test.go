package desktop

import (
	"os"
	"strings"
	"testing"
)

// TestDebian holds our verdicts on the entries of Debian's desktop packages
// against those of systemd's generator; the file says how it was made.
func TestDebian(t *testing.T) {
	text, err := os.ReadFile("testdata/debian.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(text), "# desktops: ")
	line, _, _ = strings.Cut(line, "  (")
	desktops := strings.Fields(line)
	look := Lookup{
		Program: func(string) bool { return true },
		File:    func(string) bool { return false },
		Config:  func(string, string, string) (string, bool) { return "", false },
		Setting: func(string, string) (string, bool) { return "", false },
	}
	entries, differing := 0, 0
	for _, block := range strings.Split(string(text), "\n[")[1:] {
		name, body, _ := strings.Cut(block, "]\n")
		var keys, systemd, ours, reason string
		for line := range strings.Lines(body) {
			line = strings.TrimSpace(line)
			if key, ok := strings.CutPrefix(line, "| "); ok {
				keys += key + "\n"
			}
			if list, ok := strings.CutPrefix(line, "systemd: "); ok {
				systemd, ours = list, list
			}
			if list, ok := strings.CutPrefix(line, "ours: "); ok {
				ours, reason, _ = strings.Cut(strings.TrimSuffix(list, ")"), "  (")
				if ours == systemd {
					t.Errorf("%s: the difference is none", name)
				}
				differing++
			}
		}
		entries++
		made, problems := Make("/etc/xdg/autostart/"+name+Suffix, []byte("[Desktop Entry]\n"+keys), "")
		if made.Class == nil && !made.Gone || len(problems) > 0 {
			t.Errorf("Make of %s = %+v, %v", name, made, problems)
			continue
		}
		var starts []string
		for _, desktop := range desktops {
			look.Desktops = Desktops(strings.TrimPrefix(desktop, "-"))
			if made.Entry.Verdict(look).Starts {
				starts = append(starts, desktop)
			}
		}
		got := strings.Join(starts, " ")
		if got == "" {
			got = "none"
		}
		if got != ours {
			t.Errorf("%s starts on %s; want %s", name, got, ours)
		}
		if _, has := made.Entry.Has(reason); reason != "" && !has {
			t.Errorf("%s differs by %s, which it does not have", name, reason)
		}
	}
	if entries < 50 || differing == 0 || differing == entries {
		t.Errorf("%d entries, %d of them differ: the file was not read", entries, differing)
	}
}
