package footprint

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestProgramRanges(t *testing.T) {
	const clean = "Size: 100 kB\nRss:                   8 kB\nPrivate_Dirty:         0 kB\nAnonymous:             0 kB\nSwap:                  0 kB\nVmFlags: rd mr mw me\n"
	with := func(name string) string {
		return strings.Replace(clean, name+":             0", name+":             4", 1)
	}
	swapped := strings.Replace(clean, "Swap:                  0", "Swap:                  4", 1)
	smaps := strings.Join([]string{
		"00400000-00683000 r-xp 00000000 fe:00 99 /opt/a b/prog\n" + clean,
		"00683000-0097f000 r--p 00283000 fe:00 99 /opt/a b/prog\n" + clean,
		// Relocated, and then made read-only; once on the swap already.
		"0097f000-00980000 r--p 00580000 fe:00 99 /opt/a b/prog\n" + with("Anonymous"),
		"00980000-00981000 r--p 00581000 fe:00 99 /opt/a b/prog\n" + swapped,
		"00981000-0099c000 rw-p 00582000 fe:00 99 /opt/a b/prog\n" + with("Anonymous"),
		"0099c000-009d0000 rw-p 00000000 00:00 0 \n" + with("Anonymous"),
		"009d0000-009d1000 r--p 00600000 fe:00 99 /opt/a b/prog\n" + clean,
		"c000000000-c000400000 rw-p 00000000 00:00 0 \n" + with("Anonymous"),
		"7f0000000000-7f0000001000 r--p 00000000 fe:00 98 /lib/other\n" + clean,
		"7f0000002000-7f0000003000 r--s 00000000 fe:00 97 /x/opt/a b/prog\n" + clean,
		"7fff5b1ff000-7fff5b220000 r-xp 00000000 00:00 0 [vdso]\n" + with("Anonymous"),
	}, "")
	want := []addresses{{0x400000, 0x683000}, {0x683000, 0x97f000}, {0x9d0000, 0x9d1000}}
	if got := programRanges(smaps, "/opt/a b/prog"); !slices.Equal(got, want) {
		t.Errorf("programRanges(...) = %x; want %x", got, want)
	}
	if got := programRanges(smaps, "/opt/a b/prog (deleted)"); got != nil {
		t.Errorf("programRanges of another = %x; want none", got)
	}
}

// TestGiveBack: the program has pages that can be let go, and lives on
// without them.
func TestGiveBack(t *testing.T) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if len(ourRanges()) == 0 {
		smaps, err := os.ReadFile("/proc/self/smaps")
		t.Errorf("nothing of %s is in %v\n%s", program, err, smaps)
	}
	GiveBack()
}

// TestGiveBackRelocated: a program that can lie anywhere, as distributions build
// them (GOFLAGS=-buildmode=pie), has pages which cannot be written to and do not
// hold what the file does. It lives on, too.
func TestGiveBackRelocated(t *testing.T) {
	program := filepath.Join(t.TempDir(), "relocated")
	build := exec.Command("go", "build", "-buildvcs=false", "-buildmode=pie", "-o", program, "./testdata/cmd/relocated")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the program: %v\n%s", err, out)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil || string(out) != "[1 2 3] still here\n" {
		t.Errorf("the program prints %.400q, %v", out, err)
	}
}

func BenchmarkGiveBack(b *testing.B) {
	for b.Loop() {
		GiveBack()
	}
}

// TestWork: it gives back when it is asked, and returns when it is over.
func TestWork(t *testing.T) {
	ask, ended, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(returned)
		Work(ask, ended)
	}()
	for range 2 {
		// The second is taken once the first has been dealt with.
		before := collections()
		ask <- struct{}{}
		ask <- struct{}{}
		if after := collections(); after == before {
			t.Errorf("%d collections of garbage before and after it was asked", before)
		}
	}
	close(ended)
	<-returned
}

func collections() uint32 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.NumGC
}
