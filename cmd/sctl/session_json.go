package main

import (
	"slices"
	"time"
)

// loginsReport is what session says with --json.
type loginsReport struct {
	Version  int           `json:"version"`
	Sessions []loginReport `json:"sessions"`
	// Of list alone: whether session-init ends with the last login session, and
	// the instances that it stays for then.
	UntilLogout *bool     `json:"until_logout,omitempty"`
	Lingering   *[]string `json:"lingering,omitempty"`
}

// loginReport is a login session. A leader of 0 is none.
type loginReport struct {
	ID      uint32   `json:"id"`
	State   string   `json:"state"`
	Display string   `json:"display"`
	Leader  uint32   `json:"leader"`
	Since   string   `json:"since"` // RFC 3339
	By      string   `json:"by,omitempty"`
	Jobs    []string `json:"jobs"`
	Env     []string `json:"env"`
}

func (c *command) encodeLogins(logins []loginInfo) error { return c.encode(reportLogins(logins)) }

func reportLogins(logins []loginInfo) loginsReport {
	report := loginsReport{Version: jsonVersion, Sessions: []loginReport{}}
	now := time.Now()
	for _, s := range logins {
		report.Sessions = append(report.Sessions, loginReport{s.id, s.state, s.display, s.leader,
			fullTime(now.Add(-s.age)), s.by, append([]string{}, s.jobs...), append([]string{}, s.env...)})
	}
	return report
}

// encodeLogin prints the login session of a number, or none when it has gone.
func (c *command) encodeLogin(id uint32) error {
	logins, err := c.logins()
	if err != nil {
		return err
	}
	return c.encodeLogins(slices.DeleteFunc(logins, func(s loginInfo) bool { return s.id != id }))
}

// layerReport is what a layer says of a variable; without a value it unsets it.
type layerReport struct {
	Layer string  `json:"layer"`
	Value *string `json:"value,omitempty"`
	Since string  `json:"since,omitempty"` // RFC 3339
	By    string  `json:"by,omitempty"`
}

// encodeLayers prints the layers of a variable, the one that counts first.
func (c *command) encodeLayers(layers []map[string]any) error {
	list := make([]layerReport, len(layers))
	now := time.Now()
	for i, d := range layers {
		l := &list[i]
		l.Layer, _ = d["layer"].(string)
		if set, _ := d["set"].(bool); set {
			value, _ := d["value"].(string)
			l.Value = &value
		}
		if _, known := d["age"]; known {
			l.Since = fullTime(now.Add(-ageIn(d)))
		}
		l.By = callerIn(d)
	}
	return c.encode(struct {
		Version int           `json:"version"`
		Name    string        `json:"name"`
		Layers  []layerReport `json:"layers"`
	}{jsonVersion, c.args[0], list})
}
