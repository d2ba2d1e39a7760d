package session

import (
	"syscall"

	"github.com/session-init/session-init/supervise"
)

// complaint is what makes two complaints about output the same: a job that
// is started again and again has the same trouble each time.
type complaint struct {
	job     string
	problem supervise.OutputProblem // from 1; 0 for a log that cannot be opened
	errno   syscall.Errno
}

// complain says once for each job what is wrong with its output.
func (l *Loop) complain(job string, problem supervise.OutputProblem, errno syscall.Errno, sentence error) {
	c := complaint{job, problem, errno}
	if l.complaints[c] {
		return
	}
	if l.complaints == nil {
		l.complaints = make(map[complaint]bool)
	}
	l.complaints[c] = true
	l.log.Warn(sentence.Error(), "job", job)
}
