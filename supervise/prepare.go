package supervise

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepare computes all that the child needs, so that it has nothing to
// decide. It asks the kernel for nothing that could block.
func (s *Supervisor) prepare(spec *Spec) (*child, *SpawnError) {
	c := &child{
		leader:   spec.Leader || spec.OwnTerminal,
		nullFD:   s.nullFD,
		outFD:    s.nullFD,
		scriptFD: -1,
		scriptAt: scriptPlace(spec),
		files:    spec.Files,
		cgroup:   -1,
		lastFD:   -1,
		nofile:   s.restoredNofile(),
		mark:     s.markOf(spec.Owner),
		trace:    askTrace{wanted: spec.Follow.traces(), careful: !s.mayTrace},
		dying:    dyingAction(),
	}
	var bad *SpawnError
	text := func(step Step, value string) *byte {
		list, at := cstrings([]string{value})
		if at >= 0 && bad == nil {
			bad = &SpawnError{Step: step, Arg: strconv.Quote(value), Errno: unix.EINVAL, Hint: "it holds a NUL byte"}
		}
		return list[0]
	}

	c.toTerminal = spec.Output == OutputTerminal
	if c.ownTerminal = spec.OwnTerminal; c.ownTerminal || c.toTerminal {
		if s.opts.Terminal == "" {
			return nil, &SpawnError{Step: StepTerminal, Errno: unix.ENOTTY, Hint: "the daemon was started on none"}
		}
		c.terminal = text(StepTerminal, s.opts.Terminal)
		if s.opts.TakeTerminal {
			c.take = 1
		}
	}
	if spec.Output == OutputFile || spec.Output == OutputPTY {
		c.logPath = text(StepOutput, spec.LogPath)
		c.logDirs, _ = cstrings(logDirs(spec.LogPath))
	}
	if spec.Umask != nil {
		c.setUmask, c.umask = true, *spec.Umask&0o777
	}
	if spec.Nice != nil {
		c.setNice, c.nice = true, *spec.Nice
	}
	if spec.OOMScore != nil {
		c.oomScore = strconv.AppendInt(nil, int64(*spec.OOMScore), 10)
	}
	for _, l := range spec.Limits {
		c.limits = append(c.limits, limit{l.Resource, unix.Rlimit{Cur: l.Soft, Max: l.Hard}})
	}
	if spec.Chroot != "" {
		c.chroot = text(StepChroot, spec.Chroot)
	}
	if cred := spec.Credential; cred != nil {
		c.setUser, c.uid, c.gid, c.groups = true, cred.UID, cred.GID, cred.Groups
		c.keepGrps = areOurs(cred.Groups)
	}
	if dir := workDir(spec); dir != "" {
		c.dir = text(StepChdir, dir)
	}

	path := text(StepExec, spec.Path)
	if bad != nil {
		return nil, bad
	}
	argv := spec.Argv
	if len(argv) == 0 {
		argv = []string{spec.Path}
	}
	if spec.Script != "" {
		argv = append(slices.Clip(argv), scriptPath(c.scriptAt))
	}
	var at int
	if c.argv, at = cstrings(argv); at >= 0 {
		return nil, &SpawnError{Step: StepExec, Arg: spec.Path, Errno: unix.EINVAL, Hint: fmt.Sprintf("argument %d holds a NUL byte", at)}
	}
	if c.env, at = cstrings(spec.Env); at >= 0 {
		name, _, _ := strings.Cut(spec.Env[at], "=")
		return nil, &SpawnError{Step: StepExec, Arg: spec.Path, Errno: unix.EINVAL, Hint: fmt.Sprintf("variable %q holds a NUL byte", name)}
	}
	for _, name := range spec.PidVariables {
		entry := make([]byte, len(name)+1+maxPid)
		value := copy(entry, name+"=")
		c.env[len(c.env)-1] = &entry[0]
		c.env, c.pids = append(c.env, nil), append(c.pids, entry[value:])
	}
	if strings.Contains(spec.Path, "/") {
		c.programs = []*byte{path}
	} else {
		// Parts of strings without a NUL byte: PATH was checked with env.
		c.programs, _ = cstrings(candidates(spec.Path, spec.Env))
		c.programs = c.programs[:len(c.programs)-1]
	}
	if c.trace.wanted && c.trace.careful {
		c.trace.file = new(unix.Statx_t)
		c.trace.runs = append(c.trace.runs, c.programs)
		for _, program := range execsOf(shellText(spec)) {
			list, at := cstrings(candidates(program, spec.Env))
			if at < 0 {
				c.trace.runs = append(c.trace.runs, list[:len(list)-1])
			}
		}
	}
	return c, nil
}

// workDir is where the process begins; empty for where we are. A changed root
// without a directory begins at it, or the old one would still be reachable.
func workDir(spec *Spec) string {
	if spec.Dir == "" && spec.Chroot != "" {
		return "/"
	}
	return spec.Dir
}

// restoredNofile returns the limit on descriptors to be given back; nil when
// ours is right, or someone has changed it since by prlimit(2).
func (s *Supervisor) restoredNofile() *unix.Rlimit {
	if s.nofile == nil {
		return nil
	}
	var now unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &now) != nil || now != s.raised {
		return nil
	}
	return s.nofile
}

// areOurs tells whether the groups are those that we have: then there is
// nothing to set, and an ordinary user may not.
func areOurs(groups []uint32) bool {
	have, err := unix.Getgroups()
	if err != nil || len(have) != len(groups) {
		return false
	}
	want := slices.Clone(groups)
	slices.Sort(want)
	slices.Sort(have)
	for i, g := range have {
		if uint32(g) != want[i] {
			return false
		}
	}
	return true
}

// cstrings returns the strings as the kernel takes them, with a nil at the
// end, and the index of the first that holds a NUL byte, else -1.
func cstrings(list []string) (ptrs []*byte, bad int) {
	bad = -1
	size := 0
	for i, s := range list {
		size += len(s) + 1
		if bad < 0 && strings.IndexByte(s, 0) >= 0 {
			bad = i
		}
	}
	block := make([]byte, size)
	ptrs = make([]*byte, len(list)+1)
	for i, s := range list {
		ptrs[i] = &block[0]
		block = block[copy(block, s)+1:]
	}
	return ptrs, bad
}

// explain makes the error of a step that failed in the child.
func explain(spec *Spec, terminal string, step Step, index int, errno syscall.Errno, hint uint32) *SpawnError {
	e := &SpawnError{Step: step, Errno: errno}
	if !fits(spec, step, index) {
		return e
	}
	switch step {
	case StepOutput:
		e.Arg = spec.LogPath
	case StepTerminal:
		e.Arg = terminal
	case StepNice:
		e.Arg = strconv.Itoa(*spec.Nice)
	case StepOOMScore:
		e.Arg = strconv.Itoa(*spec.OOMScore)
	case StepLimit:
		e.Arg = spec.Limits[index].String()
	case StepChroot:
		e.Arg = spec.Chroot
	case StepGID:
		e.Arg = strconv.FormatUint(uint64(spec.Credential.GID), 10)
	case StepUID:
		e.Arg = strconv.FormatUint(uint64(spec.Credential.UID), 10)
	case StepChdir:
		e.Arg = workDir(spec)
	case StepExec:
		e.Arg = spec.Path
		if hint == hintInterpreter {
			e.Hint = "the interpreter or loader that it names does not exist"
		}
	}
	return e
}

// fits tells whether a spec has what a step was tried with. That of a process
// which an earlier daemon made is not known to the last detail.
func fits(spec *Spec, step Step, index int) bool {
	switch step {
	case StepNice:
		return spec.Nice != nil
	case StepOOMScore:
		return spec.OOMScore != nil
	case StepLimit:
		return index < len(spec.Limits)
	case StepGID, StepUID:
		return spec.Credential != nil
	}
	return true
}

// candidates returns what execve is to try for a program: itself when it has
// a slash, else each directory of the PATH in env, in order. As in a shell an
// empty directory is the current one. Nothing is looked at: that may hang.
func candidates(program string, env []string) []string {
	if strings.Contains(program, "/") || program == "" {
		return []string{program}
	}
	path := "/bin:/usr/bin"
	for _, kv := range env {
		if value, found := strings.CutPrefix(kv, "PATH="); found {
			path = value
			break
		}
	}
	dirs := strings.Split(path, ":")
	list := make([]string, len(dirs))
	for i, dir := range dirs {
		switch {
		case dir == "":
			list[i] = program
		case strings.HasSuffix(dir, "/"):
			list[i] = dir + program
		default:
			list[i] = dir + "/" + program
		}
	}
	return list
}
