package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// copySparse copies a file system; what holds nothing takes no place.
func copySparse(from, to string) error {
	return tool("cp", "--sparse=always", "--reflink=auto", from, to)
}

// tool runs a program of the host.
func tool(words ...string) error {
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

// debugfs changes a file system without mounting it. It says what failed and
// exits with 0 all the same.
func debugfs(image string, commands ...string) error {
	cmd := exec.Command("debugfs", "-w", "-f", "-", image)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// It repeats the commands.
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "debugfs") && !strings.HasPrefix(line, "Allocated") {
			return fmt.Errorf("debugfs: %s", line)
		}
	}
	return err
}

// checkClean tells whether a file system was unmounted as it should be: its
// journal has nothing to be done again, and a full check finds nothing.
func checkClean(image string) error {
	out, err := exec.Command("dumpe2fs", "-h", image).CombinedOutput()
	if err != nil {
		return fmt.Errorf("dumpe2fs: %w: %s", err, out)
	}
	state := ""
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); name {
		case "Filesystem state":
			state = value
		case "Filesystem features":
			if strings.Contains(value, "needs_recovery") {
				return fmt.Errorf("the root was not unmounted: its journal must be replayed")
			}
		}
	}
	if state != "clean" {
		return fmt.Errorf("the root is %q; want \"clean\"", state)
	}
	return tool("e2fsck", "-f", "-n", image)
}

// withFile writes a text to a file that tools of the host can read, for as long
// as f runs.
func withFile(text string, f func(path string) error) error {
	file, err := os.CreateTemp("", "boot")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.WriteString(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return f(file.Name())
}
