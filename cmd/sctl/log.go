package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/session-init/session-init/session/api"
)

// followedLines is with how many lines of each log --follow begins.
const followedLines = 10

// logFile is the log of an instance.
type logFile struct {
	job, instance, path string
	colour              colour
}

// name is what stands before its lines when there are several.
func (l *logFile) name() string { return instanceName(l.job, l.instance) }

// showLog prints what jobs have printed. The jobs hold their logs themselves:
// they are files, and session-init notes from time to time how long they are.
// Several logs are put together by that.
func showLog(c *command) error {
	names := c.args
	if len(names) == 0 {
		name, inJob := c.lookupEnv("UPSTART_JOB")
		if !inJob {
			return usageError("missing job name")
		}
		names = []string{name}
	}
	c.doing = "show the log of '" + strings.Join(names, "', '") + "'"
	logs, err := c.findLogs(names)
	if err != nil {
		return err
	}
	lines := c.options.lines
	if lines < 0 && c.options.follow && c.options.since.IsZero() {
		lines = followedLines
	}
	w := &logWriter{command: c, many: len(logs) > 1 || c.options.follow && len(names) > 1}
	if c.options.follow {
		return c.followLogs(w, names, logs, lines)
	}
	past := make([][]pastLine, len(logs))
	for i, log := range logs {
		now, start, err := readLog(log.path)
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("cannot read %s: %w", log.path, reasonOf(err))
		}
		all, err := pastLines(log, now, start, lines)
		if err != nil {
			return err
		}
		past[i] = c.chosen(all, lines)
	}
	shown := merged(past)
	for i := range shown {
		w.writePast(&shown[i])
	}
	if len(shown) == 0 && lines != 0 && isTerminal(c.stderr) && !c.options.quiet {
		when := "yet"
		if since := c.options.since; !since.IsZero() {
			when = "since " + since.Format(time.DateTime)
		}
		fmt.Fprintf(c.stderr, "%s: nothing was printed %s\n", c.prefix(), when)
	}
	return nil
}

// findLogs gives the logs of all instances of jobs, as far as they are there.
func (c *command) findLogs(names []string) ([]*logFile, error) {
	dirs, known, err := c.logDirs(names)
	if err != nil {
		return nil, err
	}
	var logs []*logFile
	for i, name := range names {
		if slices.Contains(names[:i], name) || dirs[i] == "" {
			continue
		}
		for _, dir := range withEarly(dirs[i]) {
			entries, err := os.ReadDir(dir)
			if err != nil && !os.IsNotExist(err) {
				return nil, fmt.Errorf("cannot read %s: %w", dir, reasonOf(err))
			}
			for _, entry := range entries {
				if instance, ok := logOf(entry.Name(), name, known); ok && !entry.IsDir() {
					logs = append(logs, &logFile{job: name, instance: instance, path: filepath.Join(dir, entry.Name())})
				}
			}
		}
	}
	c.colourLogs(logs)
	return logs, nil
}

// withEarly gives, for the directory of the machine's logs, both: the one where
// they are until the disk can be written to, and then the other. What ran before
// writes to the first still.
func withEarly(dir string) []string {
	if dir == machineLogDir || dir == earlyLogDir {
		return []string{earlyLogDir, machineLogDir}
	}
	return []string{dir}
}

// Where the machine's jobs log, and where they do until the disk can be written to.
const (
	machineLogDir = "/var/log/session-init"
	earlyLogDir   = "/run/session-init/log"
)

func (c *command) colourLogs(logs []*logFile) {
	colours := jobColours()
	for i, log := range logs {
		log.colour = colours[i%len(colours)]
	}
}

// logDirs gives the directory of each job's logs, which session-init tells,
// and the names of all jobs. Without a session-init it is where the logs are
// unless its flags say otherwise. A job that is gone may have left a log
// there, or beside those of others.
func (c *command) logDirs(names []string) (dirs, known []string, err error) {
	paths, err := c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	var absent *noDaemonError
	if errors.As(err, &absent) {
		usual := c.usualLogDir()
		if _, missing := os.Stat(usual); missing != nil {
			return nil, nil, err
		}
		for range names {
			dirs = append(dirs, usual)
		}
		return dirs, c.jobsOfFiles(), nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		if name, _, _, ok := api.ParsePath(path); ok {
			known = append(known, name)
		}
	}
	for _, name := range names {
		path, err := c.callString(api.JobPath(name), api.PropertiesInterface, "Get", api.JobExtension, "log")
		switch {
		case gone(err):
			usual := c.usualLogDir()
			if _, missing := os.Stat(filepath.Join(usual, logStem(name)+".log")); missing != nil {
				c.doing, c.args = "show the log of '"+name+"'", []string{name} // of several, that one
				return nil, nil, c.unknown(name, err)
			}
			path = filepath.Join(usual, "x")
		case err != nil:
			return nil, nil, err
		case path == "":
			return nil, nil, fmt.Errorf("the output of '%s' is not logged: its console is not 'log' or 'pty', or session-init runs with --no-log", name)
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	return dirs, known, nil
}

// usualLogDir is where session-init logs unless a flag says otherwise.
func (c *command) usualLogDir() string {
	if c.forMachine() {
		return machineLogDir
	}
	dir := c.getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(c.getenv("HOME"), ".local/state")
	}
	return filepath.Join(dir, "session-init", "log")
}

// jobsOfFiles gives the names of the jobs that files define.
func (c *command) jobsOfFiles() []string {
	r := newReading()
	if r.load(c.jobDirs()) != nil {
		return nil
	}
	var names []string
	for _, j := range r.jobs() {
		names = append(names, j.Class.Name)
	}
	return names
}

// logStem is the name of a job's log file without what follows the job.
func logStem(job string) string { return strings.ReplaceAll(job, "/", "_") }

// logOf tells whether a file is a log of a job, and of which instance. A name
// such as "net-dhcp.log" is that of the job net-dhcp, if there is one, before
// it is that of the instance dhcp of net.
func logOf(file, name string, known []string) (instance string, ok bool) {
	stem, isLog := strings.CutSuffix(file, ".log")
	rest, begins := strings.CutPrefix(stem, logStem(name))
	if !isLog || !begins || rest != "" && (rest[0] != '-' || len(rest) == 1) {
		return "", false
	}
	for _, other := range known {
		other = logStem(other)
		if len(other) > len(logStem(name)) && (stem == other || strings.HasPrefix(stem, other+"-")) {
			return "", false
		}
	}
	return strings.TrimPrefix(rest, "-"), true
}

// maxParts bounds how many older parts are looked for.
const maxParts = 10000

// readParts reads the older parts of a log from one on, 0 being the log itself,
// as far as they are needed for so many lines. The oldest comes first.
func readParts(path string, from, lines int) ([][]byte, error) {
	var parts [][]byte
	count := 0
	for n := from; n <= maxParts; n++ {
		name := path
		if n > 0 {
			name += "." + strconv.Itoa(n)
		}
		text, _, err := readLog(name)
		if os.IsNotExist(err) && n > 0 {
			break
		}
		if err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("cannot read %s: %w", name, reasonOf(err))
		}
		parts = append(parts, text)
		if count += bytes.Count(text, []byte("\n")); lines >= 0 && count >= lines {
			break
		}
	}
	slices.Reverse(parts)
	return parts, nil
}

// readLog reads a file without the hole that may stand where lines were cut
// out, and tells where in it the text begins. What is no regular file has no
// lines: it could be read for ever.
func readLog(path string) (text []byte, start int64, err error) {
	file, err := openLog(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	start = dataStart(file)
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, 0, err
	}
	text, err = io.ReadAll(file)
	return text, start, err
}

// lastLines gives the last lines of the parts. A line that has no end yet is one.
func lastLines(parts [][]byte, n int) []string {
	text := bytes.TrimSuffix(bytes.Join(parts, nil), []byte("\n"))
	if len(text) == 0 || n == 0 {
		return nil
	}
	return lastOf(strings.Split(string(text), "\n"), n)
}

// logWriter prints lines of logs.
type logWriter struct {
	*command
	many bool // lines say whose they are
}

// logLine is a line with --json.
type logLine struct {
	Version  int    `json:"version"`
	Job      string `json:"job"`
	Instance string `json:"instance"`
	File     string `json:"file"`
	Time     string `json:"time,omitempty"`
	Line     string `json:"line"`
}

// write prints a line, with the time when it came where that is known.
func (w *logWriter) write(log *logFile, at time.Time, line string) {
	if w.options.quiet {
		return
	}
	if w.options.json {
		text, err := json.Marshal(logLine{jsonVersion, log.job, log.instance, log.path, fullTime(at), strings.ToValidUTF8(line, "?")})
		if err == nil {
			w.out.Write(append(text, '\n'))
		}
		return
	}
	head := ""
	if !at.IsZero() {
		head = w.paint(faint, at.Format(time.TimeOnly)) + " "
	}
	if w.many {
		head += w.paint(log.colour, log.name()+":") + " "
	}
	if isTerminal(w.stdout) {
		line = tame(line)
	}
	w.out.WriteString(head + line + "\n")
}

// writePast prints a line that was in the log before. Its time, which is that of the
// moment at which it was seen, is for programs.
func (w *logWriter) writePast(l *pastLine) {
	at := time.Time{}
	if w.options.json && l.exact() {
		at = l.at
	}
	w.write(l.log, at, l.text)
}

// tame leaves of a line what cannot play tricks on a terminal: text, tabs, and
// colours, which are put back to normal at its end.
func tame(line string) string {
	var out strings.Builder
	coloured := false
	for line != "" {
		if n := colourLength(line); n > 0 {
			out.WriteString(line[:n])
			line, coloured = line[n:], true
			continue
		}
		r := []rune(line[:min(len(line), 4)])[0]
		size := max(len(string(r)), 1)
		if r == unicode.ReplacementChar && !strings.HasPrefix(line, string(r)) {
			size = 1 // no character
		}
		switch {
		case r == '\t' || unicode.IsPrint(r):
			out.WriteRune(r)
		case r == '\r' && len(line) == size:
			// as a terminal has it at the end of a line
		default:
			out.WriteRune(unicode.ReplacementChar)
		}
		line = line[size:]
	}
	if coloured {
		out.WriteString("\x1b[0m")
	}
	return out.String()
}

// colourLength gives the bytes of the colour that a text begins with.
func colourLength(text string) int {
	rest, ok := strings.CutPrefix(text, "\x1b[")
	if !ok {
		return 0
	}
	n := strings.IndexFunc(rest, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
	if n < 0 || rest[n] != 'm' {
		return 0
	}
	return len("\x1b[") + n + 1
}
