// Command mkman writes the reference of stanzas in session-init-job(5) anew,
// from the table and the entries of package job. It replaces what stands
// between two marks in the page and leaves the rest, which is written by hand.
//
//	mkman PAGE
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/session-init/session-init/session/job"
)

func main() {
	os.Exit(run(os.Args, os.Stderr))
}

// run is the whole program.
func run(args []string, stderr io.Writer) int {
	if len(args) != 2 {
		fmt.Fprintln(stderr, "usage: mkman PAGE")
		return 2
	}
	if err := renew(args[1]); err != nil {
		fmt.Fprintln(stderr, "mkman: "+err.Error())
		return 1
	}
	return 0
}

// renew writes a page anew, unless it is up to date.
func renew(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	fresh, err := insert(string(page), reference(job.Stanzas(), job.Manual()))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if fresh == string(page) {
		return nil
	}
	return os.WriteFile(path, []byte(fresh), 0o666)
}
