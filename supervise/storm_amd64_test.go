package supervise

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stormCode makes as many children of its parent as its first number says, and
// ends. They share its memory, touch no stack and exit with status 3: some ten
// microseconds each, where a program of Go or a shell takes hundreds.
var stormCode = []byte{
	0x41, 0xbc, 0, 0, 0, 0, //        mov  r12d, N
	0xb8, 0x38, 0, 0, 0, //     next: mov  eax, 56 (clone)
	0xbf, 0x11, 0x81, 0, 0, //        mov  edi, CLONE_VM | CLONE_PARENT | SIGCHLD
	0x31, 0xf6, 0x31, 0xd2, //        xor  esi, esi; xor edx, edx
	0x45, 0x31, 0xd2, //              xor  r10d, r10d
	0x45, 0x31, 0xc0, //              xor  r8d, r8d
	0x0f, 0x05, //                    syscall
	0x85, 0xc0, //                    test eax, eax
	0x74, 0x10, //                    jz   child
	0x78, 0xe4, //                    js   next
	0x41, 0xff, 0xcc, //              dec  r12d
	0x75, 0xdf, //                    jnz  next
	0x31, 0xff, //                    xor  edi, edi
	0xb8, 0xe7, 0, 0, 0, //           mov  eax, 231 (exit_group)
	0x0f, 0x05, //                    syscall
	0xbf, 0x03, 0, 0, 0, //    child: mov  edi, 3
	0xb8, 0xe7, 0, 0, 0, //           mov  eax, 231
	0x0f, 0x05, //                    syscall
}

// stormProgram writes an executable that makes n orphans of ours, one after
// the other.
func stormProgram(t testing.TB, n int) string {
	t.Helper()
	const base, head = 0x400000, 64 + 56
	code := bytes.Clone(stormCode)
	binary.LittleEndian.PutUint32(code[2:], uint32(n))
	var file bytes.Buffer
	file.WriteString("\x7fELF\x02\x01\x01" + string(make([]byte, 9)))
	size := uint64(head + len(code))
	for _, part := range []any{
		uint16(2), uint16(62), uint32(1), uint64(base + head), uint64(64), uint64(0), uint32(0), // EXEC, x86-64
		uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(5), uint64(0), uint64(base), uint64(base), size, size, uint64(0x1000), // LOAD, r-x
	} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	file.Write(code)
	path := filepath.Join(t.TempDir(), "storm")
	if err := os.WriteFile(path, file.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStorm: orphans die by the thousand while others start and end.
func TestStorm(t *testing.T) {
	const orphans, starts = 20_000, 40
	w := newWorld(t, Options{})
	w.Start(Spec{ID: 1, Path: stormProgram(t, orphans)})
	for id := ProcID(2); id < 2+starts; id++ {
		w.Start(Spec{ID: id, Path: "/bin/sh", Argv: []string{"sh", "-c", "exit 7"}})
		if end := w.exited(id); end.Status != 7 || end.Signal != 0 {
			t.Fatalf("process %d ended with %+v", id, end)
		}
	}
	if end := w.exited(1); end.Status != 0 || end.Signal != 0 {
		t.Fatalf("the storm ended with %+v", end)
	}
	all := w.await("the end of all orphans", func(all []Event) bool { return count[Orphan](all) == orphans })
	for _, ev := range all {
		if o, is := ev.(Orphan); is && (o.Status != 3 || o.Signal != 0) {
			t.Fatalf("an orphan ended with %+v", o)
		}
	}
}

// BenchmarkStorm is an orphan's share of our processor time, and how many there
// were in a second of time.
func BenchmarkStorm(b *testing.B) {
	gone, done := 0, make(chan struct{})
	s, err := New(Options{}, func(batch []Event) {
		for _, ev := range batch {
			if _, is := ev.(Orphan); is {
				if gone++; gone == b.N {
					close(done)
				}
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(b.Context())
	path := stormProgram(b, b.N)
	used := func() time.Duration {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	b.ResetTimer()
	began := used()
	s.Start(Spec{ID: 1, Path: path})
	<-done
	b.StopTimer()
	b.ReportMetric(float64((used()-began).Nanoseconds())/float64(b.N), "cpu-ns/orphan")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orphans/s")
}
