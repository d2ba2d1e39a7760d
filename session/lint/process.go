package lint

import (
	"fmt"
	"path"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/job"
)

// checkProcesses looks for the programs of the job's commands. Of a script
// nothing is known before it runs.
func (s *set) checkProcesses(i int) {
	class := s.jobs[i].Class
	if s.world.Look == nil {
		return
	}
	for kind, p := range class.Processes {
		if p == nil || p.Script {
			continue
		}
		program, ok := firstWord(p.Text)
		if !ok {
			continue
		}
		if why := s.missing(class, program); why != "" {
			prefix := ""
			if job.ProcessKind(kind) != job.Main {
				prefix = job.ProcessKind(kind).String() + " "
			}
			s.warn(i, s.word(i, 0, titled(prefix+"exec", prefix+"script")), MissingProgram, why)
		}
	}
}

// firstWord gives the program of an exec line, if it does not depend on what
// the shell makes of it.
func firstWord(text string) (string, bool) {
	word, _, _ := strings.Cut(strings.NewReplacer("\t", " ", "\r", " ", "\n", " ").Replace(text), " ")
	if len(word) > 2 && (word[0] == '"' || word[0] == '\'') && word[len(word)-1] == word[0] {
		word = word[1 : len(word)-1]
	}
	return word, word != "" && !strings.ContainsAny(word, "~`!$^&*()|\\{}[];\"'<>?")
}

// missing says why the job cannot execute a program, or nothing.
func (s *set) missing(class *job.Class, program string) string {
	if strings.Contains(program, "/") {
		place, ok := inside(class, program)
		if !ok {
			return ""
		}
		switch s.world.Look(place) {
		case Missing:
			return "there is no program " + named(place)
		case Directory:
			return named(place) + " is a directory, not a program"
		case Plain:
			return named(place) + " is not executable"
		}
		return ""
	}
	if class.Chroot == "" {
		for _, have := range s.world.Commands {
			if program == have {
				return ""
			}
		}
	}
	search, known := s.searchPath(class)
	if !known {
		return ""
	}
	plain := ""
	for dir := range strings.SplitSeq(search, ":") {
		place, ok := inside(class, dir+"/"+program)
		if dir == "" {
			place, ok = inside(class, "./"+program)
		}
		if !ok {
			return ""
		}
		switch s.world.Look(place) {
		case Program, Unknown:
			return ""
		case Plain:
			plain = place
		}
	}
	if plain != "" {
		return named(plain) + " is not executable"
	}
	hint := ""
	if strings.Contains(program, "=") {
		hint = "; a variable is set by 'env'"
	}
	return "there is no program " + named(program) + " in the job's PATH, " + cut(search, maxPath) + hint
}

// searchPath gives the PATH of the job's processes; known is false when it
// takes an instance to tell.
func (s *set) searchPath(class *job.Class) (search string, known bool) {
	search = s.world.Path
	set := false
	for _, entry := range class.Env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			search = value
		} else if entry == "PATH" {
			search = s.world.Path
		} else {
			continue
		}
		set = true
	}
	if !set && len(class.EnvFiles) > 0 {
		return "", false // they may have one
	}
	return search, search != ""
}

// inside gives the path at which a job's process finds a file; ok is false if
// that depends on the daemon's own directory.
func inside(class *job.Class, file string) (place string, ok bool) {
	if !path.IsAbs(file) {
		if class.Chdir == "" {
			return "", false
		}
		file = path.Join(class.Chdir, file)
	}
	if class.Chroot != "" {
		file = path.Join(class.Chroot, path.Join("/", file))
	}
	return path.Clean(file), path.IsAbs(file)
}

// checkSettings looks at what the processes are given before they begin.
func (s *set) checkSettings(i int) {
	class := s.jobs[i].Class
	s.checkInstance(i, class)
	s.checkDirectories(i, class)
	s.checkEnvFiles(i, class)
	s.checkIdentity(i, class)
	s.checkLimits(i, class)
	for _, name := range class.Inert {
		s.warn(i, s.keywordsOf(i, name), WithoutEffect, named(name)+" is accepted and without effect here")
	}
	if !s.world.System && (class.Console == job.ConsoleOutput || class.Console == job.ConsoleOwner) {
		s.warn(i, s.keywords(i, "console"), ConsoleTerminal, "'console "+class.Console.String()+
			"' is the terminal that session-init was started on; without one it is 'console log'")
	}
}

// checkInstance expands the name of an instance as if every variable were set:
// what then fails always does.
func (s *set) checkInstance(i int, class *job.Class) {
	set := func(string) (string, bool) { return "x", true }
	if _, err := events.Expand(class.Instance, set); err != nil {
		s.warn(i, s.word(i, 0, titled("instance")), BadInstance,
			"no instance can be made: "+named(class.Instance)+" cannot be expanded: "+err.Error())
	}
}

func (s *set) checkDirectories(i int, class *job.Class) {
	look := func(title, dir string) {
		if s.world.Look == nil || !path.IsAbs(dir) {
			return
		}
		at := s.word(i, 0, titled(title))
		switch s.world.Look(path.Clean(dir)) {
		case Missing:
			s.warn(i, at, MissingDirectory, "there is no directory "+named(dir))
		case Plain, Program:
			s.warn(i, at, MissingDirectory, named(dir)+" is not a directory")
		}
	}
	look("chroot", class.Chroot)
	if class.Chroot == "" {
		look("chdir", class.Chdir)
	} else if place, ok := inside(class, class.Chdir); class.Chdir != "" && ok {
		look("chdir", place)
	}
	if class.Chroot != "" && !s.world.Root {
		s.warn(i, s.keywords(i, "chroot"), NotPermitted, "'chroot' needs root, which session-init is not")
	}
}

// checkEnvFiles looks for the files of variables, without which the job fails,
// unless a pre-start process may make them.
func (s *set) checkEnvFiles(i int, class *job.Class) {
	if s.world.Look == nil || class.Processes[job.PreStart] != nil {
		return
	}
	for _, file := range class.EnvFiles {
		is := func(stand job.Stand) bool {
			return stand.Title == "env file" && len(stand.Words) > 0 && stand.Words[0].Text == file
		}
		switch s.world.Look(path.Clean(file)) {
		case Missing:
			s.warn(i, s.word(i, 0, is), MissingFile, "there is no file "+named(file))
		case Directory:
			s.warn(i, s.word(i, 0, is), MissingFile, named(file)+" is a directory, not a file")
		}
	}
}

func (s *set) checkIdentity(i int, class *job.Class) {
	check := func(title, name, what string, find func(string) (uint32, bool), own uint32, unknown Rule) {
		if name == "" || find == nil {
			return
		}
		at := s.word(i, 0, titled(title))
		// Another root has its own users.
		if id, ok := find(name); !ok && class.Chroot == "" {
			s.warn(i, at, unknown, "unknown "+what+" "+named(name))
		} else if ok && !s.world.Root && id != own {
			s.warn(i, at, NotPermitted, fmt.Sprintf("session-init runs as %s %d and cannot become %s", what, own, named(name)))
		}
	}
	check("setuid", class.Setuid, "user", s.world.User, s.world.UID, UnknownUser)
	check("setgid", class.Setgid, "group", s.world.Group, s.world.GID, UnknownGroup)
}

func (s *set) checkLimits(i int, class *job.Class) {
	for _, limit := range class.Limits {
		name := job.ResourceName(limit.Resource)
		is := func(stand job.Stand) bool {
			return stand.Title == "limit" && len(stand.Words) > 0 && stand.Words[0].Text == name
		}
		if limit.Soft > limit.Hard {
			s.warn(i, s.word(i, 1, is), BadLimit, "the soft limit of "+name+" is above the hard one: the system refuses that")
			continue
		}
		if s.world.Ceiling == nil {
			continue
		}
		if most, ok := s.world.Ceiling(limit.Resource); ok && limit.Hard > most {
			s.warn(i, s.word(i, 2, is), BadLimit, fmt.Sprintf("the hard limit of %s cannot be more than %d here", name, most))
		}
	}
	if s.world.Root {
		return
	}
	if class.Nice != nil && *class.Nice < s.world.MinNice {
		s.warn(i, s.word(i, 0, titled("nice")), BadLimit,
			fmt.Sprintf("nice cannot be lower than %d here", s.world.MinNice))
	}
	if class.OOMScore != nil && *class.OOMScore < s.world.MinOOM {
		s.warn(i, s.word(i, 0, titled("oom", "oom score")), BadLimit,
			fmt.Sprintf("the score cannot be lower than %d here", s.world.MinOOM))
	}
}
