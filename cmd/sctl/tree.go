package main

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
)

// treeReport is what tree says with --json: an entry for each instance, and
// for each job without one that is named, or has left processes behind.
type treeReport struct {
	Version int         `json:"version"`
	Jobs    []treeEntry `json:"jobs"`
}

type treeEntry struct {
	Job       string          `json:"job"`
	Instance  string          `json:"instance"`
	Goal      string          `json:"goal"`
	State     string          `json:"state"`
	Processes []processReport `json:"processes"`
	// Left: the processes are those that ended runs have left behind.
	Left bool `json:"left_behind,omitempty"`

	title string
}

// showTree prints the processes of the jobs' instances, each below the one
// that has made it.
func showTree(c *command) error {
	c.doing = "show the processes"
	paths, err := c.pathsOf(c.args)
	if err != nil {
		return err
	}
	jobs, err := c.reportJobs(paths)
	if err != nil {
		return err
	}
	processes, err := c.allProcesses(jobs)
	if err != nil {
		return err
	}
	report := treeReport{Version: jsonVersion, Jobs: []treeEntry{}}
	for i, job := range jobs {
		for k := range job.Instances {
			in := &job.Instances[k]
			report.Jobs = append(report.Jobs, treeEntry{
				Job: job.Name, Instance: in.Name, Goal: in.Goal, State: in.State,
				Processes: forest(named(processes[i][k], in.Processes), func(pid int) int { return parentOf(procRoot, pid) }),
				title:     instanceName(job.Name, in.Name) + " " + in.State + " (" + in.Goal + ")",
			})
		}
		if len(job.LeftBehind) > 0 || len(job.Instances) == 0 && len(c.args) > 0 {
			report.Jobs = append(report.Jobs, treeEntry{
				Job: job.Name, Goal: "stop", State: "waiting", Left: len(job.LeftBehind) > 0, Processes: []processReport{},
				title: job.Name + " waiting (stop)",
			})
			if entry := &report.Jobs[len(report.Jobs)-1]; entry.Left {
				entry.Processes = forest(job.LeftBehind, func(pid int) int { return parentOf(procRoot, pid) })
				entry.title = job.Name + ": left behind"
			}
		}
	}
	if c.options.json {
		return c.encode(report)
	}
	marks := c.branches()
	for _, entry := range report.Jobs {
		c.print(c.paint(bold, entry.title))
		c.printForest(marks, "", entry.Processes)
	}
	return nil
}

// pathsOf gives the paths of jobs, of all of them without names. For one that
// is not there what is being done is said of that one.
func (c *command) pathsOf(names []string) ([]string, error) {
	if len(names) == 0 {
		return c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	}
	var paths []string
	for _, name := range names {
		path, err := c.callString(api.ManagerPath, api.ManagerInterface, "GetJobByName", name)
		if err != nil {
			c.doing += " of '" + name + "'"
			c.args = []string{name} // what a hint is about
			return nil, c.unknown(name, err)
		}
		if !contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// named gives processes the part that they have in the job.
func named(list, parts []processReport) []processReport {
	out := slices.Clone(list)
	for _, part := range parts {
		if i := slices.IndexFunc(out, func(p processReport) bool { return p.Pid == part.Pid }); i >= 0 {
			out[i].Kind = part.Kind
		} else {
			// It has ended, or was made, since the list was.
			out = append(out, part)
		}
	}
	return out
}

// forest puts processes below those of the list that have made them.
func forest(list []processReport, parent func(pid int) int) []processReport {
	known := make(map[int]bool)
	for _, p := range list {
		known[p.Pid] = true
	}
	below := make(map[int][]processReport)
	for _, p := range list {
		above := parent(p.Pid)
		if !known[above] || above == p.Pid {
			above = 0
		}
		below[above] = append(below[above], p)
	}
	// Each is placed once: pids that were used again while /proc was read
	// could make a circle, and what hangs in one is shown at the top.
	placed := make(map[int]bool)
	var grow func(roots []processReport) []processReport
	grow = func(roots []processReport) []processReport {
		out := []processReport{}
		for _, p := range roots {
			if placed[p.Pid] {
				continue
			}
			placed[p.Pid] = true
			if children := grow(below[p.Pid]); len(children) > 0 {
				p.Children = children
			}
			out = append(out, p)
		}
		return out
	}
	out := grow(below[0])
	for _, p := range list {
		out = append(out, grow([]processReport{p})...)
	}
	return out
}

// branches are what a tree is drawn with.
type branches struct{ next, last, through, past string }

// branches gives lines where the locale says that the terminal has them.
func (c *command) branches() branches {
	for _, name := range [...]string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(c.getenv(name)); value != "" {
			if strings.Contains(value, "utf-8") || strings.Contains(value, "utf8") {
				return branches{"├─", "└─", "│ ", "  "}
			}
			break
		}
	}
	return branches{"|-", "`-", "| ", "  "}
}

func (c *command) printForest(marks branches, indent string, list []processReport) {
	for i, p := range list {
		mark, further := marks.next, marks.through
		if i == len(list)-1 {
			mark, further = marks.last, marks.past
		}
		part := ""
		if p.Kind != "" && p.Kind != "main" {
			part = " " + p.Kind + ":"
		}
		command := p.Command
		if command == "" {
			command = "(no command)"
		}
		c.print(c.cut(indent + mark + strconv.Itoa(p.Pid) + part + " " + printable(command)))
		c.printForest(marks, indent+further, p.Children)
	}
}

// cut keeps a line within the width of the terminal.
func (c *command) cut(line string) string {
	width := c.width()
	if runes := []rune(line); width > 1 && len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return line
}

// width is that of the terminal in characters, 0 without one.
func (c *command) width() int {
	file, ok := c.stdout.(interface{ Fd() uintptr })
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}
