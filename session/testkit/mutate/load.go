package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// loaded is a package with its types.
type loaded struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	TestImports  []string
	XTestImports []string

	fset  *token.FileSet
	texts map[string][]byte // by name of file
	files []*ast.File       // in the order of GoFiles
	types *types.Package
	info  *types.Info
}

// command runs go and returns what it prints.
func command(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, complaint.Bytes())
	}
	return out, nil
}

// load reads a package. What it imports is taken from the compiler's cache.
func load(name string) (*loaded, error) {
	out, err := command("list", "-json=ImportPath,Dir,GoFiles,TestImports,XTestImports", name)
	if err != nil {
		return nil, err
	}
	p := &loaded{fset: token.NewFileSet(), texts: make(map[string][]byte)}
	if err := json.Unmarshal(out, p); err != nil {
		return nil, fmt.Errorf("cannot read what go list says: %w", err)
	}
	for _, file := range p.GoFiles {
		text, err := os.ReadFile(filepath.Join(p.Dir, file))
		if err != nil {
			return nil, err
		}
		parsed, err := parser.ParseFile(p.fset, file, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.texts[file] = text
		p.files = append(p.files, parsed)
	}
	return p, p.check()
}

// check finds the types of everything.
func (p *loaded) check() error {
	out, err := command("list", "-export", "-deps", "-f", "{{.ImportPath}}={{.Export}}", p.ImportPath)
	if err != nil {
		return err
	}
	exports := make(map[string]string)
	for _, line := range strings.Fields(string(out)) {
		path, file, _ := strings.Cut(line, "=")
		exports[path] = file
	}
	p.info = &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	conf := types.Config{Importer: importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		file := exports[path]
		if file == "" {
			return nil, errors.New("cannot find what the compiler knows of " + path)
		}
		return os.Open(file)
	})}
	p.types, err = conf.Check(p.ImportPath, p.fset, p.files, p.info)
	return err
}

// testArgs makes random tests tell the same story every time, and leave
// nothing behind.
func (p *loaded) testArgs() []string {
	if !slices.Contains(slices.Concat(p.TestImports, p.XTestImports), "pgregory.net/rapid") {
		return nil
	}
	return []string{"-rapid.seed=1", "-rapid.nofailfile", "-rapid.shrinktime=0s"}
}

// switchboard is the source that is added to the package: it knows which
// mutant is on, and keeps the process within bounds.
const switchboard = `package %s

import (
	"os"
	"strconv"
	"syscall"
)

var mutantNumber, mutantSeen = mutantBegin()

func mutantBegin() (int, []byte) {
	if seconds, _ := strconv.Atoi(os.Getenv("MUTANT_SECONDS")); seconds > 0 {
		n := uint64(seconds)
		syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: n, Max: n + 1})
		syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: 1 << 30, Max: 1 << 30})
	}
	number, _ := strconv.Atoi(os.Getenv("MUTANT"))
	name := os.Getenv("MUTANT_SEEN")
	if name == "" {
		return number, nil
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}
	seen, err := syscall.Mmap(int(file.Fd()), 0, int(info.Size()), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return number, seen
}

func mutantOn(number int) bool {
	if mutantSeen != nil {
		mutantSeen[number] = 1
	}
	return number == mutantNumber
}

func mutantOff(first, last int) bool { return mutantNumber < first || mutantNumber > last }

func mutantPick[T any](number int, changed, original T) T {
	if mutantOn(number) {
		return changed
	}
	return original
}

func mutantZero[T any](number int, original T) T {
	if mutantOn(number) {
		return *new(T)
	}
	return original
}
`

// build makes a test binary of the package with all its mutants. texts are
// the changed files.
func build(p *loaded, texts map[string]string, dir string) (string, error) {
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	add := func(name, text string) error {
		file := filepath.Join(dir, name)
		overlay.Replace[filepath.Join(p.Dir, name)] = file
		return os.WriteFile(file, []byte(text), 0o666)
	}
	for _, name := range p.GoFiles {
		if err := add(name, texts[name]); err != nil {
			return "", err
		}
	}
	if err := add("mutant_switchboard.go", fmt.Sprintf(switchboard, p.types.Name())); err != nil {
		return "", err
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	list, bin := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutants.test")
	if err := os.WriteFile(list, text, 0o666); err != nil {
		return "", err
	}
	_, err = command("test", "-c", "-vet=off", "-overlay", list, "-o", bin, p.ImportPath)
	return bin, err
}
