package supervise

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// scriptFD is where a shell finds its script. It has one digit because dash
// knows no other in a redirection.
const scriptFD = 9

// scriptPlace is where the script of a spec is found: behind its files, when
// these need that number.
func scriptPlace(spec *Spec) int { return max(scriptFD, FirstFile+len(spec.Files)) }

// scriptPath is what the shell is told to read.
func scriptPath(at int) string { return "/proc/self/fd/" + strconv.Itoa(at) }

// scriptHead keeps the descriptor from the script's commands. The shell
// reads scriptPath through a descriptor of its own, which it keeps to itself,
// so ours can go with the first command. It stands on the first line of the
// script, so that line numbers stay right. Behind many files it stays, and
// so does dash's own where there is no low number left for it.
var scriptHead = "exec " + strconv.Itoa(scriptFD) + "<&-; "

// openScript returns a descriptor of a file in memory that holds the script.
// A file, unlike a pipe, holds any length without a writer that waits; unlike
// an argument it is not bounded to 128 KiB.
func openScript(text string, at int) (fd int, err error) {
	if at == scriptFD {
		text = scriptHead + text
	}
	const name = "script"
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	for rest := []byte(text); len(rest) > 0; {
		n, err := unix.Write(fd, rest)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
		rest = rest[n:]
	}
	return lift(fd)
}
