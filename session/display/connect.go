package display

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Conn is a connection to a display. It asks for nothing.
type Conn struct{ net.Conn }

// Connect connects to a display by its name; lookup gives the variables with
// which an X server is asked. The error says what was tried.
func Connect(ctx context.Context, name string, lookup func(string) string) (*Conn, error) {
	if path, ok := strings.CutPrefix(name, wayland); ok {
		conn, err := dial(ctx, "unix", path)
		if err != nil {
			return nil, fmt.Errorf("cannot connect to the display %s: %w", path, err)
		}
		return &Conn{conn}, nil
	}
	rest, ok := strings.CutPrefix(name, x11)
	if !ok {
		return nil, fmt.Errorf("cannot connect to the display %s: it is neither of Wayland nor of X11", name)
	}
	at := strings.LastIndexByte(rest, ':')
	host, number := rest[:max(at, 0)], rest[at+1:]
	conn, err := connectX(ctx, host, number)
	if err == nil {
		if err = setUp(ctx, conn, cookie(lookup, host, number)); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the display %s: %w", rest, err)
	}
	return &Conn{conn}, nil
}

// connectX finds the X server: on this machine at a path or, on Linux, at a
// name without a file, else by TCP.
func connectX(ctx context.Context, host, number string) (net.Conn, error) {
	if host != "" {
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, err
		}
		return dial(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(firstPort+n)))
	}
	const socket = "/tmp/.X11-unix/X"
	conn, err := dial(ctx, "unix", socket+number)
	if err != nil {
		if abstract, other := dial(ctx, "unix", "@"+socket+number); other == nil {
			return abstract, nil
		}
	}
	return conn, err
}

func dial(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err // the address stands before it
	}
	return conn, err
}

// Gone reports whether an error of Connect means that there is no display of
// that name, and not only that it could not be reached. One that takes the
// connection and drops it without a word is about to end: a server that has no
// room, or does not want us, says so.
func Gone(err error) bool {
	for _, end := range []error{fs.ErrNotExist, syscall.ECONNREFUSED, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// Wait returns when the display has closed the connection, or Close was
// called. What it says meanwhile is of no interest.
func (c *Conn) Wait() {
	// An X server tells everybody when the keyboard changes.
	_, _ = io.Copy(io.Discard, onlyReader{c.Conn})
}

// onlyReader hides what else a connection can do: the kernel would be asked
// to move what is read, of which there is next to nothing.
type onlyReader struct{ io.Reader }

// Ended reports whether the display has closed the connection already. It must
// not be called while Wait does, unless with the answer of Wait in doubt: it
// takes nothing.
func (c *Conn) Ended() bool {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	ended := false
	err = control.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = err == nil && n == 0 || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
	})
	return ended || err != nil
}

// setUpTime bounds the set-up of a connection to an X server.
const setUpTime = 5 * time.Second
