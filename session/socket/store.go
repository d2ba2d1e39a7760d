package socket

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/job"
)

// What jobs lay aside by FDSTORE=1 of sd_notify(3) belongs to an instance: its
// next main process gets it, behind the sockets. It is given up when the
// instance comes to rest, or says FDSTOREREMOVE=1.

// maxStored is how many descriptors an instance may lay aside, maxStoredAll
// how many all may: the keeper's room is bounded too.
const (
	maxStored    = 128
	maxStoredAll = 384
)

// maxStoreKey bounds the names of job and instance together, in bytes, and
// storedNameMax that of a descriptor, that fit into the name under which one is
// held: the keeper's messages are short. Others are held in a file of memory
// beside it.
const (
	maxStoreKey   = 48
	storedNameMax = 40
)

// defaultStored is the name of what was stored without one.
const defaultStored = "stored"

const (
	storePrefix = "store."
	// textPrefix is for the files that hold the names of others.
	textPrefix = "storetext."
)

// stored is a descriptor that was laid aside.
type stored struct {
	fd     int
	name   string
	serial int
	text   int // holds names that are too long; -1 when there is none
}

func storeKey(class, instance string) string { return class + "\x00" + instance }

// storedNames gives the words that tell whose a descriptor is, and its name.
func storedNames(key string, kept stored) string {
	return hex.EncodeToString([]byte(key)) + "." + hex.EncodeToString([]byte(kept.name))
}

// isLong tells whether those words need a file.
func isLong(key, name string) bool { return len(key) > maxStoreKey || len(name) > storedNameMax }

// heldAs lists under which names a descriptor, and the file beside it, are held
// for the next daemon, the file first.
func (k stored) heldAs(key string) (names []string, fds []int) {
	serial := strconv.Itoa(k.serial)
	if k.text >= 0 {
		return []string{textPrefix + serial, storePrefix + serial}, []int{k.text, k.fd}
	}
	return []string{storePrefix + serial + "." + storedNames(key, k)}, []int{k.fd}
}

func (k stored) close() {
	unix.Close(k.fd)
	if k.text >= 0 {
		unix.Close(k.text)
	}
}

// Store keeps descriptors for the next main of an instance; they are the Set's
// from here on. An error tells of some that are not kept.
func (s *Set) Store(class, instance, name string, fds []int) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !job.ValidFDName(name) {
		name = defaultStored
	}
	key := storeKey(class, instance)
	for _, fd := range fds {
		all := 0
		for _, list := range s.stores {
			all += len(list)
		}
		switch {
		case s.closed || len(s.stores[key]) >= maxStored:
			unix.Close(fd)
			err = fmt.Errorf("cannot keep more than %d descriptors", maxStored)
			continue
		case all >= maxStoredAll:
			unix.Close(fd)
			err = fmt.Errorf("cannot keep a descriptor: %d are kept for all jobs together, and there can be no more", all)
			continue
		}
		if same := slices.ContainsFunc(s.stores[key], func(have stored) bool { return sameFile(have.fd, fd) }); same {
			unix.Close(fd)
			continue
		}
		fd, keepErr := lift(fd)
		if keepErr != nil {
			err = fmt.Errorf("cannot keep a descriptor: %w", keepErr)
			continue
		}
		s.serial++
		kept := stored{fd, name, s.serial, -1}
		if isLong(key, name) {
			if kept.text, keepErr = textFile(storedNames(key, kept)); keepErr != nil {
				unix.Close(fd)
				err = fmt.Errorf("cannot keep a descriptor: its names are long, and there can be no file for them: %w", keepErr)
				continue
			}
		}
		s.stores[key] = append(s.stores[key], kept)
		s.entrust(key, kept)
	}
	return err
}

// entrust has the next daemon find one that is kept.
func (s *Set) entrust(key string, kept stored) {
	if s.opts.Holder == nil {
		return
	}
	names, fds := kept.heldAs(key)
	for i, name := range names {
		_ = s.opts.Holder.Hold(name, fds[i])
	}
}

// textFile makes a file of memory that holds a text.
func textFile(text string) (fd int, err error) {
	if fd, err = unix.MemfdCreate("session-init-names", unix.MFD_CLOEXEC); err != nil {
		return -1, err
	}
	if fd, err = lift(fd); err != nil {
		return -1, err
	}
	if n, err := unix.Pwrite(fd, []byte(text), 0); err != nil || n < len(text) {
		unix.Close(fd)
		return -1, cmp.Or(err, error(unix.ENOSPC))
	}
	return fd, nil
}

// maxText bounds what is read of such a file.
const maxText = 1 << 20

// readText reads it, wherever its offset is; empty when that cannot be.
func readText(fd int) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Size > maxText {
		return ""
	}
	text := make([]byte, st.Size)
	n, err := unix.Pread(fd, text, 0)
	if err != nil {
		return ""
	}
	return string(text[:n])
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
		kept.close()
		if names, _ := kept.heldAs(key); s.opts.Holder != nil {
			for _, name := range names {
				_ = s.opts.Holder.Drop(name)
			}
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
			more, moreFDs := kept.heldAs(key)
			names, fds = append(names, more...), append(fds, moreFDs...)
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
	texts := make(map[string]int) // by serial
	for _, held := range s.opts.Holder.Names() {
		if serial, found := strings.CutPrefix(held, textPrefix); found {
			if texts[serial] = s.take(held); texts[serial] < 0 {
				delete(texts, serial)
			}
		}
	}
	for _, held := range s.opts.Holder.Names() {
		rest, found := strings.CutPrefix(held, storePrefix)
		if !found {
			continue
		}
		fd := s.take(held)
		text, long := texts[rest]
		if long {
			rest += "." + readText(text)
		}
		key, kept, ok := parseStored(rest)
		class, instance, _ := strings.Cut(key, "\x00")
		kept.fd, kept.text = fd, -1
		if long {
			kept.text = text
		}
		if !ok || fd < 0 || !lives(class, instance) {
			if fd >= 0 {
				unix.Close(fd)
			}
			_ = s.opts.Holder.Drop(held)
			continue
		}
		if long {
			delete(texts, strconv.Itoa(kept.serial))
		}
		s.serial = max(s.serial, kept.serial)
		s.stores[key] = append(s.stores[key], kept)
		s.entrust(key, kept)
	}
	for _, serial := range slices.Sorted(maps.Keys(texts)) {
		unix.Close(texts[serial])
		_ = s.opts.Holder.Drop(textPrefix + serial)
	}
	for _, list := range s.stores {
		slices.SortFunc(list, func(a, b stored) int { return a.serial - b.serial })
	}
}

// Stored lists the names of what an instance has laid aside, in the order in
// which it did.
func (s *Set) Stored(class, instance string) (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kept := range s.stores[storeKey(class, instance)] {
		names = append(names, kept.name)
	}
	return names
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
