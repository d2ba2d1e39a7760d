package supervise

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// scriptFD is where a shell finds its script. It has one digit because dash
// knows no other in a redirection.
const scriptFD = 9

// scriptPath is what the shell is told to read.
var scriptPath = "/proc/self/fd/" + strconv.Itoa(scriptFD)

// scriptHead keeps the descriptor from the script's commands. The shell
// reads scriptPath through a descriptor of its own, which it keeps to itself,
// so ours can go with the first command. It stands on the first line of the
// script, so that line numbers stay right.
var scriptHead = "exec " + strconv.Itoa(scriptFD) + "<&-; "

// openScript returns a descriptor of a file in memory that holds the script.
// A file, unlike a pipe, holds any length without a writer that waits; unlike
// an argument it is not bounded to 128 KiB.
func openScript(text string) (fd int, err error) {
	const name = "script"
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	for rest := []byte(scriptHead + text); len(rest) > 0; {
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
