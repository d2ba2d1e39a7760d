// Command mutate asks how much the tests of a package notice. It makes small
// changes to the package's code, mutants, one at a time, and runs the tests
// on each: a mutant is caught when a test fails.
//
//	go run ./session/testkit/mutate [-min 85] [-sample N] [-match REGEXP] [-quick] [-listed] [-p N] PACKAGE...
//
// All mutants of a package are compiled into one test binary, each behind a
// condition on a number that the binary reads from its environment; a program
// that builds anew for each takes hours for what takes minutes here. A mutant
// runs only those tests that come by its place, the quick ones first, in a
// process of its own. One that uses far more processor time than the tests
// need, or hangs, is caught too.
//
// What is changed: conditions (true, false; < and <=, == and !=, "and" and
// "or", one side alone, without "not"), arithmetic, whole numbers in
// functions by one, results (zero or the other truth value), fields of
// literals (zero), and what can be left out: assignments, calls, break and
// continue, bodies of functions, loops and cases. Not changed: text, the
// capacity that make is given, and what stands outside of functions.
//
// A mutant that survives is to be caught by a new test, or to be listed in
// testdata/survivors.list of its package, with the reason: "equal:" when
// nobody could tell it from the original, "open:" when somebody could and no
// test does. Everything that is not listed, and everything in the list that
// is caught or no longer there, is a failure; so is a score below -min, in
// percent of all mutants, those listed included.
//
// It promises the same result for the same code: random tests run with a
// fixed seed. It is for people, not for continuous integration, and changes
// no file.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"slices"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options are what the command line says.
type options struct {
	min    float64
	sample int
	match  string
	keep   string
	jobs   int
	quick  bool
	listed bool
}

// run is the command. It returns the exit status: 1 when a package does not
// hold, 2 when it could not be judged.
func run(args []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Float64Var(&o.min, "min", 0, "fail below `PERCENT` of mutants caught")
	flags.IntVar(&o.sample, "sample", 0, "judge only about `N` mutants of a package, evenly spread")
	flags.StringVar(&o.match, "match", "", "judge only mutants whose description matches `REGEXP`")
	flags.StringVar(&o.keep, "keep", "", "keep the changed sources and the test binary in `DIR`")
	flags.BoolVar(&o.quick, "quick", false, "leave out tests that take more than a second: more mutants survive")
	flags.BoolVar(&o.listed, "listed", false, "judge only the mutants that are listed: is the list still true?")
	flags.IntVar(&o.jobs, "p", runtime.NumCPU(), "run the tests of `N` mutants at a time")
	if flags.Parse(args) != nil {
		return 2
	}
	if _, err := regexp.Compile(o.match); err != nil {
		fmt.Fprintf(stderr, "mutate: -match: %v\n", err)
		return 2
	}
	if flags.NArg() == 0 {
		fmt.Fprintln(stderr, "mutate: which package?")
		return 2
	}
	status := 0
	for _, name := range flags.Args() {
		holds, err := judge(name, o, stdout)
		if err != nil {
			fmt.Fprintf(stderr, "mutate: %s: %v\n", name, err)
			return 2
		}
		if !holds {
			status = 1
		}
	}
	return status
}

// judge tries the mutants of one package and reports whether it holds.
func judge(name string, o options, stdout io.Writer) (bool, error) {
	dir, err := workDir(o.keep)
	if err != nil {
		return false, err
	}
	if o.keep == "" {
		defer os.RemoveAll(dir)
	}
	pkg, err := load(name)
	if err != nil {
		return false, err
	}
	mutants, files, err := mutate(pkg)
	if err != nil {
		return false, err
	}
	list, err := readList(pkg.Dir)
	if err != nil {
		return false, err
	}
	bin, err := build(pkg, files, dir)
	if err != nil {
		return false, err
	}
	count := len(mutants)
	if o.listed {
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool {
			return !slices.ContainsFunc(list, func(l listed) bool { return l.name == m.String() })
		})
	}
	tried := choose(mutants, o)
	t := &trial{dir: pkg.Dir, bin: bin, scratch: dir, args: pkg.testArgs(), count: count, quick: o.quick}
	if err := t.prepare(); err != nil {
		return false, err
	}
	r := newReport(stdout, name, list)
	if err := t.tryAll(tried, o.jobs, r.tell); err != nil {
		return false, err
	}
	return r.end(tried, o), nil
}

func workDir(keep string) (string, error) {
	if keep != "" {
		return keep, os.MkdirAll(keep, 0o777)
	}
	return os.MkdirTemp("", "mutate")
}
