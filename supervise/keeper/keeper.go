package keeper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/supervise/footprint"
	"github.com/session-init/session-init/supervise/scarce"
	"github.com/session-init/session-init/supervise/sink"
)

const (
	// longLife is how long a daemon must have lived for its death to be no
	// part of a series.
	longLife = 10 * time.Second
	// firstDelay is the pause before the second try of a series; it is
	// doubled for each further one, up to lastDelay. The first comes at
	// once.
	firstDelay = 50 * time.Millisecond
	lastDelay  = 5 * time.Second
	// maxUnready is how many daemons in a row may die before they are ready.
	maxUnready = 12
	// linkPatience is how long a dead daemon's last words are waited for.
	linkPatience = time.Second
	// maxHeld bounds what a daemon can have held: each inherits all of it.
	maxHeld = 1024
	// logSize bounds what of the log waits to be written, in bytes, and
	// logPatience how long the end, and the next image, wait for that.
	logSize     = 64 << 10
	logPatience = time.Second
)

// Config says what to keep.
type Config struct {
	// Path is the daemon's program. An upgrade may replace it: the next
	// daemon is the new one.
	Path string
	Argv []string
	Env  []string
	// Log takes the keeper's few lines, which are lost where it takes none.
	Log io.Writer
	// Tell, if there is one, gets a newline when the first daemon is ready, and
	// is closed; it is the keeper's. Who waits sees it end without when there
	// will be none.
	Tell *os.File
	// First makes it the first process of a machine or container; nil: it is
	// a user's.
	First *First
	// Fail is called at named points, where a build for tests may panic; nil:
	// nothing is done there.
	Fail func(point string)
}

// keeper is the state of Run. Its lock guards what the goroutine that reads
// the link shares with the one that waits.
type keeper struct {
	cfg Config
	log *sink.Sink

	mu     sync.Mutex
	pid    int // of the daemon; 0 when there is none
	ready  bool
	over   bool             // the last daemon ended in good order
	calmed chan struct{}    // asks for memory to be given back; nil until it is needed
	passed []syscall.Signal // each once
	names  []string
	held   []int // descriptors: files of ours would be watched by the runtime
	link   *os.File
	// served is closed when all that the daemon said has been taken.
	served chan struct{}
	// exits are those that no daemon has said to have seen; the first sent
	// of them were written to the link.
	exits []ended
	sent  int
	more  *sync.Cond

	heeded  []syscall.Signal
	signals chan os.Signal
	drained chan struct{}
	// how is how the daemon wants the machine to end; see First. at once: it is
	// not waited for.
	how    string
	atOnce bool
	// urgent is closed when atOnce is set: whoever waits is not to any more.
	urgent chan struct{}
	// look asks for the next end of a child, and found answers; grace is how long
	// a daemon may take to end by KILL.
	look, found chan struct{}
	grace       time.Duration
	// shell: the process that is waited for is an emergency shell.
	shell bool
	// loaded: another image of this process has begun all this. deaths belongs
	// to the goroutine that waits, under the lock.
	loaded bool
	deaths deaths

	// began is when this image did; faults counts the panics of it and of those
	// before, in a row, and belongs to who has faulting.
	began    time.Time
	faulting sync.Mutex
	faults   int
}

// ended is a process that fell to the keeper and ended. One with the pid 0 is
// the answer to a "sync", which keeps its place among them.
type ended struct {
	pid    int
	status syscall.WaitStatus
}

// Run keeps a daemon until it ends by itself, and returns its exit status. A
// daemon that fails before it was ready once is not tried again.
func Run(cfg Config) int {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintf(cfg.Log, "session-init: the keeper cannot become a subreaper: %v\n", err)
		return 1
	}
	k := newKeeper(cfg)
	defer k.log.Close(logPatience)
	k.loaded = k.load()
	link := k.link
	go k.do("telling", k.tell)
	k.listen()
	defer signal.Stop(k.signals)
	go k.do(hearing, k.hear)
	if cfg.First != nil {
		go k.do("watching", k.watch)
	}
	if k.loaded {
		if err := mask(unix.SIG_UNBLOCK, k.signalSet()); err != nil {
			fmt.Fprintf(k.log, "session-init: the keeper cannot unblock signals: %v\n", err)
		}
		if link != nil {
			k.say("back")
			k.attend(link)
		}
	}
	status := 1
	k.do("waiting", func() {
		if cfg.First != nil {
			status = k.keepFirst()
		} else {
			status = k.keep()
		}
	})
	return status
}

// newKeeper returns one that has not begun but to write its log.
func newKeeper(cfg Config) *keeper {
	k := &keeper{cfg: cfg, heeded: heeded(cfg.First != nil), signals: make(chan os.Signal, 8), drained: make(chan struct{}, 1), began: time.Now(),
		urgent: make(chan struct{}), look: make(chan struct{}, 1), found: make(chan struct{}), grace: killPatience}
	k.more = sync.NewCond(&k.mu)
	k.log = sink.New(cfg.Log, logSize, linesLost, func(run func()) { go k.do("writing", run) })
	return k
}

// linesLost is the line that tells how many others were lost.
func linesLost(lost int) string {
	return fmt.Sprintf("session-init: the keeper's lines were not read in time: %d are lost\n", lost)
}

// fail passes a named point.
func (k *keeper) fail(point string) {
	if k.cfg.Fail != nil {
		k.cfg.Fail(point)
	}
}

// heard takes one signal.
func (k *keeper) heard(s os.Signal) {
	if s == drained {
		k.drained <- struct{}{}
		return
	}
	k.insist(func() {
		k.fail("keeper-hearing")
		if k.cfg.First != nil {
			k.mean(s.(syscall.Signal))
		} else {
			k.forward(s.(syscall.Signal))
		}
	})
}

// attend begins to take what a daemon says. Before that, or with the lock.
func (k *keeper) attend(link *os.File) {
	served := make(chan struct{})
	k.served = served
	go func() {
		defer close(served)
		k.do("listening", func() { k.serve(link) })
		k.unlink(link)
	}()
}

// unlink closes our end of a link of which the other is closed.
func (k *keeper) unlink(link *os.File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.link == link {
		k.link = nil
	}
	link.Close()
}

// has reports whether there is a daemon, or a shell in its place.
func (k *keeper) has() (daemon, shell bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.pid != 0 && !k.shell, k.pid != 0 && k.shell
}

// forward passes a signal on. It is sent again to each daemon that becomes
// ready: it may have come before that could take it, or while there was none,
// or the one that had it may have died of something else. To be asked again for
// the end of the session, or to read the files again, changes nothing.
func (k *keeper) forward(s syscall.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pid != 0 {
		unix.Kill(k.pid, s)
	}
	if !slices.Contains(k.passed, s) {
		k.passed = append(k.passed, s)
	}
}

func (k *keeper) keep() int {
	for {
		began := time.Now()
		if daemon, _ := k.has(); !daemon {
			k.pause(k.deaths.delay)
			began = time.Now()
			if err := k.spawn(k.deaths.unready); err != nil {
				fmt.Fprintf(k.log, "session-init: the keeper cannot start the daemon: %v\n", err)
				if !k.deaths.ever || !k.goOn(began) {
					return 1
				}
				continue
			}
		}
		status, wasReady := k.wait()
		ever := k.died(wasReady)
		switch {
		case status.Exited() && status.ExitStatus() == 0:
			return 0
		case !ever && status.Exited():
			return status.ExitStatus()
		case !ever:
			return 1
		}
		fmt.Fprintf(k.log, "session-init: the daemon died (%s), starting it again: its jobs run on\n", describe(status))
		if !k.goOn(began) {
			return 1
		}
	}
}

// died notes the end of a daemon, and reports whether one was ever ready.
func (k *keeper) died(wasReady bool) (ever bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deaths.ever = k.deaths.ever || wasReady
	if wasReady {
		k.deaths.unready = -1
	}
	return k.deaths.ever
}

// goOn counts a daemon's end, and reports false when it was one too many.
func (k *keeper) goOn(began time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := &k.deaths
	if d.unready++; d.unready > maxUnready {
		fmt.Fprintf(k.log, "session-init: the daemon died %d times before it was ready: giving up, its jobs run on\n", d.unready)
		return false
	}
	if d.series++; time.Since(began) > longLife {
		d.delay, d.series = 0, 0
	} else if d.series > 1 {
		d.delay = min(max(2*d.delay, firstDelay), lastDelay)
	}
	return true
}

// rest puts off what would take the processor, and the machine, with it.
func rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

// pause is rest before the next try of a daemon that dies at once. What does not
// wait for a daemon ends it.
func (k *keeper) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-k.urgent:
	}
}

func describe(status syscall.WaitStatus) string {
	if status.Signaled() {
		return "killed by signal " + fmt.Sprint(int(status.Signal()))
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// spawn starts a daemon with its end of a new link and all that is held.
func (k *keeper) spawn(unready int) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs := os.NewFile(uintptr(fds[1]), "link")
	defer theirs.Close()
	link := os.NewFile(uintptr(fds[0]), "link")

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.atOnce {
		link.Close()
		return errAtOnce
	}
	files := []uintptr{0, 1, 2}
	handed := []string{fmt.Sprint(unready), fmt.Sprint(os.Getpid())}
	hand := func(name string, fd uintptr) {
		handed = append(handed, fmt.Sprintf("%s=%d", name, len(files)))
		files = append(files, fd)
	}
	hand(linkName, theirs.Fd())
	for i, fd := range k.held {
		hand(k.names[i], uintptr(fd))
	}
	env := append(Without(k.cfg.Env), variable+"="+strings.Join(handed, " "))
	// Threads of an image that began with signals blocked have them blocked; a
	// child gets what the thread has that makes it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	unblockHere(k.signalSet())
	attr := &syscall.ProcAttr{Env: env, Files: files}
	pid, err := syscall.ForkExec(k.cfg.Path, k.cfg.Argv, attr)
	if errors.Is(err, unix.ENOENT) {
		// An upgrade has moved it away: there is still what we run.
		pid, err = syscall.ForkExec("/proc/self/exe", k.cfg.Argv, attr)
	}
	if err != nil {
		link.Close()
		return err
	}
	k.pid, k.ready, k.over, k.link, k.sent = pid, false, false, link, 0
	k.exits = slices.DeleteFunc(k.exits, func(e ended) bool { return e.pid == 0 })
	k.more.Signal()
	k.attend(link)
	return nil
}

// tell writes what ended to the daemon that is there. A message may be lost
// with a daemon, so that all are written again to the next one that were not
// said to have been seen.
func (k *keeper) tell() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		for k.link == nil || k.sent == len(k.exits) {
			k.more.Wait()
		}
		k.fail("keeper-telling")
		link, e := k.link, k.exits[k.sent]
		line := fmt.Sprintf("exit %d %d", e.pid, e.status)
		if e.pid < 0 {
			line = fmt.Sprintf("signal %d", -e.pid)
		}
		if e.pid == 0 {
			line = "done"
		}
		k.sent++
		if err := k.write(link, line); err != nil && k.link == link {
			k.link = nil
		}
		if e.pid == 0 {
			k.answered()
		}
	}
}

// answered forgets the first answer: it is written. One that was written just
// before the keeper executes itself anew is given once more.
func (k *keeper) answered() {
	i := slices.IndexFunc(k.exits, func(e ended) bool { return e.pid == 0 })
	if i < 0 {
		return // another daemon has come
	}
	k.exits = slices.Delete(k.exits, i, i+1)
	if i < k.sent {
		k.sent--
	}
}

// write writes without the lock, which is held before and after: it blocks while
// the daemon does not read.
func (k *keeper) write(link *os.File, line string) error {
	k.mu.Unlock()
	defer k.mu.Lock()
	_, err := link.Write([]byte(line))
	return err
}

// serve takes what a daemon says, until it is gone.
func (k *keeper) serve(link *os.File) {
	fd := int(link.Fd())
	for reset := false; ; {
		// A line stays in the link until it can be taken: whoever executes the
		// keeper anew meanwhile has the lock, and leaves it to the next image.
		n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECONNRESET) && !reset {
			// That it has ended with lines of ours unread is told once, before its
			// own last ones.
			reset = true
			continue
		}
		if err != nil || n == 0 {
			return
		}
		if k.receive(fd) != "anew" {
			continue
		}
		if err := k.anew(); err != nil {
			fmt.Fprintf(k.log, "session-init: the keeper goes on as it is: %v\n", err)
		}
	}
}

// receive takes the line that is in the link, and returns it; empty when there
// is none.
func (k *keeper) receive(fd int) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	data := make([]byte, 256)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(fd, data, oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return ""
	}
	line := string(data[:n])
	k.insist(func() { k.take(line, oob[:oobn]) })
	return line
}

// take does what a line of the daemon says, with the lock. Lines that it does not
// know are passed over: the daemon may be a newer one.
func (k *keeper) take(line string, oob []byte) {
	k.fail("keeper-listening")
	var pid int
	if _, err := fmt.Sscanf(line, "seen %d", &pid); err == nil {
		for i, e := range k.exits {
			if e.pid == pid && i < k.sent {
				k.exits = append(k.exits[:i], k.exits[i+1:]...)
				k.sent--
				return
			}
		}
		return
	}
	if how, ok := strings.CutPrefix(line, "finish "); ok {
		k.how = how
		return
	}
	name, isHold := strings.CutPrefix(line, "hold ")
	if line == "again" {
		k.sent = 0
		k.more.Signal()
		return
	}
	if line == "sync" {
		k.exits = append(k.exits, ended{})
		k.more.Signal()
		return
	}
	if line == "ready" {
		k.ready = true
		if tell := k.cfg.Tell; tell != nil {
			k.cfg.Tell = nil
			_, _ = tell.Write([]byte{'\n'})
			tell.Close()
		}
		// From here on there is nothing to do until something dies.
		if k.calmed == nil {
			k.calmed = make(chan struct{}, 1)
			go k.do("giving memory back", func() { footprint.Work(k.calmed, nil) })
		}
		select {
		case k.calmed <- struct{}{}:
		default:
		}
		if k.pid == 0 {
			return // its last words
		}
		for _, s := range k.passed {
			unix.Kill(k.pid, s)
		}
		return
	}
	if name, isDrop := strings.CutPrefix(line, "drop "); isDrop {
		if i := slices.Index(k.names, name); i >= 0 {
			unix.Close(k.held[i])
			k.names, k.held = slices.Delete(k.names, i, i+1), slices.Delete(k.held, i, i+1)
		}
	}
	fd := received(oob)
	if fd < 0 {
		return
	}
	if !isHold {
		unix.Close(fd)
		return
	}
	if i := slices.Index(k.names, name); i >= 0 {
		unix.Close(k.held[i])
		k.held[i] = fd
		return
	}
	if len(k.held) == maxHeld || scarce.Descriptor(fd) || name == "" || name == linkName || strings.ContainsAny(name, " =\x00") {
		unix.Close(fd)
		return
	}
	k.names, k.held = append(k.names, name), append(k.held, fd)
}

// received takes the one descriptor out of a control message; -1 for none.
func received(oob []byte) int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return -1
	}
	for i := range messages {
		if fds, err := unix.ParseUnixRights(&messages[i]); err == nil && len(fds) == 1 {
			return fds[0]
		}
	}
	return -1
}
