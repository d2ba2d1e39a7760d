package bus

import (
	"bytes"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
)

// A client in a sandbox, that is in another user or mount namespace, may look
// and no more: a job that it started would run outside of it. Where it is is
// asked once, when it connects; one that cannot be seen counts as elsewhere.

// namespaces are those that make a sandbox, as namespaces(7) names them.
type namespaces struct{ user, mount string }

// namespacesIn reads those of a process from its directory in /proc.
func namespacesIn(dir string) (n namespaces, err error) {
	if n.user, err = os.Readlink(dir + "/ns/user"); err != nil {
		return namespaces{}, err
	}
	if n.mount, err = os.Readlink(dir + "/ns/mnt"); err != nil {
		return namespaces{}, err
	}
	return n, nil
}

// The words for clients that may only read.
const (
	elsewhereUser  = "in another user namespace"
	elsewhereMount = "in another mount namespace"
	unseen         = "whose namespaces cannot be seen"
)

// restriction says what keeps a client from doing more than to read; it is
// empty for one that may do everything. own are our namespaces, pidfd is the
// client's, or -1 where the kernel gives none: then a client that has ended and
// whose pid is another's already is taken for that one.
func restriction(own namespaces, pid int, uid uint32, pidfd int) string {
	if pid <= 0 || own == (namespaces{}) {
		return unseen
	}
	dir := "/proc/" + strconv.Itoa(pid)
	theirs, err := namespacesIn(dir)
	switch {
	case !lives(pidfd):
		return unseen
	case err == nil:
		return compare(own, theirs)
	case uid == 0 && os.Geteuid() != 0 && sameRoot(dir):
		return ""
	}
	return unseen
}

func compare(own, theirs namespaces) string {
	switch {
	case theirs.user != own.user:
		return elsewhereUser
	case theirs.mount != own.mount:
		return elsewhereMount
	}
	return ""
}

// sameRoot tells root of this machine, whom a daemon of a user may not look
// at, from root of a container: that one has a pid namespace of its own, or
// another map of users. Both files can be read by all.
func sameRoot(dir string) bool {
	status, err := readSome(dir+"/status", 1<<16)
	if err != nil {
		return false
	}
	single := false
	for line := range bytes.Lines(status) {
		if pids, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			single = len(bytes.Fields(pids)) == 1
		}
	}
	theirs, err := readSome(dir+"/uid_map", 1<<16)
	if err != nil || !single {
		return false
	}
	ours, err := readSome("/proc/self/uid_map", 1<<16)
	return err == nil && bytes.Equal(ours, theirs)
}

// lives tells whether a process has not ended; see pidfd_open(2).
func lives(pidfd int) bool {
	if pidfd < 0 {
		return true
	}
	list := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(list, 0)
		if err == unix.EINTR {
			continue
		}
		return err == nil && n == 0
	}
}

// reads tells whether a method changes nothing. What is not named here is
// taken to change something.
func reads(face, member string) bool {
	switch face {
	case api.PeerInterface, api.IntrospectableInterface, busName:
		return true
	case api.PropertiesInterface:
		return member != "Set"
	}
	switch member {
	case "GetJobByName", "GetAllJobs", "GetState", "GetEnv", "ListEnv",
		"GetInstance", "GetInstanceByName", "GetAllInstances",
		"SendSignals", "ListSessions", "GetLayers", "GetSessionEnv", "AwaitSession",
		"Simulate", "Lint", "Why", "GetDefinition", "GetProcesses", "GetProcessTree", "GetLog", "GetTimings":
		return true
	}
	return false
}

// refuseChange is the answer to a method that changes something, for a client
// that may only read, and else nil.
func (c *conn) refuseChange(face, member string) *failure {
	if c.restricted == "" || !c.public && reads(face, member) || c.public && public(face, member) {
		return nil
	}
	return failf(api.ErrPermissionDenied, "Permission denied: a client %s may only read", c.restricted)
}
