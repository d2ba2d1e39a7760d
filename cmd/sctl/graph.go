package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/session-init/session-init/events"
	"github.com/session-init/session-init/session/api"
)

// graph is who starts and stops whom: jobs, events, and where several must
// come together. Nodes and edges are in the order of the jobs' names.
type graph struct {
	Version int         `json:"version"`
	Nodes   []graphNode `json:"nodes"`
	Edges   []graphEdge `json:"edges"`

	known map[string]bool // nodes, by id
}

// graphNode is a job, an event, or the "and" of a condition.
type graphNode struct {
	ID   string `json:"id"`
	Kind string `json:"kind"` // job, event, and
	Name string `json:"name,omitempty"`
	// State is that of a job, if session-init was asked: running, changing,
	// failed or resting; missing for one that is named and not there.
	State     string `json:"state,omitempty"`
	Instances int    `json:"instances,omitempty"`
}

// graphEdge says that From starts, stops or emits To. Label is what of From
// does it, and which variables the condition asks for.
type graphEdge struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Kind  string `json:"kind"` // start, stop, emits
	Label string `json:"label,omitempty"`
}

// showGraph draws who starts and stops whom, as DOT or by dot(1) as SVG.
func showGraph(c *command) error {
	if c.options.json && (c.options.svg || c.options.output != "") {
		return usageError("--json goes without --svg and --output")
	}
	c.doing = "draw the jobs"
	configs, states, err := c.graphJobs()
	if err != nil {
		return err
	}
	for _, name := range c.args {
		if !slices.ContainsFunc(configs, func(config jobConfig) bool { return config.name == name }) {
			c.doing, c.args = "draw '"+name+"'", []string{name} // what a hint is about
			return &api.Error{Name: api.ErrUnknownJob, Message: "Unknown job: " + name}
		}
	}
	g, err := newGraph(configs, states)
	if err != nil {
		return err
	}
	g.near(c.args)
	switch {
	case c.options.json:
		return c.encode(g)
	case c.options.svg:
		return c.drawGraph(g)
	}
	return c.deliver([]byte(g.dot()))
}

// graphJobs gives the conditions of all jobs and the states of those that have
// one: of session-init, or, when there is none or directories are named, of the
// job files, without states.
func (c *command) graphJobs() (configs []jobConfig, states map[string]*jobReport, err error) {
	if c.options.confDirs == nil && c.options.prependDirs == nil && c.options.appendDirs == nil {
		paths, err := c.callStrings(api.ManagerPath, api.ManagerInterface, "GetAllJobs")
		var absent *noDaemonError
		if err != nil && !errors.As(err, &absent) {
			return nil, nil, err
		}
		if err == nil {
			if configs, err = c.readConfigs(paths); err != nil {
				return nil, nil, err
			}
			reports, err := c.reportJobs(paths)
			states = make(map[string]*jobReport)
			for _, report := range reports {
				states[report.Name] = report
			}
			return configs, states, err
		}
		if isTerminal(c.stderr) && !c.options.quiet {
			fmt.Fprintf(c.stderr, "%s: no session-init to talk to: this is of the job files\n", c.prefix())
		}
	}
	r := newReading()
	if err := r.load(c.flagDirs()); err != nil {
		return nil, nil, err
	}
	for _, found := range r.jobs() {
		class := found.Class
		config, err := readConfig(map[string]any{"name": class.Name, "emits": class.Emits,
			"start_on": class.StartOn.Postfix(), "stop_on": class.StopOn.Postfix()})
		if err != nil {
			return nil, nil, err
		}
		configs = append(configs, config)
	}
	return configs, nil, nil
}

func newGraph(configs []jobConfig, states map[string]*jobReport) (*graph, error) {
	g := &graph{Version: jsonVersion, Nodes: []graphNode{}, Edges: []graphEdge{}, known: make(map[string]bool)}
	var names []string
	for _, config := range configs {
		names = append(names, config.name)
		g.job(config.name, states[config.name])
	}
	for _, config := range configs {
		for _, stanza := range config.stanzas {
			for _, event := range stanza.words {
				g.edge(jobNode(config.name), g.event(event), "emits", "")
			}
			if len(stanza.condition) == 0 {
				continue
			}
			kind, _, _ := strings.Cut(stanza.title, " ")
			if err := g.condition(config.name, kind, stanza.condition, names); err != nil {
				return nil, fmt.Errorf("the %s of %s: %w", stanza.title, config.name, err)
			}
		}
	}
	return g, nil
}

func jobNode(name string) string { return "job " + name }

func (g *graph) job(name string, report *jobReport) string {
	node := graphNode{ID: jobNode(name), Kind: "job", Name: name}
	if report != nil {
		node.Instances, node.State = len(report.Instances), "resting"
		if report.LastFailure != "" {
			node.State = "failed"
		}
		for i, in := range report.Instances {
			running := in.Goal == "start" && in.State == "running"
			if !running {
				node.State = "changing"
			} else if i == 0 {
				node.State = "running"
			}
		}
	}
	return g.node(node)
}

func (g *graph) event(name string) string {
	return g.node(graphNode{ID: "event " + name, Kind: "event", Name: name})
}

// node adds one unless it is there.
func (g *graph) node(node graphNode) string {
	if !g.known[node.ID] {
		g.known[node.ID] = true
		g.Nodes = append(g.Nodes, node)
	}
	return node.ID
}

func (g *graph) edge(from, to, kind, label string) {
	if edge := (graphEdge{from, to, kind, label}); !slices.Contains(g.Edges, edge) {
		g.Edges = append(g.Edges, edge)
	}
}

// source is where an edge comes from, and what stands at it.
type source struct{ node, label string }

// condition adds the edges of one, which is in postfix order: what is joined
// by "or" goes to the job one by one, "and" has a node of its own.
func (g *graph) condition(name, kind string, postfix [][]string, jobs []string) error {
	var stack [][]source
	count := 0
	into := func(sources []source, to string) {
		for _, s := range sources {
			g.edge(s.node, to, kind, s.label)
		}
	}
	for _, words := range postfix {
		if !isOperator(words) {
			stack = append(stack, g.operand(words, jobs))
			continue
		}
		if len(stack) < 2 {
			return fmt.Errorf("an operator without two operands")
		}
		a, b := stack[len(stack)-2], stack[len(stack)-1]
		stack = stack[:len(stack)-2]
		if words[0] == "/OR" {
			stack = append(stack, append(slices.Clone(a), b...))
			continue
		}
		count++
		and := g.node(graphNode{ID: "and " + kind + " " + strconv.Itoa(count) + " " + name, Kind: "and"})
		into(a, and)
		into(b, and)
		stack = append(stack, []source{{and, ""}})
	}
	if len(stack) != 1 {
		return fmt.Errorf("%d operands without an operator", len(stack))
	}
	into(stack[0], jobNode(name))
	return nil
}

// operand gives what an operand of a condition stands for: the jobs that it
// names, by an event of theirs, or an event.
func (g *graph) operand(words, jobs []string) []source {
	if len(words) == 0 {
		return nil
	}
	match, bad := events.NewMatch(words)
	if bad < 0 && contains(jobEvents(), words[0]) {
		for i, arg := range match.Args {
			if arg.Named && arg.Key != "JOB" || !arg.Named && i > 0 || strings.Contains(arg.Pattern, "$") {
				continue
			}
			rest := append(append([]string{words[0]}, words[1:i+1]...), words[i+2:]...)
			label := strings.Join(rest, " ")
			var out []source
			for _, name := range jobs {
				if events.Glob(arg.Pattern, name) != arg.Not {
					out = append(out, source{jobNode(name), label})
				}
			}
			if out == nil && !arg.Not && !strings.ContainsAny(arg.Pattern, "*?[") {
				g.node(graphNode{ID: jobNode(arg.Pattern), Kind: "job", Name: arg.Pattern, State: "missing"})
				out = []source{{jobNode(arg.Pattern), label}}
			}
			if out != nil {
				return out
			}
			break
		}
	}
	return []source{{g.event(words[0]), strings.Join(words[1:], " ")}}
}

// near leaves only what is around some jobs: what leads to them, and where
// they lead to, through junctions and events whole.
func (g *graph) near(names []string) {
	if len(names) == 0 {
		return
	}
	chosen := make(map[string]bool)
	for _, name := range names {
		chosen[jobNode(name)] = true
	}
	kind := make(map[string]string)
	for _, node := range g.Nodes {
		kind[node.ID] = node.Kind
	}
	keep := make(map[int]bool)
	// On each side: the edges at the jobs, then those behind what is no job.
	for _, side := range [...]func(graphEdge) (near, far string){
		func(e graphEdge) (string, string) { return e.To, e.From },
		func(e graphEdge) (string, string) { return e.From, e.To },
	} {
		at := make(map[string]bool)
		for id := range chosen {
			at[id] = true
		}
		for changed := true; changed; {
			changed = false
			for i, edge := range g.Edges {
				if near, far := side(edge); at[near] && !keep[i] {
					keep[i], changed = true, true
					at[far] = at[far] || kind[far] != "job"
				}
			}
		}
	}
	// A condition that needs several is shown with all of them.
	for changed := true; changed; {
		changed = false
		for i, edge := range g.Edges {
			if keep[i] || kind[edge.To] != "and" {
				continue
			}
			for k := range g.Edges {
				if keep[k] && (g.Edges[k].From == edge.To || g.Edges[k].To == edge.To) {
					keep[i], changed = true, true
					break
				}
			}
		}
	}
	edges, used := []graphEdge{}, chosen
	for i, edge := range g.Edges {
		if keep[i] {
			edges = append(edges, edge)
			used[edge.From], used[edge.To] = true, true
		}
	}
	g.Edges = edges
	g.Nodes = slices.DeleteFunc(g.Nodes, func(n graphNode) bool { return !used[n.ID] })
}

// dot writes the graph in the language of dot(1), the same for the same graph.
func (g *graph) dot() string {
	var out strings.Builder
	out.WriteString("digraph jobs {\n\trankdir=LR\n\tbgcolor=transparent\n" +
		"\tnode [fontname=\"sans-serif\" fontsize=11 color=\"#6b7280\" fontcolor=\"#111827\" style=filled fillcolor=\"#ffffff\"]\n" +
		"\tedge [fontname=\"sans-serif\" fontsize=9 fontcolor=\"#6b7280\"]\n")
	for _, n := range g.Nodes {
		label, more := n.Name, ""
		switch n.Kind {
		case "event":
			more = " shape=ellipse fillcolor=\"#e5e7eb\""
		case "and":
			label, more = "and", " shape=circle fontsize=8 margin=0 width=0.3 fixedsize=true"
		default:
			if n.Instances > 1 {
				label += fmt.Sprintf("\n%d instances", n.Instances)
			}
			more = " shape=box style=\"filled,rounded\""
			switch n.State {
			case "missing":
				more = " shape=box style=\"dashed,rounded\" fontcolor=\"#6b7280\""
			case "running":
				more += " fillcolor=\"#bbf7d0\""
			case "changing":
				more += " fillcolor=\"#fef08a\""
			case "failed":
				more += " fillcolor=\"#fecaca\""
			}
			if n.State != "" {
				more += " tooltip=" + dotQuote(n.Name+": "+n.State)
			}
		}
		fmt.Fprintf(&out, "\t%s [label=%s%s]\n", dotQuote(n.ID), dotQuote(label), more)
	}
	for _, e := range g.Edges {
		look := `color="#16a34a"`
		switch e.Kind {
		case "stop":
			look = `color="#dc2626" style=dashed arrowhead=tee`
		case "emits":
			look = `color="#6b7280" style=dotted`
		}
		if strings.HasPrefix(e.To, "and ") {
			look += " dir=none"
		}
		if e.Label != "" {
			look += " label=" + dotQuote(e.Label)
		}
		fmt.Fprintf(&out, "\t%s -> %s [%s]\n", dotQuote(e.From), dotQuote(e.To), look)
	}
	out.WriteString("}\n")
	return out.String()
}

// dotQuote gives a text as a quoted string of DOT, which reads a backslash
// before most letters as something else.
func dotQuote(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(printable(lines[i]))
	}
	return `"` + strings.Join(lines, `\n`) + `"`
}

// drawGraph has dot(1) make a picture. Without it DOT is what there is.
func (c *command) drawGraph(g *graph) error {
	const missing = "dot is not installed (it is part of Graphviz)"
	path, err := exec.LookPath("dot")
	if err != nil {
		if c.options.output != "" {
			return fmt.Errorf("%s; without --svg the graph is written as DOT", missing)
		}
		fmt.Fprintf(c.stderr, "%s: %s, here is DOT\n", c.prefix(), missing)
		if err := c.deliver([]byte(g.dot())); err != nil {
			return err
		}
		return statusError(exitFailed)
	}
	c.awaited = "for dot"
	dot := exec.CommandContext(c.ctx, path, "-Tsvg")
	var picture, said bytes.Buffer
	dot.Stdin, dot.Stdout, dot.Stderr = strings.NewReader(g.dot()), &picture, &said
	if err := dot.Run(); err != nil {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		line, _, _ := strings.Cut(said.String(), "\n")
		return fmt.Errorf("dot: %w: %s", err, printable(line))
	}
	return c.deliver(picture.Bytes())
}

// deliver writes what was made into --output, whole or not at all, or to the
// standard output.
func (c *command) deliver(text []byte) error {
	if name := c.options.output; name != "" && name != "-" {
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			// A device or a pipe is written to, not replaced.
			return reasonOf(os.WriteFile(name, text, 0o644))
		}
		return replaceFile(name, text)
	}
	if !c.options.quiet {
		c.out.Write(text)
	}
	return nil
}
