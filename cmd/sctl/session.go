package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/display/variable"
)

// loginVerb is a word behind "session".
type loginVerb struct {
	name string
	max  int // of arguments
	run  func(c *command, args []string) error
}

func loginVerbs() []loginVerb {
	return []loginVerb{
		{"begin", 0, beginLogin},
		{"end", 1, endLogin},
		{"list", 0, listLogins},
		{"show", 1, showLogin},
	}
}

// session is all that is done with login sessions.
func session(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing begin, end, list or show")
	}
	for _, v := range loginVerbs() {
		if v.name != c.args[0] {
			continue
		}
		if len(c.args)-1 > v.max {
			return usageError("unexpected argument: " + c.args[v.max+1])
		}
		if len(c.options.with) > 0 && v.name != "begin" {
			return usageError("--with is no option of session " + v.name)
		}
		return v.run(c, c.args[1:])
	}
	return usageError("'" + c.args[0] + "' is not begin, end, list or show")
}

// loginID reads the number of a login session; without one it is the caller's
// own, and 0 says so to the daemon.
func (c *command) loginID(args []string) (uint32, error) {
	if len(args) == 0 {
		return 0, nil
	}
	id, err := strconv.ParseUint(args[0], 10, 32)
	if err != nil || id == 0 {
		return 0, usageError("'" + args[0] + "' is no number of a login session")
	}
	return uint32(id), nil
}

// ownLogin is the login session that we are in; 0 for none.
func (c *command) ownLogin() uint32 {
	id, _ := strconv.ParseUint(c.getenv(api.LoginVariable), 10, 32)
	return uint32(id)
}

func (c *command) extension(awaited, member string, args ...any) ([]any, error) {
	return c.callFor(awaited, api.ManagerPath, api.ManagerExtension, member, args...)
}

// beginLogin gives the login session that we are in its display and its
// variables.
func beginLogin(c *command, _ []string) error {
	c.doing = "begin the session"
	for _, name := range c.options.with {
		if strings.ContainsAny(name, "= \t") {
			return usageError("--with takes the name of a variable, not '" + name + "'")
		}
	}
	env := variable.Taken(c.getenv, c.options.with...)
	body, err := c.extension("for the display and the session bus", "BeginSession", uint32(0), append([]string{}, env...))
	if err != nil {
		return err
	}
	id, note, err := idAndNote(body)
	if err != nil {
		return err
	}
	if c.options.json {
		if err := c.encodeLogin(id); err != nil {
			return err
		}
	} else {
		c.print(fmt.Sprintf("session %d", id))
	}
	if note != "" && !c.options.quiet {
		fmt.Fprintf(c.stderr, "%s: %s\n", c.prefix(), note)
	}
	return nil
}

func idAndNote(body []any) (id uint32, note string, err error) {
	if len(body) == 2 {
		id, isNumber := body[0].(uint32)
		note, isText := body[1].(string)
		if isNumber && isText {
			return id, note, nil
		}
	}
	return 0, "", fmt.Errorf("session-init answered with other types than a number and a string")
}

// endLogin ends a login session, and with it the command of its login.
func endLogin(c *command, args []string) error {
	id, err := c.loginID(args)
	if err != nil {
		return err
	}
	c.doing = "end the session"
	if id != 0 {
		c.doing = fmt.Sprintf("end session %d", id)
	}
	_, err = c.extension("for the session's jobs to stop", "EndSession", id)
	return err
}

// loginInfo is what the daemon tells of a login session.
type loginInfo struct {
	id, leader     uint32
	state, display string
	age            time.Duration
	by             string
	env, jobs      []string
}

func (c *command) logins() ([]loginInfo, error) {
	body, err := c.extension("for session-init to answer", "ListSessions")
	if err != nil {
		return nil, err
	}
	var out []loginInfo
	for _, d := range dictionaries(body) {
		s := loginInfo{age: ageIn(d), by: callerIn(d)}
		s.id, _ = d["id"].(uint32)
		s.leader, _ = d["leader"].(uint32)
		s.state, _ = d["state"].(string)
		s.display, _ = d["display"].(string)
		s.env, _ = d["env"].([]string)
		s.jobs, _ = d["jobs"].([]string)
		out = append(out, s)
	}
	return out, nil
}

// dictionaries takes a list of them out of an answer.
func dictionaries(body []any) []map[string]any {
	var out []map[string]any
	if len(body) == 1 {
		list, _ := body[0].([]any)
		for _, entry := range list {
			if d, ok := entry.(map[string]any); ok {
				out = append(out, d)
			}
		}
	}
	return out
}

func ageIn(d map[string]any) time.Duration {
	micros, _ := d["age"].(int64)
	return time.Duration(micros) * time.Microsecond
}

// callerIn says who did something; empty for unknown.
func callerIn(d map[string]any) string {
	pid, ok := d["pid"].(int32)
	if !ok {
		return ""
	}
	text := fmt.Sprintf("process %d", pid)
	if name, _ := d["command"].(string); name != "" {
		text += " (" + printable(name) + ")"
	}
	return text
}

func listLogins(c *command, _ []string) error {
	c.doing = "list the sessions"
	logins, err := c.logins()
	if err != nil {
		return err
	}
	untilLogout, lingering, err := c.stay()
	if err != nil {
		return err
	}
	if c.options.json {
		report := reportLogins(logins)
		report.UntilLogout, report.Lingering = &untilLogout, &lingering
		return c.encode(report)
	}
	for _, s := range logins {
		c.print(s.line())
	}
	if untilLogout && len(logins) == 0 && len(lingering) > 0 && !c.options.quiet {
		fmt.Fprintf(c.stderr, "%s: session-init stays for what lingers: %s\n", c.prefix(), listed(lingering))
	}
	return nil
}

// stay asks whether the end of session-init comes with the last login, and which
// instances linger.
func (c *command) stay() (untilLogout bool, lingering []string, err error) {
	get := func(name string) api.Request {
		return api.Request{Path: api.ManagerPath, Interface: api.PropertiesInterface, Member: "Get", Args: []any{api.ManagerExtension, name}}
	}
	replies, err := c.callAll("for session-init to answer", get("until_logout"), get("lingering"))
	if err != nil {
		return false, nil, err
	}
	for _, reply := range replies {
		if reply.Err != nil {
			return false, nil, reply.Err
		}
	}
	if lingering, err = oneList(replies[1].Body); err != nil {
		return false, nil, err
	}
	isFlag := false
	if body := replies[0].Body; len(body) == 1 {
		untilLogout, isFlag = body[0].(bool)
	}
	if !isFlag {
		return false, nil, fmt.Errorf("session-init answered with another type than a boolean")
	}
	return untilLogout, append([]string{}, lingering...), nil
}

func (s loginInfo) line() string {
	line := fmt.Sprintf("%d %s", s.id, s.state)
	if s.display != "" {
		line += ", display " + printable(s.display)
	}
	if s.leader != 0 {
		line += fmt.Sprintf(", process %d", s.leader)
	}
	return line
}

// showLogin shows one login session, our own without a number.
func showLogin(c *command, args []string) error {
	id, err := c.loginID(args)
	if err != nil {
		return err
	}
	c.doing = "show the session"
	if id == 0 {
		if id = c.ownLogin(); id == 0 {
			return fmt.Errorf("this is in no login session: name one; %s tells which there are", c.again("sctl session list"))
		}
	}
	logins, err := c.logins()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(logins, func(s loginInfo) bool { return s.id == id })
	if at < 0 {
		return fmt.Errorf("no such login session: %d", id)
	}
	if c.options.json {
		return c.encodeLogins(logins[at : at+1])
	}
	s := logins[at]
	c.print(s.line())
	since := "\tsince " + duration(s.age) + " ago"
	if s.by != "" {
		since += ", by " + s.by
	}
	c.print(since)
	for _, label := range s.jobs {
		c.print("\tjob " + printable(label))
	}
	for _, entry := range s.env {
		c.print("\tenv " + printable(entry))
	}
	return nil
}

// showEnv shows the environment that jobs of our login session begin with, or
// one variable of it; with --origin which layer it comes from.
func showEnv(c *command) error {
	own := c.ownLogin()
	c.doing = "show the environment"
	if c.options.origin {
		if len(c.args) == 0 {
			return usageError("missing variable name")
		}
		return showOrigin(c, own)
	}
	body, err := c.extension("for session-init to answer", "GetSessionEnv", own)
	if err != nil {
		return err
	}
	entries, err := oneList(body)
	if err != nil {
		return err
	}
	if len(c.args) == 0 {
		slices.Sort(entries)
		if c.options.json {
			return c.encodeVariables(entries...)
		}
		for _, entry := range entries {
			c.print(entry)
		}
		return nil
	}
	for _, entry := range entries {
		if value, found := strings.CutPrefix(entry, c.args[0]+"="); found {
			if c.options.json {
				return c.encodeVariables(entry)
			}
			c.print(value)
			return nil
		}
	}
	return fmt.Errorf("%s is not set", c.args[0])
}

// showOrigin prints a line for each layer that says something of a variable,
// the one that counts first.
func showOrigin(c *command, own uint32) error {
	body, err := c.extension("for session-init to answer", "GetLayers", c.args[0], own)
	if err != nil {
		return err
	}
	layers := dictionaries(body)
	if len(layers) == 0 {
		return fmt.Errorf("no layer says anything of %s", c.args[0])
	}
	slices.Reverse(layers)
	if c.options.json {
		return c.encodeLayers(layers)
	}
	for i, d := range layers {
		name, _ := d["layer"].(string)
		value, _ := d["value"].(string)
		what := "not set"
		if set, _ := d["set"].(bool); set {
			what = c.args[0] + "=" + printable(value)
		}
		line := name + ": " + what
		if _, known := d["age"]; known {
			line += ", " + duration(ageIn(d)) + " ago"
		}
		if by := callerIn(d); by != "" {
			line += ", by " + by
		}
		if i > 0 {
			line = "\t" + line
		}
		c.print(line)
	}
	return nil
}
