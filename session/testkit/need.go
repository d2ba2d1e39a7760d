// Package testkit holds what tests of several packages share. It is for
// tests only and knows no package of ours.
package testkit

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Need returns the path of a program that a test drives, and skips the test
// when it is not installed. This is the only way in which a test may be
// skipped, so that all skips read alike and can be listed.
func Need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skip("missing: " + program)
	}
	return path
}

// NeedMounts returns how to start a program in a name space where it may mount
// file systems that nobody else sees, and skips the test where that is denied.
func NeedMounts(t testing.TB) *syscall.SysProcAttr {
	t.Helper()
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	cmd := exec.Command("mount", "-t", "tmpfs", "none", t.TempDir())
	cmd.SysProcAttr = attr
	if cmd.Run() != nil {
		t.Skip("missing: name spaces of one's own for mounts")
	}
	return attr
}

// NeedNetworks returns the words before a command that give it a network of its
// own, and skips the test where that is denied.
func NeedNetworks(t testing.TB) []string {
	t.Helper()
	words := []string{Need(t, "unshare"), "--user", "--map-root-user", "--net"}
	if exec.Command(words[0], append(words[1:len(words):len(words)], "true")...).Run() != nil {
		t.Skip("missing: name spaces of one's own for networks")
	}
	return words
}

// NeedFUSE skips a test where no program may serve a file system.
func NeedFUSE(t testing.TB) {
	t.Helper()
	fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("missing: /dev/fuse")
	}
	fuse.Close()
}

// NeedRun skips a test when the kernel cannot run a kind of program, of which
// this one, which ends by itself, is an example.
func NeedRun(t testing.TB, kind, path string) {
	t.Helper()
	if err := exec.Command(path).Run(); errors.Is(err, syscall.ENOEXEC) {
		t.Skip("missing: a kernel that runs " + kind)
	}
}

// NeedPython returns a Python 3 that has a module, and skips the test when
// there is none. The system's own is asked too, for it alone sees the modules
// of the system's packages.
func NeedPython(t testing.TB, module string) string {
	t.Helper()
	for _, program := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(program)
		if err == nil && exec.Command(path, "-c", "import "+module).Run() == nil {
			return path
		}
	}
	t.Skip("missing: python3-" + module)
	return ""
}

// NeedGroups skips a test where no cgroup v2 is delegated to us, as the error
// of making one says.
func NeedGroups(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Skip("missing: a cgroup v2 that we may write")
	}
}

// NeedIn is Need for a program that is looked for in the directories of path,
// which stand as in PATH.
func NeedIn(t testing.TB, path, program string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(path) {
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found
		}
	}
	t.Skip("missing: " + program)
	return ""
}

// NeedPrivate returns the words before a command that give it a network of its
// own and mounts that nobody else sees, with the rights of root, and skips the
// test where that is denied.
func NeedPrivate(t testing.TB) []string {
	t.Helper()
	words := []string{Need(t, "unshare"), "--net", "--mount"}
	if exec.Command(words[0], append(words[1:len(words):len(words)], "true")...).Run() != nil {
		t.Skip("missing: root's right to name spaces of one's own")
	}
	return words
}

// NeedRoot skips a test of what only root may do to itself.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("missing: root")
	}
}

// NeedFilter skips a test where no filter of system calls can be set, as the error
// of one who tried says.
func NeedFilter(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Skip("missing: filters of system calls")
	}
}

// NeedFile skips a test when no file is of one of the patterns.
func NeedFile(t testing.TB, name string, patterns ...string) {
	t.Helper()
	for _, pattern := range patterns {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return
		}
	}
	t.Skip("missing: " + name)
}
