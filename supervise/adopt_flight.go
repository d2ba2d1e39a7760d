package supervise

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A child may hang before its exec for as long as a file system does, and the
// daemon may be replaced meanwhile. The next one finds the child's pipe by its
// inode, opens it anew, and is told by its hang-up of the exec, or of the end.
// The child goes on to write to the file of slots that the earlier daemon had:
// why its set-up fails is read there.

// pickUp puts an adopted process that has not come to its exec back in flight.
// It tells whether the process had not; one whose pipe cannot be opened is taken
// for running all the same.
func (s *Supervisor) pickUp(p *process, a Adoptee) (beforeExec bool) {
	if a.Reported || a.Slot.State != SlotInFlight {
		return false
	}
	st, there := statOf(a.Slot.Pid)
	if !there || !a.Slot.Is(st.start) {
		return false
	}
	if a.Slot.Errno != 0 {
		// Its set-up has failed, and it is ending: no signal tells when.
		p.slot.step, p.slot.index = uint32(a.Slot.Step), uint32(a.Slot.index)
		p.slot.errno, p.slot.hint = uint32(a.Slot.Errno), uint16(a.Slot.hint)
		p.silent = true
		s.putInFlight(p, a, -1)
		s.unreaped = append(s.unreaped, p)
		return true
	}
	if a.Slot.pipe == 0 || !st.alive() {
		return false
	}
	pipe, beforeExec := findPipe(a.Slot.Pid, a.Slot.pipe)
	if pipe < 0 {
		return beforeExec
	}
	ev := unix.EpollEvent{Fd: int32(pipe)}
	if unix.EpollCtl(s.epollFD, unix.EPOLL_CTL_ADD, pipe, &ev) != nil {
		unix.Close(pipe)
		return true
	}
	// Should we be replaced in our turn, how far it came is not to be had.
	p.slot.step, p.slot.status = uint32(StepNone), a.Slot.pipe
	s.putInFlight(p, a, pipe)
	if record := s.former.find(s.opts.SlotFile, a.Slot.ID); record != nil && a.Slot.Step != StepNone {
		p.child.slot = record
	} else {
		p.child.lost = true
	}
	s.byPipe[int32(pipe)] = p
	return true
}

// putInFlight makes an adopted process one whose outcome is not known.
func (s *Supervisor) putInFlight(p *process, a Adoptee, pipe int) {
	p.child = &child{slot: p.slot, leader: a.Slot.Helper == 0}
	p.spec = a.Spec
	if p.spec == nil {
		p.spec = &Spec{ID: p.id, Owner: a.Owner}
	}
	if p.spec.Output == OutputFile {
		p.child.logPath = new(byte) // it has one
	}
	// What could be tried again was, before its clone.
	p.tries = len(retryPauses)
	p.running, p.pipe, p.at = false, pipe, len(s.inFlight)
	s.inFlight = append(s.inFlight, p)
}

// findPipe looks for the write end that a child closes at its exec, and opens
// the other. there tells whether the child has it still; fd is -1 when it
// cannot be opened, as a socket cannot. To look does not block.
func findPipe(pid int, inode uint32) (fd int, there bool) {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd/"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return -1, false
	}
	for _, entry := range entries {
		switch to, _ := os.Readlink(dir + entry.Name()); to {
		case fmt.Sprintf("socket:[%d]", inode):
			return -1, true
		case fmt.Sprintf("pipe:[%d]", inode):
			fd, err := unix.Open(dir+entry.Name(), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err != nil {
				return -1, true
			}
			if inodeOf(fd) != inode {
				// It has closed it, and opened another file in its place.
				unix.Close(fd)
				return -1, false
			}
			return fd, true
		}
	}
	return -1, false
}

// formerSlots is the file of slots of the daemon before, mapped as long as
// children of that one may write to it. It is empty until it is needed.
type formerSlots struct {
	data []byte
}

// find returns the slot of a process in the file; nil when it is not there.
func (f *formerSlots) find(path string, id ProcID) *slot {
	if f.data == nil {
		f.open(path)
	}
	if f.data == nil {
		return nil
	}
	var h slotsHead
	order := binary.NativeEndian
	from := int(order.Uint32(f.data[unsafe.Offsetof(h.headSize):]))
	stride := int(order.Uint32(f.data[unsafe.Offsetof(h.slotSize):]))
	for count := int(order.Uint32(f.data[unsafe.Offsetof(h.count):])); count > 0; count-- {
		if from+slotSize > len(f.data) {
			break
		}
		if s := parseSlot(f.data[from:]); s.ID == id && s.State == SlotInFlight && from%8 == 0 {
			return (*slot)(unsafe.Pointer(&f.data[from]))
		}
		from += stride
	}
	return nil
}

// open maps the file, if it is one.
func (f *formerSlots) open(path string) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Size == 0 {
		return
	}
	data, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return
	}
	if _, _, err := parseSlots(data); err != nil {
		unix.Munmap(data)
		return
	}
	f.data = data
}

func (f *formerSlots) close() {
	if f.data != nil {
		unix.Munmap(f.data)
		f.data = nil
	}
}
