package main

import (
	"fmt"
	"sort"
	"strings"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/job"
)

func showUsage(c *command) error {
	t, err := c.target("show the usage of")
	if err != nil {
		return err
	}
	text, err := c.callString(api.JobPath(t.job), api.PropertiesInterface, "Get", api.JobInterface, "usage")
	if err != nil {
		return c.explain(t, err)
	}
	if c.options.json {
		return c.encode(struct {
			Version int    `json:"version"`
			Job     string `json:"job"`
			Usage   string `json:"usage"`
		}{jsonVersion, t.job, text})
	}
	c.print("Usage: " + text)
	return nil
}

// readConfigs asks for the properties of jobs, and returns them by name. Jobs
// that went away meanwhile are left out.
func (c *command) readConfigs(paths []string) ([]jobConfig, error) {
	requests := make([]api.Request, len(paths))
	for i, path := range paths {
		requests[i] = api.GetAll(path, api.JobInterface)
	}
	replies, err := c.callAll("for session-init to answer", requests...)
	if err != nil {
		return nil, err
	}
	configs := make([]jobConfig, 0, len(replies))
	for _, reply := range replies {
		properties, err := reply.Properties()
		if gone(err) {
			continue // it went away meanwhile
		}
		if err != nil {
			return nil, err
		}
		config, err := readConfig(properties)
		if err != nil {
			return nil, err
		}
		configs = append(configs, config)
	}
	sort.Slice(configs, func(i, j int) bool { return configs[i].name < configs[j].name })
	return configs, nil
}

// showConfig prints what jobs emit and their conditions, as initctl(8)
// describes it.
func showConfig(c *command) error {
	var paths []string
	var err error
	if len(c.args) > 0 {
		c.doing = "show the configuration of '" + c.args[0] + "'"
		var path string
		path, err = c.callString(api.ManagerPath, api.ManagerInterface, "GetJobByName", c.args[0])
		paths = []string{path}
	} else {
		c.doing = "show the configuration"
		paths, err = c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
	}
	if err != nil {
		return err
	}
	configs, err := c.readConfigs(paths)
	if err != nil {
		return err
	}
	if c.options.json {
		return c.configJSON(configs)
	}
	for _, config := range configs {
		lines, err := config.lines(c.options.enumerate)
		if err != nil {
			return err
		}
		for _, line := range lines {
			c.print(line)
		}
	}
	return nil
}

// configReport is what show-config says with --json.
type configReport struct {
	Version int           `json:"version"`
	Jobs    []configEntry `json:"jobs"`
}

// configEntry is a job: its conditions as text, and the words of each operand
// of them.
type configEntry struct {
	Name    string     `json:"name"`
	Emits   []string   `json:"emits"`
	StartOn string     `json:"start_on,omitempty"`
	Starts  [][]string `json:"start_on_events,omitempty"`
	StopOn  string     `json:"stop_on,omitempty"`
	Stops   [][]string `json:"stop_on_events,omitempty"`
}

func (c *command) configJSON(configs []jobConfig) error {
	report := configReport{Version: jsonVersion, Jobs: []configEntry{}}
	for _, config := range configs {
		entry := configEntry{Name: config.name, Emits: []string{}}
		for _, stanza := range config.stanzas {
			if len(stanza.condition) == 0 {
				entry.Emits = append(entry.Emits, stanza.words...)
				continue
			}
			text, err := infix(stanza.condition)
			if err != nil {
				return fmt.Errorf("the %s of %s: %w", stanza.title, config.name, err)
			}
			var operands [][]string
			for _, words := range stanza.condition {
				if !isOperator(words) {
					operands = append(operands, words)
				}
			}
			if stanza.title == "start on" {
				entry.StartOn, entry.Starts = text, operands
			} else {
				entry.StopOn, entry.Stops = text, operands
			}
		}
		report.Jobs = append(report.Jobs, entry)
	}
	return c.encode(report)
}

// jobConfig is what show-config shows of a job: the stanzas that the table
// marks as Shown, in its order.
type jobConfig struct {
	name    string
	stanzas []shownStanza
}

// shownStanza is one of a job: its words, or its condition in reverse Polish
// notation, where an operator is one word that begins with "/".
type shownStanza struct {
	title     string
	words     []string
	condition [][]string
}

func readConfig(properties map[string]any) (config jobConfig, err error) {
	name, ok := properties["name"].(string)
	config.name = name
	for _, s := range job.Stanzas() {
		if !s.Shown {
			continue
		}
		stanza, good := shownStanza{title: s.Title()}, false
		value := properties[strings.ReplaceAll(s.Title(), " ", "_")]
		if s.Shape == job.Expression {
			stanza.condition, good = value.([][]string)
		} else {
			stanza.words, good = value.([]string)
		}
		ok = ok && good
		config.stanzas = append(config.stanzas, stanza)
	}
	if !ok {
		return config, fmt.Errorf("session-init leaves out a property of a job, or gives it another type")
	}
	return config, nil
}

// lines are the lines that show the job.
func (config jobConfig) lines(enumerate bool) ([]string, error) {
	out := []string{config.name}
	for _, stanza := range config.stanzas {
		for _, word := range stanza.words {
			out = append(out, "  "+stanza.title+" "+word)
		}
		if len(stanza.condition) == 0 {
			continue
		}
		if enumerate {
			for _, words := range stanza.condition {
				if !isOperator(words) {
					out = append(out, "  "+stanza.title+" "+operandDetails(words))
				}
			}
			continue
		}
		text, err := infix(stanza.condition)
		if err != nil {
			return nil, fmt.Errorf("the %s of %s: %w", stanza.title, config.name, err)
		}
		out = append(out, "  "+stanza.title+" "+text)
	}
	return out, nil
}

func isOperator(words []string) bool {
	return len(words) == 1 && (words[0] == "/AND" || words[0] == "/OR")
}

// infix writes a condition with parentheses around every operator.
func infix(condition [][]string) (string, error) {
	var stack []string
	for _, words := range condition {
		if !isOperator(words) {
			stack = append(stack, strings.Join(words, " "))
			continue
		}
		if len(stack) < 2 {
			return "", fmt.Errorf("an operator without two operands")
		}
		n := len(stack) - 2
		operator := strings.ToLower(words[0][1:])
		stack = append(stack[:n], "("+stack[n]+" "+operator+" "+stack[n+1]+")")
	}
	if len(stack) != 1 {
		return "", fmt.Errorf("%d operands without an operator", len(stack))
	}
	return stack[0], nil
}

// operandDetails tells the job of a job event from its other variables. The
// job is the first value without a name, or the value of JOB, as long as
// none was found.
func operandDetails(words []string) string {
	if len(words) == 0 {
		return "(job:, env:)"
	}
	event, job, env := words[0], "", ""
	jobEvent := contains([]string{"starting", "started", "stopping", "stopped"}, event)
	for i, word := range words[1:] {
		value, isJob := strings.CutPrefix(word, "JOB=")
		if jobEvent && job == "" && (isJob || i == 0 && !strings.Contains(word, "=")) {
			job = " " + value
			continue
		}
		env += " " + word
	}
	return event + " (job:" + job + ", env:" + env + ")"
}
