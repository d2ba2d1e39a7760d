package supervise

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Slot is what a daemon, which may be dead by now, has recorded of a process.
type Slot struct {
	ID    ProcID
	State SlotState
	// Pid is 0 when the process was not made yet, or never. Helper is the
	// first child of a pair, of the daemon's too; 0 when there was none.
	Pid, Helper int
	// Asked and Began bound when the process began, by CLOCK_BOOTTIME; Began
	// is 0 when it had not run yet.
	Asked, Began time.Duration
	// Step and Errno tell where the set-up is, or why it failed.
	Step  Step
	Errno syscall.Errno
	index int
	hint  uint32
	// pipe is the inode of the pipe, or socket, that the child closes at its
	// exec, when State is SlotInFlight; 0 is unknown.
	pipe uint32
	// Status is how it ended, when State is SlotEnded.
	Status syscall.WaitStatus
}

// moves returns how often the ProcID has moved to a child.
func (s Slot) moves() int {
	if s.State != SlotRunning && s.State != SlotEnded || s.Errno != 0 {
		return 0
	}
	return s.index
}

// clockTick is the unit of times in /proc, the same on every architecture.
const clockTick = time.Second / 100

// Is tells whether a process with this pid that began at start, field 22 of
// /proc/PID/stat, is the one of the slot and not a later one with its number.
func (s Slot) Is(start uint64) bool {
	from := time.Duration(start) * clockTick // rounded down by the kernel
	return from+clockTick > s.Asked && (s.Began == 0 || from <= s.Began)
}

// ReadSlots returns what stands in a file of slots, those in use only, in
// the order of the file: none when it was written before the last boot. It
// may be read while a daemon writes to it.
func ReadSlots(path string) ([]Slot, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read slots: %w", err)
	}
	list, boot, err := parseSlots(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read slots of %s: %w", path, err)
	}
	if boot != bootID() {
		return nil, nil
	}
	return list, nil
}

// AwaitSlots is ReadSlots for who takes over. The first child of a pair may
// not have made the second yet: it is waited for, which takes no time, since it
// does nothing that could hang.
func AwaitSlots(path string) ([]Slot, error) {
	for range helperRounds {
		list, err := ReadSlots(path)
		if err != nil || !awaitHelper(list) {
			return list, err
		}
	}
	return ReadSlots(path)
}

// helperRounds and helperPatience (in milliseconds) bound the wait for first
// children: one that was stopped must not hold up a daemon.
const (
	helperRounds   = 50
	helperPatience = 100
)

// awaitHelper waits for the end of one first child that lives and has not made
// its second; it is false when there is none.
func awaitHelper(list []Slot) bool {
	for _, slot := range list {
		if slot.State != SlotInFlight || slot.Helper == 0 || slot.Pid != 0 {
			continue
		}
		fd, err := unix.PidfdOpen(slot.Helper, 0)
		if err != nil {
			continue
		}
		st, ok := statOf(slot.Helper)
		lives := ok && st.alive() && slot.Is(st.start)
		if lives {
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, helperPatience)
		}
		unix.Close(fd)
		if lives {
			return true
		}
	}
	return false
}

// parseSlots reads a whole file.
func parseSlots(data []byte) (list []Slot, boot string, err error) {
	var h slotsHead
	if len(data) < int(unsafe.Sizeof(h)) {
		return nil, "", errors.New("it is too short")
	}
	if !bytes.Equal(data[:8], slotsMagic[:]) {
		return nil, "", errors.New("it holds something else")
	}
	order := binary.NativeEndian
	version := order.Uint32(data[unsafe.Offsetof(h.version):])
	from := uint64(order.Uint32(data[unsafe.Offsetof(h.headSize):]))
	stride := uint64(order.Uint32(data[unsafe.Offsetof(h.slotSize):]))
	count := uint64(order.Uint32(data[unsafe.Offsetof(h.count):]))
	if version < 1 || stride < uint64(slotSize) || from < uint64(unsafe.Sizeof(h)) {
		return nil, "", fmt.Errorf("it has version %d with slots of %d bytes, and this reads version %d", version, stride, slotsVersion)
	}
	if from+stride*count > uint64(len(data)) {
		return nil, "", fmt.Errorf("it ends before the last of %d slots", count)
	}
	name := data[unsafe.Offsetof(h.boot):][:len(h.boot)]
	boot = string(bytes.TrimRight(name, "\x00"))
	for ; count > 0; count, from = count-1, from+stride {
		if s := parseSlot(data[from:]); s.State != SlotFree {
			list = append(list, s)
		}
	}
	return list, boot, nil
}

// parseSlot reads one slot.
func parseSlot(data []byte) Slot {
	var s slot
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&s)), slotSize), data)
	var pipe uint32
	switch SlotState(s.state) {
	case SlotEnded:
	case SlotInFlight:
		pipe, s.status = s.status, 0
	default:
		s.status = 0
	}
	return Slot{
		ID: ProcID(s.id), State: SlotState(s.state),
		Pid: int(s.pid), Helper: int(s.helper),
		Asked: time.Duration(s.asked), Began: time.Duration(s.began.Nano()),
		Step: Step(s.step), Errno: syscall.Errno(s.errno), index: int(s.index), hint: uint32(s.hint), pipe: pipe,
		Status: syscall.WaitStatus(s.status),
	}
}

// Environ returns the environment that the process of the slot was given;
// false when it is not there any more, or another has its pid.
func (s Slot) Environ() ([]string, bool) {
	st, ok := statOf(s.Pid)
	if s.Pid == 0 || !ok || !st.alive() || !s.Is(st.start) {
		return nil, false
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.Pid) + "/environ")
	if err != nil {
		return nil, false
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00"), true
}

// groupsIn returns the cgroup that stands in a file of slots of this boot;
// empty when there is none. What is wrong with the file is told by who reads
// the slots.
func groupsIn(path string) string {
	if path == "" {
		return ""
	}
	data, err := os.ReadFile(path)
	var h slotsHead
	if err != nil || len(data) < int(unsafe.Sizeof(h)) || !bytes.Equal(data[:len(h.magic)], slotsMagic[:]) {
		return ""
	}
	text := func(offset uintptr, size int) string {
		return string(bytes.TrimRight(data[offset:][:size], "\x00"))
	}
	size := binary.NativeEndian.Uint32(data[unsafe.Offsetof(h.headSize):])
	if uintptr(size) < unsafe.Sizeof(h) || text(unsafe.Offsetof(h.boot), len(h.boot)) != bootID() {
		return ""
	}
	return text(unsafe.Offsetof(h.groups), len(h.groups))
}
