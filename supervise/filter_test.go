package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/testkit"
)

// Filters of system calls stand for kernels, and for sandboxes, which do not know
// a call, or interrupt it. They cannot be taken off, so a process of its own, the
// test binary as a fixture, does what is under test.

// rule answers a system call with errno, or, where that is 0, asks the listener
// of the filter. With arg1 it is for calls with this second argument.
type rule struct {
	call  uint32
	arg1  uint32 // 0: any
	errno syscall.Errno
}

// filter sets a filter for the whole process. listener is -1 when no rule asks it.
func filter(rules ...rule) (listener int, err error) {
	const (
		load, equal, answer = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		arg1                = 24 // of struct seccomp_data, the lower half
	)
	flags := uintptr(unix.SECCOMP_FILTER_FLAG_TSYNC)
	var list []unix.SockFilter
	for _, r := range rules {
		action := uint32(unix.SECCOMP_RET_ERRNO) | uint32(r.errno)
		if r.errno == 0 {
			action = unix.SECCOMP_RET_USER_NOTIF
			flags |= unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		}
		if r.arg1 != 0 {
			list = append(list, unix.SockFilter{Code: load, K: 0}, unix.SockFilter{Code: equal, Jf: 3, K: r.call},
				unix.SockFilter{Code: load, K: arg1}, unix.SockFilter{Code: equal, Jf: 1, K: r.arg1})
		} else {
			list = append(list, unix.SockFilter{Code: load, K: 0}, unix.SockFilter{Code: equal, Jf: 1, K: r.call})
		}
		list = append(list, unix.SockFilter{Code: answer, K: action})
	}
	list = append(list, unix.SockFilter{Code: answer, K: unix.SECCOMP_RET_ALLOW})
	// Both are of this thread, and go to the others from it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	program := unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(list)
	if errno != 0 {
		return -1, errno
	}
	if flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
		return -1, nil
	}
	return int(fd), nil
}

// notice and verdict are struct seccomp_notif and seccomp_notif_resp.
type (
	notice struct {
		id   uint64
		_    [2]uint32
		data [64]byte
	}
	verdict struct {
		id     uint64
		_      int64
		errno  int32
		resume uint32
	}
)

// interruptFirst has the first calls that are asked about fail with EINTR, and lets
// the others go on.
func interruptFirst(listener, n int) {
	const receive, send = 0xc0502100, 0xc0182101
	for i := 0; ; i++ {
		var asked notice
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), receive, uintptr(unsafe.Pointer(&asked))); errno != 0 {
			return
		}
		answer := verdict{id: asked.id, errno: -int32(unix.EINTR)}
		if i >= n {
			answer.errno, answer.resume = 0, 1
		}
		unix.Syscall(unix.SYS_IOCTL, uintptr(listener), send, uintptr(unsafe.Pointer(&answer)))
	}
}

// unfiltered is the status of a fixture that may have no filter, and noFilter what
// it says.
const (
	unfiltered = 77
	noFilter   = "no filter: "
)

func mustFilter(rules ...rule) int {
	listener, err := filter(rules...)
	if err != nil {
		fmt.Println(noFilter + err.Error())
		os.Exit(unfiltered)
	}
	return listener
}

// runFiltered is the fixture that starts a process which lists its descriptors,
// behind a filter, and prints them.
func runFiltered() {
	slots := filepath.Join(os.Getenv("DIR"), "slots")
	if name := os.Getenv("CLOSE_RANGE"); name != "" {
		errno := map[string]syscall.Errno{"ENOSYS": unix.ENOSYS, "EPERM": unix.EPERM}[name]
		mustFilter(rule{call: unix.SYS_CLOSE_RANGE, errno: errno})
		// Nobody's, and inherited unless they are closed.
		for _, at := range []int{40, 41, 200} {
			if err := unix.Dup2(0, at); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
	} else {
		listener := mustFilter(rule{call: unix.SYS_FALLOCATE})
		go interruptFirst(listener, 3)
	}
	events := make(chan Event, 16)
	s, err := New(Options{SlotFile: slots}, func(batch []Event) {
		for _, ev := range batch {
			events <- ev
		}
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	log := filepath.Join(os.Getenv("DIR"), "log")
	s.Start(Spec{ID: 1, Path: "/bin/sh", Argv: []string{"sh", "-c", "for fd in /proc/$$/fd/*; do readlink $fd; done; true"},
		Env: []string{"PATH=/bin:/usr/bin"}, Output: OutputFile, LogPath: log})
	for ev := range events {
		switch ev := ev.(type) {
		case SpawnFailed:
			fmt.Println(ev.SpawnError)
			os.Exit(1)
		case Exited:
			text, _ := os.ReadFile(log)
			fmt.Printf("%s", strings.ReplaceAll(string(text), log, "log"))
			_ = s.Close(context.Background())
			return
		}
	}
}

// fixture runs this test binary as one, and returns what it prints.
func fixture(t *testing.T, name string, env ...string) string {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), "SUPERVISE_FIXTURE="+name), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == unfiltered {
		testkit.NeedFilter(t, errors.New(string(out)))
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// TestWithoutCloseRange: where the kernel, or a filter, has no close_range(2), a
// process has nothing of ours open all the same.
func TestWithoutCloseRange(t *testing.T) {
	for _, errno := range []string{"ENOSYS", "EPERM"} {
		t.Run(errno, func(t *testing.T) {
			got := fixture(t, "filtered", "CLOSE_RANGE="+errno, "DIR="+t.TempDir())
			if want := os.DevNull + "\nlog\nlog\n"; got != want {
				t.Errorf("its descriptors lead to %q; want %q", got, want)
			}
		})
	}
}

// TestSlotsInterrupted: a signal may interrupt fallocate(2) on memory, of which a
// start does not fail.
func TestSlotsInterrupted(t *testing.T) {
	got := fixture(t, "filtered", "DIR="+t.TempDir())
	if want := os.DevNull + "\nlog\nlog\n"; got != want {
		t.Errorf("its descriptors lead to %q; want %q", got, want)
	}
}
