package supervise

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Whose a process is. Everything below us descends from a process that we
// made, and what its parent leaves behind becomes our child, since we are a
// subreaper. So to belong is certain, and only the question is to whom:
//
//   - a process that we made is its Spec.Owner's, and so is all below it;
//   - of one that came to us its cgroup tells, where each owner has one; it is
//     inherited and left only by who may write there (cgroup.go);
//   - else its session, when it is one that we made:
//     a session is inherited and cannot be entered from outside;
//   - or that it was seen below a process of the owner before;
//   - or the mark, for one that made a session of its own.
//
// The mark is the soft RLIMIT_LOCKS, which has had no effect since Linux 2.4:
// it survives fork, exec, setsid and a cleared environment. Its upper part
// is the daemon's, by chance, its lower part the owner's number. A process
// can change it, so it says whose a descendant of ours is, never that
// something is one.
//
// What comes to us hangs on the list of children of the thread group's
// leader, and what we make on that of the supervisor's thread. So nothing has
// been left behind when the leader's list is empty, and to know that costs
// one short read, however many processes we have.

const (
	ownerBits = 36
	ownerMask = 1<<ownerBits - 1
	// partMask keeps a mark below RLIM_INFINITY and the sign bit.
	partMask = 1<<63 - 1 - ownerMask
)

// belongings is what the thread knows of whose a process is.
type belongings struct {
	part     uint64 // the daemon's part of a mark; 0 when none can be set
	hard     uint64 // our hard limit, which stays
	list     int    // the leader's list of children; -1 when there is none
	owners   map[uint64]*owner
	sessions map[int]*owner   // by the session's number
	strays   map[int]*owner   // our children that are no process of a Spec; nil is nobody's
	seen     map[int]sighting // processes that were seen below one of an owner
	ended    map[ProcID]*owner
	touched  []*owner // a stray of theirs was waited for
}

// sighting is whose a process was when it was seen. The start time tells it
// from another that got the pid later.
type sighting struct {
	start uint64
	owner *owner
}

// owner is a number that Specs carry. It is forgotten when no process of it
// is left.
type owner struct {
	id     uint64
	since  uint64       // when it began, in clock ticks since the boot
	procs  int          // of Specs, not yet forgotten
	made   []session    // of its Specs, oldest first: a handful
	strays map[int]bool // its processes that came to us; nil for none
	seen   []int        // its entries of belongings.seen
	sweep  *sweep
	killed map[ProcID]*process // of its Specs, that got KILL and have not ended
}

// session is what a process of a Spec was put into.
type session struct {
	id    ProcID
	group int
}

// groupOf returns the group that a process of the owner was put into, 0 for one
// that it does not know; the last, of one that was tried again.
func (o *owner) groupOf(id ProcID) int {
	for _, one := range slices.Backward(o.made) {
		if one.id == id {
			return one.group
		}
	}
	return 0
}

// newBelongings chooses a mark and opens the leader's list.
func newBelongings(self int, seed string) belongings {
	b := belongings{
		list:     -1,
		owners:   make(map[uint64]*owner),
		sessions: make(map[int]*owner),
		strays:   make(map[int]*owner),
		seen:     make(map[int]sighting),
		ended:    make(map[ProcID]*owner),
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_LOCKS, &limit) == nil && limit.Max >= partMask|ownerMask {
		var chance [8]byte
		if seed != "" {
			sum := sha256.Sum256([]byte(seed))
			copy(chance[:], sum[:])
		} else if n, err := unix.Getrandom(chance[:], unix.GRND_NONBLOCK); err != nil || n != len(chance) {
			binary.NativeEndian.PutUint64(chance[:], uint64(time.Now().UnixNano())<<ownerBits^uint64(self)<<ownerBits)
		}
		b.part, b.hard = binary.NativeEndian.Uint64(chance[:])&partMask|1<<ownerBits, limit.Max
	}
	pid := strconv.Itoa(self)
	if fd, err := unix.Open("/proc/"+pid+"/task/"+pid+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		b.list = fd
	}
	return b
}

// close gives back what newBelongings acquired.
func (b *belongings) close() {
	if b.list >= 0 {
		unix.Close(b.list)
		b.list = -1
	}
}

// markOf returns the limit that marks a process of the owner; nil for none.
func (s *Supervisor) markOf(owner uint64) *unix.Rlimit {
	if owner == 0 || owner > ownerMask || s.belong.part == 0 {
		return nil
	}
	return &unix.Rlimit{Cur: s.belong.part | owner, Max: s.belong.hard}
}

// ownerOf returns the record of an owner, a new one when there is none.
func (s *Supervisor) ownerOf(id uint64) *owner {
	o := s.belong.owners[id]
	if o == nil {
		o = &owner{id: id}
		s.belong.owners[id] = o
	}
	return o
}

// own notes that p, which was just made, is of the owner.
func (s *Supervisor) own(p *process, id uint64) {
	if id == 0 {
		return
	}
	o := s.ownerOf(id)
	if o.procs == 0 && len(o.made) == 0 {
		// Before the clone: what descends from p may begin before we are here.
		o.since = uint64(p.slot.asked) / uint64(clockTick)
	}
	o.procs++
	o.made = append(o.made, session{p.id, p.group})
	p.owner = o
	s.belong.sessions[p.group] = o
}

// disown notes that p is forgotten.
func (s *Supervisor) disown(p *process) {
	if p.owner != nil {
		p.owner.procs--
		delete(p.owner.killed, p.id)
		s.belong.ended[p.id] = p.owner
	}
}

// shed notes that pid, a child of ours, was the process of p and is only one
// more of its owner's from here on.
func (s *Supervisor) shed(p *process, pid int) {
	if p.owner != nil {
		s.keep(pid, p.owner)
	}
}

func (s *Supervisor) keep(pid int, o *owner) {
	s.belong.strays[pid] = o
	if o != nil {
		if o.strays == nil {
			o.strays = make(map[int]bool)
		}
		o.strays[pid] = true
	}
}

// strayEnded notes that a child was waited for: its pid may be a stranger's.
func (s *Supervisor) strayEnded(pid int) {
	o := s.belong.strays[pid]
	delete(s.belong.strays, pid)
	if o != nil {
		// What it leaves behind comes to us in its place.
		delete(o.strays, pid)
		s.belong.touched = append(s.belong.touched, o)
	}
}

// settleBelongings completes a batch before it is reported: it says of each
// process that ended whether its owner has something left, and carries the
// sweeps on. When nothing is left anywhere, that costs one read for all of the
// batch.
func (s *Supervisor) settleBelongings() {
	b := &s.belong
	if len(b.ended) == 0 && len(b.touched) == 0 {
		return
	}
	s.lookForStrays()
	s.lookIntoEnded()
	for i, ev := range s.out {
		var id ProcID
		switch ev := ev.(type) {
		case Exited:
			id = ev.ID
			if o := b.ended[id]; o != nil {
				ev.Left = s.hasLeft(o)
				s.out[i] = ev
			}
		case SpawnFailed:
			id = ev.ID
		}
		if o := b.ended[id]; o != nil {
			delete(b.ended, id)
			b.touched = append(b.touched, o)
		}
	}
	clear(b.ended)
	for _, o := range b.touched {
		s.goOn(o)
		s.drop(o)
	}
	clear(b.touched)
	b.touched = b.touched[:0]
}

// drop forgets an owner of which nothing is left.
func (s *Supervisor) drop(o *owner) {
	if o.procs > 0 || len(o.strays) > 0 || o.sweep != nil {
		return
	}
	b := &s.belong
	s.groups.giveBack(o.id)
	delete(b.owners, o.id)
	for _, one := range o.made {
		if b.sessions[one.group] == o {
			delete(b.sessions, one.group)
		}
	}
	for _, pid := range o.seen {
		if b.seen[pid].owner == o {
			delete(b.seen, pid)
		}
	}
}

// hasLeft tells whether a process of the owner came to us and lives.
func (s *Supervisor) hasLeft(o *owner) bool {
	for dead := 0; ; {
		n := 0
		for pid := range o.strays {
			if s.byPid[pid] != nil {
				continue
			}
			if !isDead(pid) {
				return true
			}
			n++
		}
		if n == dead {
			return false
		}
		// What these left may have come to us since we looked.
		dead = n
		s.lookForStrays()
		s.lookInto(o)
	}
}

// lookForStrays takes notice of children that came to us since it last did.
func (s *Supervisor) lookForStrays() {
	dead := make(map[int]bool)
	for again := true; again; {
		again = false
		for _, pid := range s.orphans() {
			if _, known := s.belong.strays[pid]; known || s.byPid[pid] != nil || s.helpers[pid] != nil || dead[pid] {
				continue
			}
			if isDead(pid) {
				// What it left may have come to us after the list was made.
				dead[pid], again = true, true
				continue
			}
			s.keep(pid, s.findOwner(pid))
		}
	}
}

// orphans lists our children that we did not make.
func (s *Supervisor) orphans() []int {
	if s.belong.list < 0 {
		// Those that we made are among them, some with a pid that we have
		// not looked up yet.
		for _, p := range s.inFlight {
			s.learnPid(p)
		}
		return scanChildren()(s.self)
	}
	var pids []int
	var buf [4096]byte
	var text []byte
	for {
		// The list is given in pages. Children leave it only when this
		// thread waits for them, so no page skips one.
		n, err := unix.Pread(s.belong.list, buf[:], int64(len(text)))
		if n <= 0 || err != nil {
			break
		}
		text = append(text, buf[:n]...)
	}
	if len(text) > 0 {
		pids = parsePids(string(text))
	}
	if s.abroad {
		pids = append(pids, s.uncles()...)
	}
	return pids
}

// findOwner tells whose a child is that came to us; nil when nobody knows.
func (s *Supervisor) findOwner(pid int) *owner {
	b := &s.belong
	st, ok := statOf(pid)
	if !ok {
		return nil
	}
	if o := s.groupOf(pid); o != nil && st.start >= o.since {
		return o
	}
	if was, seen := b.seen[pid]; seen && was.start == st.start {
		return was.owner
	}
	mark, marked := readMark(pid)
	marked = marked && b.part != 0 && mark&partMask == b.part && mark&ownerMask != 0
	if o := b.sessions[st.session]; o != nil && st.start >= o.since && (!marked || mark&ownerMask == o.id) {
		return o
	}
	if !marked {
		return nil
	}
	o := s.ownerOf(mark & ownerMask)
	if st.start < o.since {
		return nil
	}
	return o
}

// remember notes what is below p, before a KILL makes its descendants come
// to us without the proof of where they came from.
func (s *Supervisor) remember(p *process) {
	if p.owner == nil || p.pid == 0 || p.ended {
		return
	}
	s.walk([]int{p.pid}, func(pid int, st stat) bool {
		s.see(p.owner, pid, st.start)
		return true
	})
}

func (s *Supervisor) see(o *owner, pid int, start uint64) {
	if was := s.belong.seen[pid]; was.start != start || was.owner != o {
		s.belong.seen[pid] = sighting{start, o}
		o.seen = append(o.seen, pid)
	}
}

// walk visits the given processes and what descends from them, parents first;
// nothing below one of which visit returns false. It looks at each once, so a
// tree that grows meanwhile is not seen whole.
func (s *Supervisor) walk(roots []int, visit func(pid int, st stat) bool) {
	children := childrenOf
	if s.belong.list < 0 {
		children = scanChildren()
	}
	seen := make(map[int]bool, len(roots))
	for queue := roots; len(queue) > 0; queue = queue[1:] {
		pid := queue[0]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		if st, ok := statOf(pid); ok && st.alive() && visit(pid, st) {
			queue = append(queue[:len(queue):len(queue)], children(pid)...)
		}
	}
}

// isDead tells whether a child of ours has ended and only waits to be waited
// for.
func isDead(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL, nil)
	if err == unix.ECHILD {
		// The keeper's child; see adopt.go.
		st, ok := statOf(pid)
		return !ok || !st.alive()
	}
	return err != nil || info.Signo != 0
}

// readMark reads the soft limit of another process. The system call refuses
// for one that has another identity, such as a set-user-ID program; the file
// does not.
func readMark(pid int) (uint64, bool) {
	var limit unix.Rlimit
	switch err := unix.Prlimit(pid, unix.RLIMIT_LOCKS, nil, &limit); err {
	case nil:
		return limit.Cur, true
	case unix.EPERM:
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/limits")
		if err != nil {
			return 0, false
		}
		return parseMark(string(text))
	}
	return 0, false
}

// parseMark finds the soft limit in the text of /proc/PID/limits.
func parseMark(text string) (uint64, bool) {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "Max file locks")
		if !found {
			continue
		}
		if fields := strings.Fields(rest); len(fields) > 0 {
			value, err := strconv.ParseUint(fields[0], 10, 64)
			return value, err == nil
		}
	}
	return 0, false
}

// stat is what is needed of /proc/PID/stat, see proc(5).
type stat struct {
	command string // 15 bytes at most, from the program's name
	state   byte
	parent  int
	group   int
	session int
	start   uint64 // in clock ticks since the boot
}

func (st stat) alive() bool { return st.state != 'Z' && st.state != 'X' }

// statOf reads that file, which never waits for the process: cmdline does,
// when the process hangs in a page fault. It asks the kernel three times, where
// package os would eleven times: who is traced stands still meanwhile.
func statOf(pid int) (stat, bool) {
	path := "/proc/" + strconv.Itoa(pid) + "/stat"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == unix.EINTR {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return stat{}, false
	}
	defer unix.Close(fd)
	// One read gives the line, and what is wanted of it is at its beginning.
	var line [1024]byte
	n, err := unix.Read(fd, line[:])
	for err == unix.EINTR {
		n, err = unix.Read(fd, line[:])
	}
	if err != nil {
		return stat{}, false
	}
	return parseStat(line[:n])
}

// parseStat reads such a line, in which the name of the program stands in
// parentheses and may hold anything, these too.
func parseStat(data []byte) (st stat, ok bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 0 || end < open {
		return st, false
	}
	// The first field here is the third of the line.
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 {
		return st, false
	}
	st.command = string(data[open+1 : end])
	st.state = fields[0][0]
	var errs [4]error
	st.parent, errs[0] = strconv.Atoi(fields[1])
	st.group, errs[1] = strconv.Atoi(fields[2])
	st.session, errs[2] = strconv.Atoi(fields[3])
	st.start, errs[3] = strconv.ParseUint(fields[19], 10, 64)
	return st, errs == [4]error{}
}
