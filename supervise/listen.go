package supervise

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A process of FollowListen is ready when one of its owner has called listen(2)
// and that has returned. No trace tells it: a stop at each system call makes
// the start of an interpreter half as long again, and nothing else in the kernel
// announces it to an ordinary user. So, while such processes are waited for
// and then only, the thread asks for the sockets that listen, once for all of
// them, and each time that one is new it looks who of theirs holds it:
//
//	before the clone     which sockets are there already: they do not count
//	every lookPause      what listens? nothing new: that was all, 40 µs
//	something new        the descriptors of the processes that wait, and
//	                     after 1, 2, 4 ... ms again: who holds a socket may
//	                     have been on the way from one parent to another
//	later                less and less often, see interval
//
// Main may fork as it likes. When it ends well and leaves others behind, the
// oldest of them is main, and then the one that listens, or whose child does;
// also when it has listened before, as some do that fork last.

// How often it is asked what listens: after lookPause at first, and when all
// that is waited for has taken slowness times as long, less often, up to
// longestPause. It takes a part of a processor at most, one in share, unless
// that would be less often than longestPause.
const (
	lookPause    = time.Millisecond
	slowness     = 5000
	share        = 16
	longestPause = 20 * time.Millisecond
)

// maxDescriptors is how many descriptors of a process are looked at, the lowest
// first: the thread has no time for a hundred thousand.
const maxDescriptors = 4096

// listening is what the thread knows of sockets that listen.
type listening struct {
	diag    diag
	known   map[uint64]*known // by inode, as of the last survey
	serial  uint64            // of the socket that was seen first last
	round   uint64            // of surveys
	waiting []*process        // of FollowListen, not ready, in order of their start
	due     time.Time         // the next survey
	home    string            // our network namespace
}

// known is a socket that listens.
type known struct {
	socket
	serial uint64 // counts up with the surveys that found one first
	round  uint64
}

// awaiting is what is known of a process that is to listen.
type awaiting struct {
	before uint64    // the newest socket that does not count
	looked uint64    // the newest when its descriptors were looked at last
	since  time.Time // when Spawned was reported
	again  time.Time // when they are looked at in any case
	pause  time.Duration
	// abroad: one of its processes has another network namespace, of whose
	// sockets no survey tells.
	abroad bool
	mains  []int // those that were main before
	owner  *owner
}

// hit is a process that listens.
type hit struct {
	pid, root int // the root is the one below which it was found
	sockets   []socket
}

// survey takes notice of the sockets that listen now. What was not there
// before gets the next serials.
func (s *Supervisor) survey() {
	l := &s.listens
	if l.known == nil {
		l.known = make(map[uint64]*known)
		l.home = netOf(s.self)
	}
	l.round++
	visit := func(tell []byte) {
		if inode, cookie, ok := identify(tell); ok && !l.renew(inode, cookie) {
			l.add(readSocket(tell))
		}
	}
	if untold := l.diag.dump(visit); len(untold) > 0 {
		// Without sock_diag, or without memory for it.
		list, err := listensIn(s.self, untold...)
		if err != nil {
			// What was known still is.
			return
		}
		for _, one := range list {
			if !l.renew(one.inode, 0) {
				l.add(one)
			}
		}
	}
	// The kernel may skip one while others come and go; so the second time
	// that one is missing counts.
	for inode, one := range l.known {
		if one.round+1 < l.round {
			delete(l.known, inode)
		}
	}
}

// renew notes that a socket is still there. It is false for one that is new.
func (l *listening) renew(inode, cookie uint64) bool {
	one := l.known[inode]
	if one == nil || cookie != 0 && one.cookie != 0 && one.cookie != cookie {
		return false
	}
	one.round = l.round
	return true
}

func (l *listening) add(one socket) {
	l.serial++
	l.known[one.inode] = &known{one, l.serial, l.round}
}

// close gives back what surveys need.
func (l *listening) close() {
	l.diag.close()
	l.known = nil
}

// beforeListen notes, before the clone, what a process that is to listen cannot
// have made.
func (s *Supervisor) beforeListen() *awaiting {
	s.survey()
	return &awaiting{before: s.listens.serial}
}

// expectListen waits for p, which runs, to listen.
func (s *Supervisor) expectListen(p *process) {
	if p.follow.listen == nil {
		// Adopted: all that it holds counts.
		p.follow.listen = &awaiting{}
	}
	w := p.follow.listen
	w.owner = p.owner
	w.since = time.Now()
	w.pause = lookPause
	w.again = w.since.Add(w.pause)
	s.listens.waiting = append(s.listens.waiting, p)
	if due := w.again; s.listens.due.Before(w.since) || due.Before(s.listens.due) {
		s.listens.due = due
	}
}

// awaitListeners asks what listens, when that is due, and tells how long the
// thread may sleep, at most wait; less than zero is for ever.
func (s *Supervisor) awaitListeners(wait time.Duration) time.Duration {
	l := &s.listens
	if len(l.waiting) == 0 || s.waiting {
		return wait
	}
	now := time.Now()
	if !now.Before(l.due) {
		l.waiting = slices.DeleteFunc(l.waiting, func(p *process) bool { return !s.awaitsListen(p) })
		if len(l.waiting) > 0 {
			s.survey()
		}
		for _, p := range l.waiting {
			s.lookAt(p, now)
		}
		l.waiting = slices.DeleteFunc(l.waiting, func(p *process) bool { return !s.awaitsListen(p) })
		if len(l.waiting) == 0 {
			l.close()
			return wait
		}
		l.due = now.Add(l.interval(now, time.Since(now)))
	}
	if left := max(0, l.due.Sub(now)); wait < 0 || left < wait {
		wait = left
	}
	return wait
}

// awaitsListen tells whether p is still waited for.
func (s *Supervisor) awaitsListen(p *process) bool {
	return p.follow.way == FollowListen && s.byID[p.id] == p
}

// interval is the time from one survey to the next, by the process that began
// last and by what the survey has cost: the time that it took, since the thread
// waited for the kernel in it, too.
func (l *listening) interval(now time.Time, cost time.Duration) time.Duration {
	youngest := longestPause
	for _, p := range l.waiting {
		youngest = min(youngest, now.Sub(p.follow.listen.since)/slowness)
	}
	return max(lookPause, min(longestPause, max(youngest, share*cost)))
}

// lookAt looks whether p listens, when there may be something to find.
func (s *Supervisor) lookAt(p *process, now time.Time) {
	w := p.follow.listen
	switch fresh := s.listens.serial > max(w.looked, w.before); {
	case fresh:
		w.pause = lookPause
	case !now.Before(w.again):
		w.pause *= 2
	case !w.abroad:
		return
	}
	w.again = now.Add(w.pause)
	w.looked = s.listens.serial
	var roots []int
	if !p.ended {
		roots = append(roots, p.pid)
	}
	if p.owner != nil {
		s.lookForStrays()
		roots = append(roots, s.roots(p.owner)...)
	}
	if found, ok := s.whoListens(w, roots); ok {
		s.listens.report(s, p, found)
	}
}

// report says that p is ready. When main is one that was only left behind, and
// the one that listens is not below it, that one is main.
func (l *listening) report(s *Supervisor, p *process, found hit) {
	f := &p.follow
	if f.forks > 0 && found.root != p.pid {
		s.replace(p, found.root)
	}
	f.way, f.serves = FollowNone, true
	ev := Listens{ID: p.id, Pid: found.pid}
	for _, one := range found.sockets {
		ev.On = append(ev.On, one.String())
	}
	s.emit(ev)
}

// replace makes one that was left behind main, in place of another that was.
func (s *Supervisor) replace(p *process, root int) {
	current := p.pid
	s.succeed(p, root)
	if parent, ok := parentOf(current); ok && parent == s.self {
		s.shed(p, current)
	}
	s.fetchHome(p)
}

// whoListens finds the first process that listens, at one of the roots or
// below.
func (s *Supervisor) whoListens(w *awaiting, roots []int) (found hit, ok bool) {
	var hidden, members []int
	w.abroad = false
	for _, root := range roots {
		s.walk([]int{root}, func(pid int, _ stat) bool {
			members = append(members, pid)
			sockets, err := s.socketsOf(w, pid)
			if err != nil {
				hidden = append(hidden, pid)
			}
			if len(sockets) > 0 && !ok {
				found, ok = hit{pid, root, sockets}, true
			}
			return !ok
		})
		if ok {
			return found, true
		}
	}
	if len(hidden) == 0 {
		return hit{}, false
	}
	return s.whoHides(w, roots, members, hidden)
}

// socketsOf lists what a process listens on. The error is that it hides its
// descriptors.
func (s *Supervisor) socketsOf(w *awaiting, pid int) ([]socket, error) {
	at := func(inode uint64) (socket, bool) {
		one := s.listens.known[inode]
		if one == nil || one.serial <= w.before {
			return socket{}, false
		}
		return one.socket, true
	}
	if net := netOf(pid); net != "" && net != s.listens.home {
		w.abroad = true
		list, err := listensIn(pid)
		if err != nil {
			return nil, err
		}
		at = func(inode uint64) (socket, bool) {
			i := slices.IndexFunc(list, func(one socket) bool { return one.inode == inode })
			if i < 0 {
				return socket{}, false
			}
			return list[i], true
		}
	}
	inodes, err := socketInodes(pid)
	var out []socket
	for _, inode := range inodes {
		if one, listens := at(inode); listens {
			out = append(out, one)
		}
	}
	return out, err
}

// socketInodes lists the sockets that a process holds, each once, by the
// number of its descriptor. The error is only that it may not be known.
func socketInodes(pid int) ([]uint64, error) {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return nil, onlyHidden(err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(maxDescriptors)
	if len(names) == 0 {
		return nil, onlyHidden(err)
	}
	var out []uint64
	var buf [64]byte
	for _, name := range names {
		n, err := unix.Readlinkat(int(dir.Fd()), name, buf[:])
		if err != nil {
			continue
		}
		rest, is := strings.CutPrefix(string(buf[:n]), "socket:[")
		inode, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64)
		if is && err == nil && !slices.Contains(out, inode) {
			out = append(out, inode)
		}
	}
	return out, nil
}

// onlyHidden keeps of an error that the kernel does not show something: that
// a process is gone is an outcome.
func onlyHidden(err error) error {
	if os.IsPermission(err) {
		return err
	}
	return nil
}

// whoHides finds a listener among processes that do not show their descriptors,
// as ssh-agent does for the sake of its keys: the peer of a Unix socket is who
// called listen(2), see SO_PEERCRED in unix(7), so a connection is made and
// closed at once. A socket of TCP is known by the cgroup in which it was made,
// where the owner has one; then the first of those that hide is taken for who
// listens. Without nobody tells.
func (s *Supervisor) whoHides(w *awaiting, roots, members, hidden []int) (hit, bool) {
	if one := s.madeIn(w); one != nil && len(roots) > 0 {
		return hit{hidden[0], s.rootOf(hidden[0], roots), []socket{one.socket}}, true
	}
	var fresh []*known
	for _, one := range s.listens.known {
		if one.serial > w.before && one.family == unix.AF_UNIX {
			fresh = append(fresh, one)
		}
	}
	slices.SortFunc(fresh, func(a, b *known) int { return int(a.serial) - int(b.serial) })
	for _, one := range fresh {
		pid := listenerOf(one.socket)
		switch {
		case pid == 0:
		case slices.Contains(members, pid):
			return hit{pid, s.rootOf(pid, roots), []socket{one.socket}}, true
		case slices.Contains(w.mains, pid) && len(roots) > 0:
			// It called listen, and what it left behind has the socket.
			return hit{roots[0], roots[0], []socket{one.socket}}, true
		}
	}
	return hit{}, false
}

// madeIn finds the oldest socket of TCP that was made in the cgroup of the
// process's owner; nil for none.
func (s *Supervisor) madeIn(w *awaiting) (first *known) {
	if w.owner == nil {
		return nil
	}
	group := s.groups.of[w.owner.id]
	if group == nil {
		return nil
	}
	ids := s.groups.dir.IDs(group.name)
	for _, one := range s.listens.known {
		if one.serial > w.before && one.group != 0 && slices.Contains(ids, one.group) && (first == nil || one.serial < first.serial) {
			first = one
		}
	}
	return first
}

// rootOf finds the root that a process is at or below; the first when it has
// moved meanwhile.
func (s *Supervisor) rootOf(pid int, roots []int) int {
	for _, root := range roots {
		below := false
		s.walk([]int{root}, func(one int, _ stat) bool {
			below = below || one == pid
			return !below
		})
		if below {
			return root
		}
	}
	return roots[0]
}

// listenerOf asks for the process that called listen(2) on a Unix socket; 0
// when it cannot be known.
func listenerOf(one socket) int {
	if one.path == "" || one.path[0] != '/' && one.path[0] != '@' {
		// Nobody can connect to it, or only from where its process stands.
		return 0
	}
	fd, err := unix.Socket(unix.AF_UNIX, int(one.kind)|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	if unix.Connect(fd, &unix.SockaddrUnix{Name: one.path}) != nil {
		return 0
	}
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0
	}
	return int(cred.Pid)
}

// servers lists, of what p has left behind, those that listen, or whose
// children do.
func (s *Supervisor) servers(p *process) (pids []int) {
	s.survey()
	for range walkRounds {
		heirs := s.heirs(p)
		for _, pid := range heirs {
			if _, ok := s.whoListens(p.follow.listen, []int{pid}); ok {
				pids = append(pids, pid)
			}
		}
		// One that ended meanwhile may have left the socket to another.
		if len(pids) > 0 || !slices.ContainsFunc(heirs, isDead) {
			break
		}
	}
	if len(s.listens.waiting) == 0 {
		s.listens.close()
	}
	return pids
}
