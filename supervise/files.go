package supervise

import (
	"slices"

	"golang.org/x/sys/unix"
)

// FirstFile is the number of the first descriptor of Spec.Files in the process,
// as sd_listen_fds(3) has it.
const FirstFile = 3

// highest is the highest number that a child puts one of its files or its
// script at: what it needs besides must be above.
func (c *child) highest() int {
	high := FirstFile + len(c.files) - 1
	if c.scriptAt > scriptFD {
		high = c.scriptAt
	}
	return high
}

// raise gives a descriptor a number above another.
func raise(fd, above int) (int, error) {
	if fd > above {
		return fd, nil
	}
	defer unix.Close(fd)
	return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above+1)
}

// raiseFiles gives the files of a spec numbers that are in no other's way. On
// an error they are as they were, or higher.
func (spec *Spec) raiseFiles() error {
	above := max(FirstFile+len(spec.Files), firstFree-1)
	// The list is the caller's.
	spec.Files = slices.Clone(spec.Files)
	for i, fd := range spec.Files {
		if fd > above {
			continue
		}
		raised, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above+1)
		if err != nil {
			return err
		}
		unix.Close(fd)
		spec.Files[i] = raised
	}
	return nil
}

// closeFiles gives the files up.
func (spec *Spec) closeFiles() {
	for _, fd := range spec.Files {
		unix.Close(fd)
	}
	spec.Files = nil
}

// Stored: FDs are to be kept for the next process of the job, under a name that
// may be empty. They are the receiver's.
type Stored struct {
	ID   ProcID
	Name string
	FDs  []int
}

// Unstored: what is kept under that name is to be closed.
type Unstored struct {
	ID   ProcID
	Name string
}

func (Stored) event()   {}
func (Unstored) event() {}
