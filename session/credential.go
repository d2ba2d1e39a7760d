package session

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"strings"

	"github.com/session-init/session-init/supervise"
)

// nameService is who knows the users and groups that /etc does not: the programs
// of the C library, which ask as nsswitch.conf(5) says. The daemon has no such
// library, and what asks a server may hang.
type nameService struct {
	// ask runs a program and returns what it has printed.
	ask func(program string, args ...string) (string, error)
}

// systemNames asks getent(1) and id(1).
func systemNames() nameService {
	return nameService{func(program string, args ...string) (string, error) {
		return supervise.Ask([]string{"/usr/bin/" + program, "/bin/" + program}, args, []string{"PATH=" + defaultPath, "LC_ALL=C"})
	}}
}

// entry returns the fields of a line of a database such as passwd, by name or
// number, and nil when there is none.
func (n nameService) entry(database, name string) ([]string, error) {
	text, err := n.ask("getent", "--", database, name)
	if err != nil {
		return nil, err
	}
	line, _, _ := strings.Cut(text, "\n")
	if line == "" {
		return nil, nil
	}
	return strings.Split(line, ":"), nil
}

// person is a user: number and own group, and how his other groups are found.
type person struct {
	uid, gid string
	groups   func() ([]string, error)
}

// person finds a user, by name or number: in /etc, and beyond.
func (n nameService) person(name string) (*person, error) {
	who, err := user.Lookup(name)
	if err != nil {
		who, err = user.LookupId(name)
	}
	if err == nil {
		return &person{who.Uid, who.Gid, who.GroupIds}, nil
	}
	fields, err := n.entry("passwd", name)
	if err != nil {
		return nil, fmt.Errorf("unknown user, and %w", err)
	}
	if len(fields) < 4 {
		return nil, errors.New("unknown user")
	}
	return &person{fields[2], fields[3], func() ([]string, error) {
		text, err := n.ask("id", "-G", "--", fields[0])
		if err != nil {
			return nil, err
		}
		if groups := strings.Fields(text); len(groups) > 0 {
			return groups, nil
		}
		return []string{fields[3]}, nil
	}}, nil
}

// group finds the number of a group, likewise.
func (n nameService) group(name string) (string, error) {
	group, err := user.LookupGroup(name)
	if err != nil {
		group, err = user.LookupGroupId(name)
	}
	if err == nil {
		return group.Gid, nil
	}
	fields, err := n.entry("group", name)
	if err != nil {
		return "", fmt.Errorf("unknown group, and %w", err)
	}
	if len(fields) < 3 {
		return "", errors.New("unknown group")
	}
	return fields[2], nil
}

// lookupCredential finds the ids of a user and a group, by name or number,
// and the user's other groups. A group alone keeps the user; a user alone
// brings his own group. It may block: not for the loop.
func lookupCredential(names nameService, setuid, setgid string) (*supervise.Credential, error) {
	var uid, gid string
	var groups []string
	if setuid == "" {
		who, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("cannot tell who we are: %w", err)
		}
		uid, gid = who.Uid, who.Gid
		groups = []string{gid}
	} else {
		who, err := names.person(setuid)
		if err != nil {
			return nil, fmt.Errorf("cannot set user %s: %w", setuid, err)
		}
		uid, gid = who.uid, who.gid
		if groups, err = who.groups(); err != nil {
			return nil, fmt.Errorf("cannot set user %s: its groups are unknown: %w", setuid, err)
		}
	}
	if setgid != "" {
		group, err := names.group(setgid)
		if err != nil {
			return nil, fmt.Errorf("cannot set group %s: %w", setgid, err)
		}
		gid = group
	}
	credential := &supervise.Credential{}
	var err error
	if credential.UID, err = number(uid); err != nil {
		return nil, err
	}
	if credential.GID, err = number(gid); err != nil {
		return nil, err
	}
	for _, g := range groups {
		id, err := number(g)
		if err != nil {
			return nil, err
		}
		credential.Groups = append(credential.Groups, id)
	}
	return credential, nil
}

func number(id string) (uint32, error) {
	n, err := strconv.ParseUint(id, 10, 32)
	return uint32(n), err
}
