package main

import (
	"sort"
	"strings"
)

// envTarget says whose environment is meant: that of the instance whose
// process calls, else the table of all jobs. It is what the daemon's methods
// take: nothing, or a job and an instance.
func (c *command) envTarget() []string {
	job, isJob := c.lookupEnv("UPSTART_JOB")
	instance, isInstance := c.lookupEnv("UPSTART_INSTANCE")
	if c.options.global || !isJob || !isInstance {
		return []string{}
	}
	return []string{job, instance}
}

func getEnv(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing variable name")
	}
	c.doing = "get '" + c.args[0] + "'"
	body, err := c.manager("GetEnv", c.envTarget(), c.args[0])
	if err != nil {
		return err
	}
	value, err := oneString(body)
	if err != nil {
		return err
	}
	if c.options.json {
		return c.encodeVariables(c.args[0] + "=" + value)
	}
	c.print(value)
	return nil
}

// encodeVariables prints entries of an environment as JSON, in their order.
func (c *command) encodeVariables(entries ...string) error {
	type variable struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	variables := make([]variable, len(entries))
	for i, entry := range entries {
		variables[i].Name, variables[i].Value, _ = strings.Cut(entry, "=")
	}
	return c.encode(struct {
		Version   int        `json:"version"`
		Variables []variable `json:"variables"`
	}{jsonVersion, variables})
}

func setEnv(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing variable value")
	}
	for _, entry := range c.args {
		if strings.HasPrefix(entry, "=") && !c.style.isInitctl() {
			return usageError("'" + entry + "' names no variable")
		}
	}
	c.doing = "set '" + c.args[0] + "'"
	_, err := c.manager("SetEnvList", c.envTarget(), c.args, !c.options.retain)
	return err
}

func unsetEnv(c *command) error {
	if len(c.args) == 0 {
		return usageError("missing variable name")
	}
	c.doing = "unset '" + c.args[0] + "'"
	_, err := c.manager("UnsetEnvList", c.envTarget(), c.args)
	return err
}

func listEnv(c *command) error {
	c.doing = "list the environment"
	body, err := c.manager("ListEnv", c.envTarget())
	if err != nil {
		return err
	}
	entries, err := oneList(body)
	if err != nil {
		return err
	}
	sort.Strings(entries)
	if c.options.json {
		return c.encodeVariables(entries...)
	}
	for _, entry := range entries {
		c.print(entry)
	}
	return nil
}

func resetEnv(c *command) error {
	c.doing = "reset the environment"
	_, err := c.manager("ResetEnv", c.envTarget())
	return err
}
