package supervise

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// i386Program writes an executable for 32 bits, with this code.
func i386Program(t *testing.T, name string, code []byte) string {
	t.Helper()
	const base, head = 0x8048000, 52 + 32
	var file bytes.Buffer
	file.WriteString("\x7fELF\x01\x01\x01" + string(make([]byte, 9)))
	size := uint32(head + len(code))
	for _, part := range []any{
		uint16(2), uint16(3), uint32(1), uint32(base + head), uint32(52), uint32(0), uint32(0), // EXEC, i386
		uint16(52), uint16(32), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(base), uint32(base), size, size, uint32(5), uint32(0x1000), // LOAD, r-x
	} {
		if err := binary.Write(&file, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	file.Write(code)
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, file.Bytes(), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// i386Exit ends with status 0.
var i386Exit = []byte{
	0x31, 0xdb, //                    xor  ebx, ebx
	0xb8, 0xfc, 0, 0, 0, //           mov  eax, 252 (exit_group)
	0xcd, 0x80, //                    int  0x80
}

// i386Fork forks; the parent ends, the child waits for signals.
var i386Fork = append(append([]byte{
	0xb8, 0x02, 0, 0, 0, //           mov  eax, 2 (fork)
	0xcd, 0x80, //                    int  0x80
	0x85, 0xc0, //                    test eax, eax
	0x74, 0x09, //                    jz   child
}, i386Exit...),
	0xb8, 0x1d, 0, 0, 0, //    child: mov  eax, 29 (pause)
	0xcd, 0x80, //                    int  0x80
	0xeb, 0xf7, //                    jmp  child
)

// TestFollow32: the forks of a program for 32 bits are followed like others.
func TestFollow32(t *testing.T) {
	testkit.NeedRun(t, "programs of 32 bits", i386Program(t, "exit", i386Exit))
	w := newWorld(t, Options{})
	w.Start(Spec{ID: 1, Owner: 1, Path: i386Program(t, "fork", i386Fork), Follow: FollowFork})
	first := w.spawned(1)
	child := 0
	w.await("the fork", func(all []Event) bool {
		for _, ev := range all {
			if fork, is := ev.(Forked); is && fork.ID == 1 {
				child = fork.Pid
			}
		}
		return child != 0
	})
	if child == first {
		t.Errorf("the child is %d, as its parent", child)
	}
	poll(t, "no tracer", func() bool { return statusLine(t, child, "TracerPid") == "0" })
	// Or the child may end first, and leave its parent behind.
	poll(t, "the parent's end", func() bool { return gone(first) })
	w.Kill(1, unix.SIGTERM, true)
	if end := w.exited(1); end.Pid != child || end.Signal != unix.SIGTERM || end.Left {
		t.Errorf("it ended with %+v; want %d by TERM", end, child)
	}
}
