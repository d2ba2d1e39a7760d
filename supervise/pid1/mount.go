package pid1

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Mount is a file system that everything counts on.
type Mount struct {
	Source, Target, Type string
	Flags                uintptr
	Data                 string
}

// Mounts are those of the beginning, in their order.
func Mounts() []Mount {
	const quiet = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	return []Mount{
		{"proc", "/proc", "proc", quiet, ""},
		{"sysfs", "/sys", "sysfs", quiet, ""},
		{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
		{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666"},
		{"tmpfs", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
	}
}

// mountMissing mounts what is not there. In a container what its manager has
// left out, and we may not mount, is left out.
func mountMissing(m Mount, place Place) error {
	if mounted(m.Target) {
		return nil
	}
	if place == Container {
		// A directory of the image serves as well, and what is mounted here might
		// be mounted for others.
		if m.Target == "/run" {
			return os.MkdirAll(m.Target, 0o755)
		}
		return nil
	}
	return mount(m)
}

func mount(m Mount) error {
	if err := os.Mkdir(m.Target, 0o755); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, unix.EROFS) {
		return err
	}
	err := unix.Mount(m.Source, m.Target, m.Type, m.Flags, m.Data)
	if errors.Is(err, unix.EBUSY) {
		return nil // it is there
	}
	return err
}

// mounted tells whether something is mounted there: a directory on another
// device than the one above it.
func mounted(path string) bool {
	var at, above unix.Stat_t
	if unix.Lstat(path, &at) != nil || unix.Lstat(filepath.Dir(path), &above) != nil {
		return false
	}
	return at.Dev != above.Dev
}

// node is a device.
type node struct {
	path         string
	mode         uint32
	major, minor uint32
}

// makeNodes makes the devices without which no program runs, where no devtmpfs
// has them.
func makeNodes() error {
	for _, n := range [...]node{
		{"/dev/console", 0o600, 5, 1},
		{"/dev/tty", 0o666, 5, 0},
		{"/dev/null", 0o666, 1, 3},
		{"/dev/zero", 0o666, 1, 5},
		{"/dev/urandom", 0o666, 1, 9},
		{"/dev/kmsg", 0o644, 1, 11},
	} {
		if _, err := os.Lstat(n.path); err == nil {
			continue
		}
		if err := unix.Mknod(n.path, unix.S_IFCHR|n.mode, int(unix.Mkdev(n.major, n.minor))); err != nil {
			return fmt.Errorf("%s: %w", n.path, err)
		}
		// The umask does not count.
		if err := unix.Chmod(n.path, n.mode); err != nil {
			return fmt.Errorf("%s: %w", n.path, err)
		}
	}
	for _, link := range [...][2]string{{"/proc/self/fd", "/dev/fd"}, {"fd/0", "/dev/stdin"}, {"fd/1", "/dev/stdout"}, {"fd/2", "/dev/stderr"}} {
		if err := os.Symlink(link[0], link[1]); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// OwnMounts executes the program anew with mounts of its own, in which /proc is
// that of our PID namespace. It returns only when that failed. The mounts of
// others stay as they are.
func OwnMounts(path string, argv, environ []string) error {
	// Only this thread gets the namespace, and only it is left by the exec.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot have mounts of our own: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot have mounts of our own: %w", err)
	}
	m := Mounts()[0]
	if err := unix.Mount(m.Source, m.Target, m.Type, m.Flags, m.Data); err != nil {
		return fmt.Errorf("cannot mount %s: %w", m.Target, err)
	}
	return fmt.Errorf("cannot execute %s: %w", path, syscall.Exec(path, argv, environ))
}
