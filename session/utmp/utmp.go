// Package utmp reads and writes the record of the runlevel in /run/utmp and
// /var/log/wtmp, where `who -r` and `runlevel` look for it, and writes to the
// terminals of who is logged in by the first; see utmp(5). It keeps no other
// record: logins are their programs' affair.
package utmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Current holds what is so, and Log what has been. A machine without one of them
// wants none.
const (
	Current = "/run/utmp"
	Log     = "/var/log/wtmp"
)

// None is the level before the first.
const None = 'N'

const (
	runLevel = 1 // RUN_LVL
	bootTime = 2 // BOOT_TIME
)

// Where the fields are that we use. Where the C library keeps the time in 64
// bits the record is longer; see bits/types/struct_utmp.h.
const (
	atPid  = 4
	atLine = 8
	atID   = 40
	atUser = 44
	atHost = 76
)

// layout tells the size of a record, and where its time is.
func layout(arch string) (size, atTime int, wide bool) {
	switch arch {
	case "arm64", "loong64":
		return 400, 344, true
	}
	return 384, 340, false
}

// record makes one.
func record(kind uint16, pid uint32, id, line, user, release string, now time.Time) []byte {
	size, atTime, wide := layout(runtime.GOARCH)
	r := make([]byte, size)
	order := binary.NativeEndian
	order.PutUint16(r, kind)
	order.PutUint32(r[atPid:], pid)
	copy(r[atLine:atLine+31], line)
	copy(r[atID:atID+4], id)
	copy(r[atUser:atUser+31], user)
	copy(r[atHost:atHost+255], release)
	if wide {
		order.PutUint64(r[atTime:], uint64(now.Unix()))
		order.PutUint64(r[atTime+8:], uint64(now.Nanosecond()/1000))
	} else {
		order.PutUint32(r[atTime:], uint32(now.Unix()))
		order.PutUint32(r[atTime+4:], uint32(now.Nanosecond()/1000))
	}
	return r
}

// Runlevel reads the level, and the one before, out of a file such as Current:
// None for one that there was not. A file that is not there holds none.
func Runlevel(path string) (previous, current byte, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return None, None, nil
	}
	if err != nil {
		return None, None, fmt.Errorf("cannot read the runlevel: %w", err)
	}
	size, _, _ := layout(runtime.GOARCH)
	previous, current = None, None
	for ; len(data) >= size; data = data[size:] {
		if order := binary.NativeEndian; order.Uint16(data) == runLevel {
			pid := order.Uint32(data[atPid:])
			current, previous = byte(pid), byte(pid>>8)
		}
	}
	if previous == 0 {
		previous = None
	}
	return previous, current, nil
}

// SetRunlevel writes a level down: in the place of the one that a file such as
// Current has, and behind what is in one such as Log. One that is not there is
// not made; Boot makes Current.
func SetRunlevel(current, log string, previous, level byte, now time.Time) error {
	r := record(runLevel, uint32(previous)<<8|uint32(level), "~~", "~", "runlevel", release(), now)
	return errors.Join(replace(current, runLevel, r), appendTo(log, r))
}

// Boot writes down that the machine has begun, and makes Current, which is
// there for no other boot. log is empty while there is no disk; see BootOnce.
func Boot(current, log string, now time.Time) error {
	r := record(bootTime, 0, "~~", "~", "reboot", release(), now)
	file, err := os.OpenFile(current, os.O_CREATE|os.O_WRONLY, 0o664)
	if err == nil {
		err = file.Close()
	}
	return errors.Join(err, replace(current, bootTime, r), appendTo(log, r))
}

// Shutdown writes down that the machine ends, behind what is in a file such as
// Log.
func Shutdown(log string, now time.Time) error {
	return appendTo(log, record(runLevel, 0, "~~", "~~", "shutdown", release(), now))
}

// BootOnce writes down, when there is a disk, what Boot could not: that the
// machine has begun. A daemon that comes later finds that it is done. Scripts of
// the beginning may have emptied Current; then it gets its record again, with the
// time that is given.
func BootOnce(current, log string, began time.Time) error {
	r := record(bootTime, 0, "~~", "~", "reboot", release(), began)
	now, err := lastBoot(current)
	if err != nil {
		return err
	}
	if now != nil {
		r = now
	} else if err := replace(current, bootTime, r); err != nil {
		return err
	}
	if known, err := lastBoot(log); err != nil || bytes.Equal(known, r) {
		return err
	}
	return appendTo(log, r)
}

// lastBoot returns the last record of a file that tells of a beginning; nil for
// none, and for no file.
func lastBoot(path string) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read when the machine began: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read when the machine began: %w", err)
	}
	size, _, _ := layout(runtime.GOARCH)
	r := make([]byte, size)
	for at := (info.Size()/int64(size) - 1) * int64(size); at >= 0; at -= int64(size) {
		if _, err := file.ReadAt(r, at); err != nil {
			return nil, fmt.Errorf("cannot read when the machine began: %w", err)
		}
		if binary.NativeEndian.Uint16(r) == bootTime {
			return r, nil
		}
	}
	return nil, nil
}

// release is the kernel's.
func release() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// replace puts a record where one of its kind is, else behind all.
func replace(path string, kind uint16, r []byte) error {
	return locked(path, os.O_RDWR, func(f *os.File) error {
		data, err := io.ReadAll(f)
		if err != nil {
			return err
		}
		// A part of a record at the end is nobody's.
		at := int64(len(data) / len(r) * len(r))
		for i := 0; i+len(r) <= len(data); i += len(r) {
			if binary.NativeEndian.Uint16(data[i:]) == kind && bytes.HasPrefix(data[i+atLine:], []byte("~\x00")) {
				at = int64(i)
				break
			}
		}
		_, err = f.WriteAt(r, at)
		return err
	})
}

func appendTo(path string, r []byte) error {
	if path == "" {
		return nil
	}
	return locked(path, os.O_WRONLY|os.O_APPEND, func(f *os.File) error {
		_, err := f.Write(r)
		return err
	})
}

// locked opens a file with the lock that the C library's functions take.
func locked(path string, flags int, use func(*os.File) error) error {
	file, err := os.OpenFile(path, flags, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot write the runlevel: %w", err)
	}
	defer file.Close()
	// Closing gives it back. Without it the record is written all the same.
	_ = unix.FcntlFlock(file.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err := use(file); err != nil {
		return fmt.Errorf("cannot write the runlevel: %w", err)
	}
	return nil
}
