package sim

import (
	"fmt"
	"strings"
)

// Story is a tale of what is done and what must come of it. In a file, a
// story looks like this; "#" begins a comment:
//
//	story a stop while the start is held (9)
//
//	job svc
//	    start on go
//	    exec daemon
//
//	do emit go
//	expect spawn reply
//	    svc spawn main
//	    emit go: ok
//	svc is start/running
//
// A story begins with "story TITLE (FACTS)"; the numbers are those of the
// facts that it shows. What stands further right belongs to the line above
// it. The steps are:
//
//	given table K=V…         the environment table, before anything is done
//	given daemon K=V…        the daemon's own environment, likewise
//	given session ADDRESS    and given path-end DIR, given stop-timeout TIME,
//	                         given until-logout yes
//	job NAME                 load the job file that follows (again)
//	drop NAME                the job file is deleted
//	run NAME [K=V…] [nowait] [in N] [as NAME]
//	                         run the job file that follows once, as a job that
//	                         is gone when it has ended
//	do start JOB [K=V…] [nowait] [as NAME]
//	do stop …, do restart …  the same; "do start instance JOB(INST)" is a
//	                         wish for that very instance
//	do reload JOB            do force-stop JOB …: as do stop
//	do emit EVENT [K=V…] [nowait] [descriptor N] [as NAME]
//	                         in each of these "by JOB KIND" says that it is
//	                         that process of a job which asks
//	do set-env K=V…          do unset-env K…, do reset-env; with "JOB(INST):"
//	                         as the first word for one instance;
//	                         do retain-env K=V…, where it is not set yet
//	do abandon NAME          the caller has gone away
//	do shutdown TYPE         the session ends
//	do open-session PID [K=V…]
//	                         a login session begins, with that leader; "in N"
//	                         as in the wishes above: by a client in session N
//	do begin-session DISPLAY [ID] [in N] [K=V…]
//	do end-session [ID] [in N]
//	                         do await-session ID; each with "as NAME", too
//	do lose-leader PID       do lose-display DISPLAY: it has ended
//	do logged-out            the last login is over that is counted elsewhere
//	do logged-in             there is one again
//	do connect JOB ADDRESS   somebody waits at a socket of a job, which the
//	                         daemon was to look at; do lack-socket JOB ADDRESS
//	                         WORD… says why there is none; do listen-again
//	exit JOB KIND STATUS     a process ends by itself
//	kill JOB KIND SIGNAL     somebody else kills it; "core" behind it: it dumps
//	                         core
//	say JOB KIND WHAT        it speaks of its job, as sd_notify does: ready, reloading,
//	                         stopping, alive, trigger, status TEXT, errno TEXT, extend TIME,
//	                         interval TIME (of its watchdog)
//	owns JOB KIND NAME       it owns a bus name, and is waited for to do so; lack JOB KIND WORD…
//	                         says what keeps it from being ready, or what it has lost
//	listen JOB KIND ADDRESS  it listens on a socket, and is waited for to do so
//	does JOB KIND WHAT       it does what is not waited for: listen ADDRESS, own NAME, or
//	                         nothing; misfit JOB KIND WORD… says what it did not do
//	fork JOB KIND            it forks; self-stop JOB KIND: it raises STOP
//	end-leftovers JOB        what its last run left behind ends by itself
//	advance TIME             time passes (90s, 500ms)
//	re-exec                  another daemon goes on with what this one knew
//	expect [KIND…]           what happened since the last expect, all of it
//	                         or all of these kinds, in this order
//	expect nothing           nothing has happened
//	expect why JOB           all that is known about why the job, and each
//	                         instance, is as it is; why JOB(INST) for one
//	expect cycles            those that wait for each other; "cycles nothing"
//	skip                     forget what has happened
//	JOB is GOAL/STATE        or "JOB is gone": there is no such instance
//	JOB runs KIND…           the processes that it has; "JOB runs nothing"
//	JOB KIND has K=V…        the environment that its last process of that
//	                         kind got; JOB KIND lacks K…; JOB KIND sees K=V…:
//	                         these and no others, in this order
//	JOB leaves N             so many processes of its last run are left
//	JOB left N               so many are shown to have been left behind
//	JOB says TEXT            what its status notes; "JOB says nothing"
//	JOB blames TEXT          why it failed last; "JOB blames nothing"
//
// A caller is called as NAME says, else by the words of its wish up to the
// first variable. What processes do stands at ParseProgram.
type Story struct {
	Title string
	// Facts are the numbers in parentheses after the title.
	Facts string
	Line  int
	steps []step
}

// step is a line of a story with the block below it.
type step struct {
	line  int
	words []string
	block []string
}

// ParseStories reads a file of stories. Errors name the line.
func ParseStories(text string) ([]*Story, error) {
	var stories []*Story
	var blank int
	for n, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		trimmed := strings.TrimSpace(line)
		indented := line != "" && (line[0] == ' ' || line[0] == '\t')
		switch {
		case trimmed == "":
			blank++
			continue
		case indented:
			if len(stories) == 0 || len(stories[len(stories)-1].steps) == 0 {
				return nil, fmt.Errorf("line %d: nothing above that this could belong to", n+1)
			}
			steps := stories[len(stories)-1].steps
			last := &steps[len(steps)-1]
			for ; blank > 0; blank-- {
				last.block = append(last.block, "")
			}
			last.block = append(last.block, line)
			continue
		}
		blank = 0
		words, err := splitWords(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		case len(words) == 0:
		case words[0] == "story":
			s := &Story{Title: strings.TrimSpace(strings.TrimPrefix(line, "story")), Line: n + 1}
			if open := strings.LastIndex(s.Title, "("); open >= 0 && strings.HasSuffix(s.Title, ")") {
				s.Facts = s.Title[open+1 : len(s.Title)-1]
				s.Title = strings.TrimSpace(s.Title[:open])
			}
			stories = append(stories, s)
		case len(stories) == 0:
			return nil, fmt.Errorf("line %d: a step before the first story", n+1)
		default:
			s := stories[len(stories)-1]
			s.steps = append(s.steps, step{line: n + 1, words: words})
		}
	}
	return stories, nil
}

// splitWords splits a line at blanks; double quotes hold words together, a
// "#" before a word begins a comment.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quoted := false, false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '"':
			quoted = !quoted
			inWord = true
		case !quoted && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case !quoted && !inWord && c == '#':
			return words, nil
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// dedent takes the indentation of the first line off every line.
func dedent(block []string) []string {
	if len(block) == 0 {
		return nil
	}
	first := block[0]
	indent := first[:len(first)-len(strings.TrimLeft(first, " \t"))]
	out := make([]string, len(block))
	for i, line := range block {
		out[i] = strings.TrimPrefix(line, indent)
	}
	return out
}
