package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
)

// mutant is one change.
type mutant struct {
	number int // from 1; the same code gives the same numbers
	file   string
	line   int
	// what says which change it is, whatever the line: "FUNC: OLD => NEW",
	// with a count behind it when the same is there several times.
	what string

	seen   bool   // a test comes by
	caught string // empty: by nothing
}

// What catches a mutant: a test that fails, or the time that it takes.
const (
	byTest = "test"
	byTime = "time"
)

// String gives the mutant as survivors.list has it.
func (m *mutant) String() string { return m.file + " " + m.what }

// mutate makes the mutants of a package, and its files with all of them in.
func mutate(p *loaded) ([]*mutant, map[string]string, error) {
	m := &mutator{loaded: p, times: make(map[string]int)}
	texts := make(map[string]string)
	for _, file := range p.files {
		m.begin(file)
		for _, decl := range file.Decls {
			m.where = declName(decl)
			m.walk(decl)
		}
		if len(m.extra) > 0 {
			m.insert(file.Name.End(), "\n"+strings.Join(m.extra, ""))
		}
		texts[m.name] = rewrite(string(m.text), m.edits)
	}
	return m.mutants, texts, nil
}

// mutator walks over the files of a package, one after the other.
type mutator struct {
	*loaded
	mutants []*mutant
	times   map[string]int // by description

	file    *ast.File
	name    string
	text    []byte
	imports map[string]string // path to name in this file
	extra   []string          // imported for our own sake
	edits   []edit
	where   string // of the function
	results []*ast.FuncType
	done    map[ast.Expr]bool // operators that were dealt with
}

func (m *mutator) begin(file *ast.File) {
	m.file = file
	m.name = filepath.Base(m.fset.Position(file.Package).Filename)
	m.text = m.texts[m.name]
	m.edits, m.extra = nil, nil
	m.imports = make(map[string]string)
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, "\"`")
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		m.imports[path] = name
	}
}

// declName names a function as readers do.
func declName(decl ast.Decl) string {
	fn, ok := decl.(*ast.FuncDecl)
	if !ok {
		return "var"
	}
	if fn.Recv == nil {
		return fn.Name.Name
	}
	x := fn.Recv.List[0].Type
	for {
		switch t := x.(type) {
		case *ast.StarExpr:
			x = t.X
		case *ast.IndexExpr:
			x = t.X
		case *ast.Ident:
			return t.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

func (m *mutator) offset(pos token.Pos) int { return m.fset.Position(pos).Offset }

// src gives the text of a node as it was.
func (m *mutator) src(n ast.Node) string { return string(m.text[m.offset(n.Pos()):m.offset(n.End())]) }

// typeName gives a type as this file may name it.
func (m *mutator) typeName(t types.Type) string {
	return types.TypeString(t, func(pkg *types.Package) string {
		if pkg == m.types {
			return ""
		}
		name, ok := m.imports[pkg.Path()]
		if !ok {
			name = fmt.Sprintf("mutant%s", pkg.Name())
			m.imports[pkg.Path()] = name
			m.extra = append(m.extra, fmt.Sprintf("import %s %q\n", name, pkg.Path()))
		}
		return name
	})
}

const longest = 90

// add notes a mutant.
func (m *mutator) add(at ast.Node, old, changed string) int {
	short := func(text string) string {
		text = strings.Join(strings.Fields(text), " ")
		if len(text) > longest {
			text = text[:longest] + "…"
		}
		return text
	}
	what := m.where + ": " + short(old) + " => " + short(changed)
	key := m.name + " " + what
	if m.times[key]++; m.times[key] > 1 {
		what += fmt.Sprintf(" #%d", m.times[key])
	}
	n := len(m.mutants) + 1
	m.mutants = append(m.mutants, &mutant{number: n, file: m.name, line: m.fset.Position(at.Pos()).Line, what: what})
	return n
}

func (m *mutator) edit(n ast.Node, wrap func(inner string) string) {
	m.edits = append(m.edits, edit{m.offset(n.Pos()), m.offset(n.End()), wrap})
}

func (m *mutator) insert(at token.Pos, text string) {
	o := m.offset(at)
	m.edits = append(m.edits, edit{o, o, func(string) string { return text }})
}

const (
	nothing = "nothing"
	skipped = "skipped"
)

// boolean puts a condition and its changed forms side by side.
func (m *mutator) boolean(e ast.Expr, changed ...string) {
	if len(changed) == 0 {
		return
	}
	var out strings.Builder
	first, last := 0, 0
	for _, text := range changed {
		last = m.add(e, m.src(e), text)
		if first == 0 {
			first = last
		}
		switch text {
		case "true":
			fmt.Fprintf(&out, "mutantOn(%d) || ", last)
		case "false":
			// None of the others holds then.
			fmt.Fprintf(&out, "mutantOn(%d) && false || ", last)
		default:
			fmt.Fprintf(&out, "mutantOn(%d) && (%s) || ", last, text)
		}
	}
	m.edit(e, func(inner string) string {
		return fmt.Sprintf("(%smutantOff(%d, %d) && (%s))", out.String(), first, last, inner)
	})
}

// leaveOut lets a statement be left out.
func (m *mutator) leaveOut(s ast.Stmt) {
	n := m.add(s, m.src(s), nothing)
	m.edit(s, func(inner string) string { return fmt.Sprintf("if !mutantOn(%d) { %s }", n, inner) })
}

// instead lets another statement stand in the place of one.
func (m *mutator) instead(s ast.Stmt, changed string) {
	n := m.add(s, m.src(s), changed)
	m.edit(s, func(inner string) string {
		return fmt.Sprintf("if mutantOn(%d) { %s } else { %s }", n, changed, inner)
	})
}

// zeros gives the results of a function as "return" has them, all zero but
// the one at that place, if any, which is as it was.
func zeros(m *mutator, f *ast.FuncType) []string {
	var out []string
	if f.Results == nil {
		return nil
	}
	for _, field := range f.Results.List {
		for range max(1, len(field.Names)) {
			out = append(out, "*new("+m.src(field.Type)+")")
		}
	}
	return out
}
