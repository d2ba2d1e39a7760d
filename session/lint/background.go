package lint

import (
	"strings"

	"github.com/session-init/session-init/session/job"
)

// checkBackground looks for a main whose last words put the program behind the
// shell: the shell is what is watched, and has ended the next moment. Right it
// is where the job says that it forks, or where what is left behind counts; and a
// task may leave something behind.
func (s *set) checkBackground(i int) {
	class := s.jobs[i].Class
	p := class.Processes[job.Main]
	if p == nil || class.Task || class.LifetimeTree || class.Expect != job.ExpectNone || !endsBehind(p.Text) {
		return
	}
	if p.Script {
		s.warn(i, s.keywords(i, "script"), Background,
			"'&' puts the last command into the background: the script ends without it, and so does the job; 'exec', without '&', makes it the main process")
		return
	}
	s.warn(i, s.word(i, 0, titled("exec")), Background,
		"'&' puts the program behind a shell that ends at once, and so does the job; leave it out")
}

// endsBehind tells whether the last line of a text ends in an "&" that puts its
// command into the background: none that is quoted or part of another operator.
func endsBehind(text string) bool {
	text = strings.TrimRight(text, " \t\r\n")
	text = text[strings.LastIndexByte(text, '\n')+1:]
	before, ok := strings.CutSuffix(text, "&")
	return ok && !strings.ContainsAny(before[max(0, len(before)-1):], `&\<>|`) && !strings.HasPrefix(strings.TrimLeft(text, " \t"), "#") &&
		strings.Count(before, "'")%2 == 0 && strings.Count(before, `"`)%2 == 0
}
