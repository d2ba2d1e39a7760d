package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serveAs, in the environment, makes this program a server that is handed its
// sockets, and not a test. It says who it is to whoever connects.
const serveAs = "SESSION_INIT_TEST_SERVER"

// serve is the life of such a server:
//
//	wait    it serves until TERM, and then those who have been accepted
//	store   likewise; the first lays the end of a pipe aside
//	once    it serves one connection
//	leave   it ends and serves nobody
func serve(way string) int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 40
	}
	count, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || way == "leave" {
		return 41
	}
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	if len(names) != count {
		return 42
	}
	var listeners []net.Listener
	kept := "nothing"
	for i, name := range names {
		file := os.NewFile(uintptr(3+i), name)
		if l, err := net.FileListener(file); err == nil {
			listeners = append(listeners, l)
		} else if name == "kept" {
			text := make([]byte, 16)
			// The other is the end that is written to.
			if n, _ := file.Read(text); n > 0 {
				kept = string(text[:n])
			}
		}
	}
	if way == "store" && kept == "nothing" {
		r, w, _ := os.Pipe()
		for range 8 {
			io.WriteString(w, "x")
		}
		laidAside(r)
		laidAside(w)
		awaitHeard()
	}
	hello := fmt.Sprintf("%d %s %s|%s\n", os.Getpid(), os.Getenv("LISTEN_FDNAMES"), os.Getenv("UPSTART_FDS"), kept)
	var serving sync.WaitGroup
	one := make(chan bool, 1024)
	for _, l := range listeners {
		serving.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(conn, hello)
				conn.Close()
				select {
				case one <- true:
				default:
				}
				if way == "once" {
					return
				}
			}
		})
	}
	if way == "once" {
		<-one
	} else {
		<-ended
	}
	for _, l := range listeners {
		l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Unix(1, 0))
	}
	serving.Wait()
	return 0
}

// laidAside has the daemon keep a descriptor.
func laidAside(file *os.File) { say("FDSTORE=1\nFDNAME=kept\n", file) }

// say tells the daemon something, with a descriptor.
func say(text string, file *os.File) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		err = unix.Sendmsg(fd, []byte(text), unix.UnixRights(int(file.Fd())),
			&unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}, 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// awaitHeard returns when the daemon has heard what was said to it, see
// sd_notify_barrier(3): what a process that has ended said may be not.
func awaitHeard() {
	r, w, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer r.Close()
	say("BARRIER=1", w)
	w.Close()
	r.Read(make([]byte, 1)) // the end comes when the daemon has closed it too
}

// server writes a job whose main process is such a server.
func (r *rig) server(name, way, stanzas string) {
	r.t.Helper()
	self, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	r.job(name, stanzas+"\nenv "+serveAs+"="+way+"\nexec "+self)
}

// call connects and gives the line that the server says.
func call(network, address string) (string, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

// called waits for a socket, calls and wants the words that a server says after
// its pid, which it returns.
func (r *rig) called(network, address, want string) (pid int) {
	r.t.Helper()
	r.until("the socket "+address, func() bool {
		line, err := call(network, address)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED) {
			return false
		}
		if err != nil {
			r.t.Fatalf("%s: %v\n%s", address, err, r.stderr)
		}
		number, rest, _ := strings.Cut(line, " ")
		if pid, _ = strconv.Atoi(number); rest != want {
			r.t.Errorf("the server at %s says %q; want %q", address, rest, want)
		}
		return true
	})
	return pid
}

// refuses reports whether nobody listens.
func refuses(path string) bool {
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED)
}

// TestSocket: the first connection starts the job, which finds its sockets, of
// whatever kind; after a stop the next one does.
func TestSocket(t *testing.T) {
	r := newRig(t)
	port := r.freePort()
	r.server("svc", "wait", "expect none\nstart on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/deep/svc.sock FDNAME=path "+
		"or socket PROTO=inet PORT="+port+" ADDR=127.0.0.1 or socket PROTO=unix SOCKET_PATH=@$XDG_RUNTIME_DIR/svc FDNAME=abstract")
	r.job("witness", "task\nstart on socket SOCKET_PATH=*/svc.sock\nexec sh -c 'echo $PROTO $SOCKET_PATH >> $T'")
	r.start()
	path := filepath.Join(r.run, "deep/svc.sock")
	const says = "path:svc:abstract 3 4 5|nothing"
	first := r.called("unix", path, says)
	r.becomes("svc running (start), process PID\n", "svc")
	if got := r.main("svc"); got != first {
		t.Errorf("the process %d serves; want %d", first, got)
	}
	r.traced("unix " + path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the path is %v, %v; want the mode 0600", info, err)
	}
	r.ok("sctl", "stop", "svc")
	r.called("tcp", "127.0.0.1:"+port, says)
	r.ok("sctl", "stop", "svc")
	r.called("unix", "@"+r.run+"/svc", says)
	r.ok("sctl", "restart", "svc")
	r.called("unix", path, says)
	r.ok("sctl", "stop", "svc")
	r.ok("sctl", "start", "svc")
	r.called("unix", path, says)
	// Another definition keeps the socket, one without it does not.
	r.ok("sctl", "stop", "svc")
	r.server("svc", "wait", "start on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/deep/svc.sock")
	// To connect would start the job, and with it keep the definition.
	r.until("the other definition", func() bool { return !r.listens("@" + r.run + "/svc") })
	r.called("unix", path, "svc 3|nothing")
	os.Remove(filepath.Join(r.conf, "svc.conf"))
	r.ok("sctl", "stop", "svc")
	r.until("the end of the socket", func() bool { _, err := os.Lstat(path); return os.IsNotExist(err) })
	r.server("svc", "wait", "start on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/deep/svc.sock")
	r.called("unix", path, "svc 3|nothing")
	if status := r.end(); status != 0 {
		t.Errorf("the daemon ended with status %d", status)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the path is left behind: %v", err)
	}
}

// listens reports, without connecting, whether there is a Unix socket of that
// name.
func (r *rig) listens(name string) bool {
	r.t.Helper()
	list, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.Contains(string(list), " "+name+"\n")
}

// mostWaiting is how many calls of a storm may wait at a time: fewer than the
// kernel has wait for one socket, SOMAXCONN, beyond which it refuses them.
const mostWaiting = 1000

// storm calls a socket a thousand times a second until it is told to stop, and
// returns how often, and what went wrong.
func storm(path string) (stop func() (int, []error)) {
	var mu sync.Mutex
	var wrong []error
	var all sync.WaitGroup
	count := 0
	over, done := make(chan bool), make(chan bool)
	waiting := make(chan bool, mostWaiting)
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for began := time.Now(); ; {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			// Ticks are dropped when there is much to do.
			for due := int(time.Since(began) / time.Millisecond); count < due; count++ {
				select {
				case <-over:
					return
				case waiting <- true:
				}
				all.Go(func() {
					defer func() { <-waiting }()
					if _, err := call("unix", path); err != nil {
						mu.Lock()
						defer mu.Unlock()
						wrong = append(wrong, err)
					}
				})
			}
		}
	}()
	return func() (int, []error) {
		close(over)
		<-done
		all.Wait()
		return count, wrong
	}
}

// TestSocketUnderLoad: nobody is refused or left alone while the job is
// restarted, respawned, stopped, and the daemon replaced and killed.
func TestSocketUnderLoad(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		do   func(r *rig)
	}{
		{"keeper", nil, func(r *rig) { r.ok("sctl", "re-exec"); r.crash() }},
		{"alone", []string{"--no-keeper"}, func(r *rig) { r.ok("sctl", "re-exec") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.args = append(r.args, c.args...)
			r.server("svc", "wait", "start on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/svc.sock")
			r.start()
			path := filepath.Join(r.run, "svc.sock")
			r.called("unix", path, "svc 3|nothing")
			stop := storm(path)
			for range 3 {
				for range 3 {
					r.ok("sctl", "restart", "svc")
				}
				c.do(r)
			}
			r.command("sctl", "stop", "svc")
			c.do(r)
			count, wrong := stop()
			if len(wrong) > 0 {
				t.Errorf("%d of %d connections were not served, the first: %v\n%s", len(wrong), count, wrong[0], r.stderr)
			}
			t.Logf("%d connections", count)
			r.command("sctl", "stop", "svc")
			c.do(r)
			r.called("unix", path, "svc 3|nothing")
		})
	}
}

// TestSocketLimit: a job that serves nobody is not started for ever.
func TestSocketLimit(t *testing.T) {
	r := newRig(t)
	r.server("svc", "leave", "respawn limit 3 600\nstart on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/svc.sock")
	r.server("once", "once", "respawn limit unlimited\nstart on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/once.sock")
	r.start()
	path := filepath.Join(r.run, "svc.sock")
	shut := func() {
		t.Helper()
		r.until("the socket", func() bool { return !refuses(path) })
		r.until("the socket to be shut", func() bool { return refuses(path) })
	}
	shut()
	r.logged("svc: started more than 3 times in 10m0s by connections: its sockets are shut")
	if why := r.ok("sctl", "why", "svc"); !strings.Contains(why, "unix:"+path) || !strings.Contains(why, "shut") {
		t.Errorf("why says %q; want the socket, and that it is shut", why)
	}
	r.command("sctl", "start", "svc")
	shut()
	r.ok("sctl", "reload-configuration")
	shut()
	first := r.called("unix", filepath.Join(r.run, "once.sock"), "once 3|nothing")
	for range 20 {
		if next := r.called("unix", filepath.Join(r.run, "once.sock"), "once 3|nothing"); next == first {
			t.Errorf("the process %d serves again", next)
		}
	}
}

// TestSocketRefused: what cannot be listened at is said once in a sentence, and
// is no reason to die; what somebody has left is replaced.
func TestSocketRefused(t *testing.T) {
	r := newRig(t)
	taken := filepath.Join(r.run, "taken.sock")
	other, err := net.Listen("unix", taken)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(r.run, "left.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	r.write("run/file.sock", "text")
	for name, path := range map[string]string{"taken": taken, "left": r.run + "/left.sock", "file": r.run + "/file.sock", "nowhere": r.dir + "/nowhere/x.sock", "unset": "$UNSET/x.sock"} {
		r.server(name, "wait", "start on socket PROTO=unix SOCKET_PATH="+path)
	}
	r.job("wrong", "start on socket PROTO=inet PORT=http\nexec true")
	r.start()
	r.called("unix", r.run+"/left.sock", "left 3|nothing")
	for name, want := range map[string]string{
		"taken":   "cannot listen on unix:" + taken + ": another program listens there",
		"file":    "cannot listen on unix:" + r.run + "/file.sock: there is a file at that path, and it is no socket",
		"nowhere": "cannot listen on unix:" + r.dir + "/nowhere/x.sock: there is no directory " + r.dir + "/nowhere",
		"unset":   "cannot listen on PROTO=unix SOCKET_PATH=$UNSET/x.sock: '$UNSET/x.sock' cannot be expanded: ",
	} {
		r.logged(name + ": " + want)
		if got := r.command("sctl", "start", name); got.status != 1 || !strings.Contains(got.errOut, want) {
			t.Errorf("sctl start %s = %+v; want status 1 and %q", name, got, want)
		}
	}
	r.logged("wrong.conf:1:10: no such socket can be made: PORT=http is no port (expected 1 to 65535)")
	other.Close()
	r.ok("sctl", "start", "taken")
	r.called("unix", taken, "taken 3|nothing")
}

// TestFDStore: what a job lays aside its next process gets, over deaths of both
// the process and the daemon; a stop gives it up.
func TestFDStore(t *testing.T) {
	r := newRig(t)
	r.server("svc", "store", "expect none\nwatchdog 600\nrespawn\nstart on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/svc.sock")
	r.start()
	path := filepath.Join(r.run, "svc.sock")
	r.called("unix", path, "svc 3|nothing")
	again := func() {
		t.Helper()
		main := r.main("svc")
		unix.Kill(main, unix.SIGKILL)
		r.until("another main process", func() bool {
			out := r.ok("sctl", "status", "svc")
			return strings.HasPrefix(out, "svc running (start), process ") && !strings.Contains(out, strconv.Itoa(main))
		})
		r.called("unix", path, "svc:kept:kept 3|xxxxxxxx")
	}
	again()
	r.ok("sctl", "stop", "svc")
	r.called("unix", path, "svc 3|nothing")
	r.ok("sctl", "re-exec")
	r.crash()
	again()
}

// TestSocketOverPanic: without a keeper, too, the client whose connection
// started the job is served when the daemon dies of that.
func TestSocketOverPanic(t *testing.T) {
	r := newFaultyRig(t)
	r.args = append(r.args, "--no-keeper")
	r.server("svc", "wait", "start on socket PROTO=unix SOCKET_PATH=$XDG_RUNTIME_DIR/svc.sock")
	r.start()
	path := filepath.Join(r.run, "svc.sock")
	r.until("the socket", func() bool { return r.listens(path) })
	r.arm("before-clone", "panic 1")
	r.called("unix", path, "svc 3|nothing")
	r.logged("the daemon executes itself anew")
	if r.isArmed("before-clone") {
		t.Error("the point was not passed")
	}
	r.ok("sctl", "stop", "svc")
}
