// Package cgroup keeps a directory of groups in a cgroup v2 hierarchy: it finds
// where we may make one, makes groups in it, tells who is in them, and removes
// them. It makes, follows and signals no process, and sets no controller: all
// that is wanted of a group is that what is in it stays in it, whatever it does
// with sessions, parents, limits and its environment. See cgroups(7).
//
// A group has a number for a name and its owner in an extended attribute, so
// that one that is empty can be given to another owner: to make and remove one
// costs as much as a fourth of a process, to give it away a hundredth. The
// daemon that comes after reads the attributes, and finds whose each group is.
//
// A Dir is not for several goroutines at once, Owned apart.
package cgroup

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// prefix begins the name of each daemon's directory.
const prefix = "session-init-"

// ownerAttribute holds the number of a group's owner. Attributes of users in
// this file system are as old as clone into a cgroup: Linux 5.7.
const ownerAttribute = "user.session-init.owner"

// Dir is the directory of one daemon.
type Dir struct {
	// Path is the directory, Group the same as /proc/PID/cgroup has it.
	Path, Group string
	// Refused is why no process can be put into a group by us: those that are
	// there can be looked at only. Nil when nothing hinders.
	Refused error

	fd   int // holds a lock as long as we live
	next int // number of the next group
}

// Group is a group that an earlier daemon has left.
type Group struct {
	Name  string
	Owner uint64 // 0 for nobody
	Empty bool
}

// Open finds or makes the directory below our own cgroup, with a name that the
// seed decides, by chance when that is empty. The group that an earlier daemon
// of the session has recorded, when it is still there, is taken instead: we may
// have been started elsewhere. It lists what is in it, in no order, and removes
// what dead daemons have left beside it, as far as nobody is in there. Root may
// write everywhere, so of root it is asked besides that the group was delegated,
// unless all are ours. The error is a sentence, for a log that tells much.
func Open(seed, recorded string, ours bool) (*Dir, []Group, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, nil, err
	}
	own, ok := GroupIn(string(text))
	if !ok {
		return nil, nil, errors.New("the kernel has no cgroups of version 2")
	}
	h, err := Find(string(mountinfo), own)
	if err != nil {
		return nil, nil, err
	}
	if !ours && os.Geteuid() == 0 && !isDelegated(h, own) {
		return nil, nil, errors.New("the cgroup " + own + " is not delegated: it has no attribute user.delegate")
	}
	d := &Dir{Group: recorded, fd: -1}
	if !d.locate(h) || !isDir(d.Path) {
		d.Group = path.Join(own, prefix+nameFrom(seed))
		d.locate(h)
	}
	// To move a process takes the right to write at its group's and the new
	// group's nearest common ancestor.
	if above, ok := h.File(common(own, d.Group)); ok {
		d.Refused = mayEnter(above)
	}
	if d.Refused != nil && !isDir(d.Path) {
		return nil, nil, d.Refused
	}
	if err := d.make(); err != nil {
		return nil, nil, err
	}
	d.removeStale()
	return d, d.list(), nil
}

// initialNamespace is the inode of the first cgroup namespace, see
// namespaces(7): it is part of what the kernel promises.
const initialNamespace = 0xEFFFFFFB

// isDelegated tells whether whoever manages the hierarchy has left a group, or
// one above it, to those in it, as https://systemd.io/CGROUP_DELEGATION says: by
// an attribute, or by a namespace of their own.
func isDelegated(h Hierarchy, group string) bool {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/cgroup", &st) == nil && st.Ino != initialNamespace {
		return true
	}
	for ; ; group = path.Dir(group) {
		dir, ok := h.File(group)
		if !ok {
			return false
		}
		for _, name := range []string{"user.delegate", "trusted.delegate"} {
			var value [4]byte
			if n, err := unix.Getxattr(dir, name, value[:]); err == nil && string(value[:n]) == "1" {
				return true
			}
		}
		if group == "/" {
			return false
		}
	}
}

// locate sets Path from Group.
func (d *Dir) locate(h Hierarchy) (ok bool) {
	d.Path, ok = h.File(d.Group)
	return ok && strings.HasPrefix(path.Base(d.Group), prefix)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// mayEnter tells why we may not move a process in the directory's group.
func mayEnter(dir string) error {
	if err := unix.Faccessat(unix.AT_FDCWD, dir+"/cgroup.procs", unix.W_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("cannot move processes in the cgroup %s: %w", dir, err)
	}
	return nil
}

// nameFrom makes 16 digits of a seed.
func nameFrom(seed string) string {
	if seed == "" {
		seed = rand.Text()
	}
	sum := sha256.Sum256([]byte(seed))
	return hex.EncodeToString(sum[:8])
}

// make makes and opens the directory. The lock says that its daemon lives.
func (d *Dir) make() error {
	fd, err := -1, error(unix.ENOENT)
	// Another daemon that begins may take it for a dead one's, until the lock.
	for tries := 0; tries < 3 && err == unix.ENOENT; tries++ {
		if err := os.Mkdir(d.Path, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("cannot make a cgroup: %w", err)
		}
		fd, err = unix.Open(d.Path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot open the cgroup %s: %w", d.Path, err)
	}
	// Held by another: a child of the daemon before us that hangs in its
	// set-up. It has the same name.
	_ = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if d.fd >= 0 {
		unix.Close(d.fd)
	}
	d.fd = fd
	return nil
}

// removeStale removes the directories of dead daemons beside ours.
func (d *Dir) removeStale() {
	above := path.Dir(d.Path)
	entries, _ := os.ReadDir(above)
	for _, entry := range entries {
		stale := path.Join(above, entry.Name())
		if stale == d.Path || !entry.IsDir() || !strings.HasPrefix(entry.Name(), prefix) {
			continue
		}
		fd, err := unix.Open(stale, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil {
			if empty, _ := eventsOf(unix.AT_FDCWD, stale); empty {
				removeTree(stale)
			}
		}
		unix.Close(fd)
	}
}

// removeTree removes a directory and those below it, as far as nobody is in
// them. It is false when something is left.
func removeTree(dir string) bool {
	if unix.Rmdir(dir) == nil {
		return true
	}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			removeTree(path.Join(dir, entry.Name()))
		}
	}
	err := unix.Rmdir(dir)
	return err == nil || err == unix.ENOENT
}

// list reads what an earlier daemon has left.
func (d *Dir) list() []Group {
	var groups []Group
	entries, _ := os.ReadDir(d.Path)
	for _, entry := range entries {
		n, err := strconv.Atoi(entry.Name())
		if !entry.IsDir() || err != nil {
			continue
		}
		d.next = max(d.next, n+1)
		empty, _ := eventsOf(d.fd, entry.Name())
		groups = append(groups, Group{Name: entry.Name(), Owner: ownerOf(path.Join(d.Path, entry.Name())), Empty: empty})
	}
	return groups
}

// ownerOf reads the owner of a group; 0 for nobody.
func ownerOf(dir string) uint64 {
	var value [24]byte
	n, err := unix.Getxattr(dir, ownerAttribute, value[:])
	if err != nil {
		return 0
	}
	owner, err := strconv.ParseUint(string(value[:n]), 10, 64)
	if err != nil {
		return 0
	}
	return owner
}

// Make makes a group for an owner. When somebody has removed our directory, it
// is made again.
func (d *Dir) Make(owner uint64) (name string, err error) {
	for range 2 {
		name = strconv.Itoa(d.next)
		if err = unix.Mkdirat(d.fd, name, 0o755); err == unix.ENOENT || err == unix.ENODEV {
			if err = d.make(); err == nil {
				err = unix.Mkdirat(d.fd, name, 0o755)
			}
		}
		d.next++
		if err != unix.EEXIST {
			break
		}
	}
	if err != nil {
		return "", fmt.Errorf("cannot make a cgroup in %s: %w", d.Path, err)
	}
	if err = d.Give(name, owner); err != nil {
		unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR)
		return "", err
	}
	return name, nil
}

// Give notes whose a group is, 0 for nobody's.
func (d *Dir) Give(name string, owner uint64) error {
	if err := unix.Setxattr(path.Join(d.Path, name), ownerAttribute, strconv.AppendUint(nil, owner, 10), 0); err != nil {
		return fmt.Errorf("cannot note the owner of the cgroup %s: %w", path.Join(d.Path, name), err)
	}
	return nil
}

// Descriptor opens a group for CLONE_INTO_CGROUP of clone3(2). The caller
// closes it.
func (d *Dir) Descriptor(name string) (int, error) {
	return unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// Empty tells whether no live process is in a group or below, zombies left
// out, and whether what enters it would run: a group can be frozen.
func (d *Dir) Empty(name string) (empty, running bool) { return eventsOf(d.fd, name) }

func eventsOf(dir int, name string) (empty, running bool) {
	var buf [256]byte
	return isEmpty(string(buf[:readAt(dir, name+"/cgroup.events", buf[:])]))
}

// readAt reads the beginning of a file, and returns how much that is. Files of
// this file system do not block.
func readAt(dir int, name string, buf []byte) int {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	n, _ := unix.Read(fd, buf)
	unix.Close(fd)
	return max(n, 0)
}

// Members lists the processes in a group and in those below it.
func (d *Dir) Members(name string) []int { return membersOf(path.Join(d.Path, name)) }

func membersOf(dir string) []int {
	text, err := os.ReadFile(dir + "/cgroup.procs")
	if err != nil {
		// A group of threads has no such file for others than its root.
		return nil
	}
	pids := pidsIn(string(text))
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			pids = append(pids, membersOf(path.Join(dir, entry.Name()))...)
		}
	}
	return pids
}

// IDs lists the numbers that the kernel has for a group and those below it, as
// sock_diag(7) tells them of sockets: that of the one in which each was made.
func (d *Dir) IDs(name string) []uint64 { return idsOf(path.Join(d.Path, name)) }

func idsOf(dir string) []uint64 {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return nil
	}
	ids := []uint64{st.Ino}
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			ids = append(ids, idsOf(path.Join(dir, entry.Name()))...)
		}
	}
	return ids
}

// Owned lists the processes in all groups that have an owner. It may be called
// from any goroutine.
func (d *Dir) Owned() []int {
	var pids []int
	entries, _ := os.ReadDir(d.Path)
	for _, entry := range entries {
		if dir := path.Join(d.Path, entry.Name()); entry.IsDir() && ownerOf(dir) != 0 {
			pids = append(pids, membersOf(dir)...)
		}
	}
	return pids
}

// NameOf returns the group of ours that a process is in, or below; empty when
// it is in none.
func (d *Dir) NameOf(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	group, ok := GroupIn(string(text))
	if !ok {
		return ""
	}
	rest, found := strings.CutPrefix(group, d.Group+"/")
	if !found {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// Kill ends all that is in a group or below, at once, so that nothing escapes
// by forking. Before Linux 5.14 it fails.
func (d *Dir) Kill(name string) error {
	return os.WriteFile(path.Join(d.Path, name, "cgroup.kill"), []byte("1"), 0)
}

// Remove removes a group in which nobody is.
func (d *Dir) Remove(name string) bool { return removeTree(path.Join(d.Path, name)) }

// Close removes what is empty, the directory too when nothing else is left,
// and gives back what Open acquired.
func (d *Dir) Close() {
	if d.fd < 0 {
		return
	}
	removeTree(d.Path)
	unix.Close(d.fd)
	d.fd = -1
}
