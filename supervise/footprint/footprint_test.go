package footprint

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestProgramRanges(t *testing.T) {
	maps := strings.Join([]string{
		"00400000-00683000 r-xp 00000000 fe:00 99 /opt/a b/prog",
		"00683000-0097f000 r--p 00283000 fe:00 99 /opt/a b/prog",
		"00980000-0099c000 rw-p 00580000 fe:00 99 /opt/a b/prog",
		"0099c000-009d0000 rw-p 00000000 00:00 0 ",
		"c000000000-c000400000 rw-p 00000000 00:00 0 ",
		"7f0000000000-7f0000001000 r--p 00000000 fe:00 98 /lib/other",
		"7f0000002000-7f0000003000 r--s 00000000 fe:00 97 /x/opt/a b/prog",
		"7fff5b1ff000-7fff5b220000 r-xp 00000000 00:00 0 [vdso]",
		"",
	}, "\n")
	want := []addresses{{0x400000, 0x683000}, {0x683000, 0x97f000}}
	if got := programRanges(maps, "/opt/a b/prog"); !slices.Equal(got, want) {
		t.Errorf("programRanges(...) = %x; want %x", got, want)
	}
	if got := programRanges(maps, "/opt/a b/prog (deleted)"); got != nil {
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
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if len(programRanges(string(maps), program)) == 0 {
		t.Errorf("nothing of %s is in\n%s", program, maps)
	}
	GiveBack()
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
