package socket

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/job"
)

// What jobs lay aside by FDSTORE=1 of sd_notify(3) belongs to an instance: its
// next main process gets it, behind the sockets. It is given up when the
// instance comes to rest, or says FDSTOREREMOVE=1.

// maxStored is how many descriptors an instance may lay aside.
const maxStored = 128

// maxStoreKey bounds the names of job and instance together, in bytes, and
// storedNameMax that of a descriptor: the keeper's messages are short.
const (
	maxStoreKey   = 48
	storedNameMax = 40
)

// defaultStored is the name of what was stored without one.
const defaultStored = "stored"

const storePrefix = "store."

// stored is a descriptor that was laid aside.
type stored struct {
	fd     int
	name   string
	serial int
}

func storeKey(class, instance string) string { return class + "\x00" + instance }

// storedName is the name under which one is held for the next daemon; empty
// when that cannot be: it is not handed over then.
func storedName(key string, kept stored) string {
	if len(key) > maxStoreKey || len(kept.name) > storedNameMax {
		return ""
	}
	return fmt.Sprintf("%s%d.%s.%s", storePrefix, kept.serial, hex.EncodeToString([]byte(key)), hex.EncodeToString([]byte(kept.name)))
}

// Store keeps descriptors for the next main of an instance; they are the Set's
// from here on. An error tells of some that are not kept, or not over a crash.
func (s *Set) Store(class, instance, name string, fds []int) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !job.ValidFDName(name) {
		name = defaultStored
	}
	key := storeKey(class, instance)
	for _, fd := range fds {
		if s.closed || len(s.stores[key]) >= maxStored {
			unix.Close(fd)
			err = fmt.Errorf("cannot keep more than %d descriptors", maxStored)
			continue
		}
		if same := slices.ContainsFunc(s.stores[key], func(have stored) bool { return sameFile(have.fd, fd) }); same {
			unix.Close(fd)
			continue
		}
		fd, liftErr := lift(fd)
		if liftErr != nil {
			err = fmt.Errorf("cannot keep a descriptor: %w", liftErr)
			continue
		}
		s.serial++
		kept := stored{fd, name, s.serial}
		s.stores[key] = append(s.stores[key], kept)
		held := storedName(key, kept)
		switch {
		case held == "":
			err = errors.New("cannot keep a descriptor over a crash of the daemon: the names of job, instance and descriptor are too long")
		case s.opts.Holder != nil:
			_ = s.opts.Holder.Hold(held, fd)
		}
	}
	return err
}

// sameFile tells whether two descriptors are of one open file; see kcmp(2).
func sameFile(a, b int) bool {
	pid := uintptr(unix.Getpid())
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, pid, pid, 0, uintptr(a), uintptr(b), 0)
	return errno == 0 && order == 0
}

// Remove gives up what an instance has stored under a name.
func (s *Set) Remove(class, instance, name string) {
	s.giveUp(class, instance, func(kept stored) bool { return kept.name == name })
}

// RemoveAll gives up all that an instance has stored.
func (s *Set) RemoveAll(class, instance string) {
	s.giveUp(class, instance, func(stored) bool { return true })
}

func (s *Set) giveUp(class, instance string, is func(stored) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := storeKey(class, instance)
	list := slices.DeleteFunc(s.stores[key], func(kept stored) bool {
		if !is(kept) {
			return false
		}
		unix.Close(kept.fd)
		if held := storedName(key, kept); held != "" && s.opts.Holder != nil {
			_ = s.opts.Holder.Drop(held)
		}
		return true
	})
	if len(list) == 0 {
		delete(s.stores, key)
		return
	}
	s.stores[key] = list
}

// handStores lists what is stored as Handover does.
func (s *Set) handStores() (names []string, fds []int) {
	var keys []string
	for key := range s.stores {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		for _, kept := range s.stores[key] {
			if name := storedName(key, kept); name != "" {
				names, fds = append(names, name), append(fds, kept.fd)
			}
		}
	}
	return names, fds
}

// TakeStores takes over what instances have stored with an earlier daemon, of
// those that live; the rest is given up.
func (s *Set) TakeStores(lives func(class, instance string) bool) {
	if s.opts.Holder == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, held := range s.opts.Holder.Names() {
		rest, found := strings.CutPrefix(held, storePrefix)
		if !found {
			continue
		}
		file := s.opts.Holder.Take(held)
		if file == nil {
			continue
		}
		key, kept, ok := parseStored(rest)
		class, instance, _ := strings.Cut(key, "\x00")
		fd := -1
		if ok = ok && lives(class, instance); ok {
			var err error
			fd, err = unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, lowest)
			ok = err == nil
		}
		file.Close()
		if !ok {
			_ = s.opts.Holder.Drop(held)
			continue
		}
		kept.fd = fd
		s.serial = max(s.serial, kept.serial)
		s.stores[key] = append(s.stores[key], kept)
		_ = s.opts.Holder.Hold(held, fd)
	}
	for _, list := range s.stores {
		slices.SortFunc(list, func(a, b stored) int { return a.serial - b.serial })
	}
}

func parseStored(text string) (key string, kept stored, ok bool) {
	words := strings.Split(text, ".")
	if len(words) != 3 {
		return "", kept, false
	}
	_, err := fmt.Sscan(words[0], &kept.serial)
	rawKey, keyErr := hex.DecodeString(words[1])
	rawName, nameErr := hex.DecodeString(words[2])
	kept.name = string(rawName)
	return string(rawKey), kept, errors.Join(err, keyErr, nameErr) == nil
}
