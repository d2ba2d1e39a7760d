package supervise

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// FuzzParseParent: the name of a program is whatever its author likes.
func FuzzParseParent(f *testing.F) {
	f.Add("sh", 1, "1 (sh) S 1 1 1")
	f.Add(") S 77 (", 4194304, "1 () S")
	f.Add("a b) Z 1 (c)\n", 0, "((((")
	f.Add("", 5, ") ")
	f.Fuzz(func(t *testing.T, name string, ppid int, raw string) {
		if ppid, ok := parseParent([]byte(raw)); ok && ppid < 0 {
			t.Errorf("parseParent(%q) = %d", raw, ppid)
		}
		if ppid < 0 || ppid > 1<<22 {
			return
		}
		line := fmt.Sprintf("12 (%s) S %d 12 12 0 -1 4194304", name, ppid)
		if got, ok := parseParent([]byte(line)); !ok || got != ppid {
			t.Errorf("parseParent(%q) = %d, %v; want %d", line, got, ok, ppid)
		}
	})
}

// FuzzParsePids: only pids come out, and what they print reads back.
func FuzzParsePids(f *testing.F) {
	f.Add("1 2 3 ")
	f.Add("-1 0 x 99999999999999999999 7")
	f.Fuzz(func(t *testing.T, text string) {
		pids := parsePids(text)
		for _, pid := range pids {
			if pid <= 0 {
				t.Errorf("parsePids(%q) = %v", text, pids)
			}
		}
		if again := parsePids(strings.Trim(fmt.Sprint(pids), "[]")); fmt.Sprint(again) != fmt.Sprint(pids) {
			t.Errorf("parsePids(%v) = %v", pids, again)
		}
	})
}

// FuzzExited: a wait status is an exit or a death, never both.
func FuzzExited(f *testing.F) {
	for _, ws := range []uint32{0, 0x100, 0xff00, 9, 11 | 0x80, 64} {
		f.Add(ws)
	}
	f.Fuzz(func(t *testing.T, ws uint32) {
		got := exited(1, 2, syscall.WaitStatus(ws&0xffff))
		if got.ID != 1 || got.Pid != 2 || got.Signal < 0 || got.Status > 255 || got.Signal != 0 && got.Status != 0 || got.Core && got.Signal == 0 {
			t.Errorf("exited(%#x) = %+v", ws, got)
		}
	})
}
