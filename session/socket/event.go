package socket

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What comes with an event (EmitEventWithFile of session-init-bus(7)) has a
// number, by which the engine says who gets it, and when nobody will any more.

// maxEventFiles bounds the descriptors of events that are kept at a time.
const maxEventFiles = 256

// eventFDName is the name of one in LISTEN_FDNAMES.
const eventFDName = "event"

const eventPrefix = "event."

func eventName(number uint64) string { return eventPrefix + strconv.FormatUint(number, 10) }

// KeepEvent keeps a descriptor that came with an event, until DropEvent of the
// number that it gets, which no other has had. The descriptor is the Set's from
// here on, also when that fails.
func (s *Set) KeepEvent(fd int) (number uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.events) >= maxEventFiles {
		unix.Close(fd)
		return 0, fmt.Errorf("%d events with descriptors are under way, and there can be no more", len(s.events))
	}
	if fd, err = lift(fd); err != nil {
		return 0, fmt.Errorf("cannot keep the descriptor: %w", err)
	}
	s.lastEvent++
	s.events[s.lastEvent] = fd
	if s.opts.Holder != nil {
		_ = s.opts.Holder.Hold(eventName(s.lastEvent), fd)
	}
	return s.lastEvent, nil
}

// DropEvent closes one.
func (s *Set) DropEvent(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd, kept := s.events[number]
	if !kept {
		return
	}
	delete(s.events, number)
	unix.Close(fd)
	if s.opts.Holder != nil {
		_ = s.opts.Holder.Drop(eventName(number))
	}
}

// TakeEvents takes over those that an earlier daemon has kept, of the numbers
// that the engine knows, and returns the numbers of what is lost.
func (s *Set) TakeEvents(numbers []uint64) (lost []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, number := range numbers {
		s.lastEvent = max(s.lastEvent, number)
		if fd := s.take(eventName(number)); fd >= 0 {
			s.events[number] = fd
			_ = s.opts.Holder.Hold(eventName(number), fd)
			continue
		}
		lost = append(lost, number)
	}
	return lost
}

// take takes what an earlier daemon has left; -1 when there is none.
func (s *Set) take(name string) int {
	if s.opts.Holder == nil {
		return -1
	}
	file := s.opts.Holder.Take(name)
	if file == nil {
		return -1
	}
	defer file.Close()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
	if err != nil {
		return -1
	}
	return fd
}

// forgetEvents lets go of what an earlier daemon has kept and nobody took over:
// it died before it had emitted the event.
func (s *Set) forgetEvents() {
	for _, name := range s.opts.Holder.Names() {
		if !strings.HasPrefix(name, eventPrefix) {
			continue
		}
		if file := s.opts.Holder.Take(name); file != nil {
			file.Close()
		}
		if number, err := strconv.ParseUint(name[len(eventPrefix):], 10, 64); err != nil || s.events[number] == 0 {
			_ = s.opts.Holder.Drop(name)
		}
	}
}

// handEvents lists them as Handover does.
func (s *Set) handEvents() (names []string, fds []int) {
	for _, number := range s.eventNumbers() {
		names, fds = append(names, eventName(number)), append(fds, s.events[number])
	}
	return names, fds
}

func (s *Set) eventNumbers() []uint64 { return slices.Sorted(maps.Keys(s.events)) }
