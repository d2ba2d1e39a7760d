package supervise

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// askPatience bounds how long a program that is asked may take: a name service
// whose server is away answers late.
const askPatience = 30 * time.Second

// Ask runs a program that answers on standard output, and returns that. Its exit
// status nobody gets: the reaper takes every child there is. It blocks, and is for
// goroutines beside the loop. The first of the paths counts at which there is a
// program.
func Ask(paths []string, args, env []string) (string, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("cannot ask %s: %w", paths[0], err)
	}
	defer read.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		write.Close()
		return "", fmt.Errorf("cannot ask %s: %w", paths[0], err)
	}
	defer null.Close()
	pidfd := -1
	attr := &syscall.ProcAttr{Dir: "/", Env: env, Files: []uintptr{null.Fd(), write.Fd(), null.Fd()},
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd}}
	for _, path := range paths {
		if _, err = syscall.ForkExec(path, append([]string{path}, args...), attr); err == nil {
			break
		}
	}
	write.Close()
	if err != nil {
		return "", fmt.Errorf("cannot ask %s: %w", paths[0], err)
	}
	if pidfd >= 0 {
		defer unix.Close(pidfd)
	}
	if err = read.SetReadDeadline(time.Now().Add(askPatience)); err == nil {
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(read, 1<<20)); err == nil {
			return string(text), nil
		}
	}
	if pidfd >= 0 {
		// By its descriptor, as its pid may be another's by now.
		_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
	}
	return "", fmt.Errorf("cannot ask %s: %w", paths[0], err)
}
