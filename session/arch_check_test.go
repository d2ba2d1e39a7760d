package session_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// direction is what the package in dir may import besides the standard
// library, and why no more.
type direction struct {
	dir     string
	allowed []string
	reason  string
}

// rule is a ban: where it holds, and what it finds in a file.
type rule struct {
	name   string
	reason string
	where  func(dir string, test bool) bool
	check  func(f *source) []finding
}

func (r rule) apply(f *source) []finding {
	if !r.where(f.dir, f.test) {
		return nil
	}
	found := r.check(f)
	for i := range found {
		found[i].reason = r.reason
	}
	return found
}

// finding is a breach: what is where, and why it is forbidden.
type finding struct {
	at     token.Position
	text   string
	reason string
}

func (f finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.at.Filename, f.at.Line, f.text, f.reason)
}

// source is one parsed file. dir is relative to the root of the module.
type source struct {
	dir   string
	test  bool
	lines int
	fset  *token.FileSet
	file  *ast.File
	// imports maps the names of the imported packages in this file to their
	// paths.
	imports map[string]string
}

func parseSource(name string, text []byte) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &source{
		dir:     path.Dir(name),
		test:    strings.HasSuffix(name, "_test.go"),
		lines:   bytes.Count(text, []byte("\n")),
		fset:    fset,
		file:    file,
		imports: make(map[string]string),
	}
	for _, spec := range file.Imports {
		p := importPath(spec)
		local := path.Base(p)
		if strings.HasPrefix(local, "v") && strings.Trim(local[1:], "0123456789") == "" {
			local = path.Base(path.Dir(p)) // dbus/v5 is package dbus
		}
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.imports[local] = p
	}
	return f, nil
}

func importPath(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

func (f *source) finding(node ast.Node, format string, args ...any) finding {
	return finding{at: f.fset.Position(node.Pos()), text: fmt.Sprintf(format, args...)}
}

// qualified returns the path and name of an identifier of another package.
// A local variable that hides the package's name is none.
func (f *source) qualified(n ast.Node) (pkg, name string, ok bool) {
	selector, isSelector := n.(*ast.SelectorExpr)
	if !isSelector {
		return "", "", false
	}
	ident, isIdent := selector.X.(*ast.Ident)
	if !isIdent || ident.Obj != nil {
		return "", "", false
	}
	pkg, ok = f.imports[ident.Name]
	return pkg, selector.Sel.Name, ok
}

func checkDirections(f *source, table []direction) []finding {
	i := slices.IndexFunc(table, func(d direction) bool { return d.dir == f.dir })
	if i < 0 {
		return []finding{{at: f.fset.Position(f.file.Package), text: "a package in " + f.dir,
			reason: "it has no line in the table of directions; add one that says what it may import, and why no more"}}
	}
	var found []finding
	for _, spec := range f.file.Imports {
		p := importPath(spec)
		if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
			continue // the standard library; the rules of single names judge it
		}
		if !slices.Contains(table[i].allowed, p) {
			bad := f.finding(spec, "%s imports %s", f.dir, p)
			bad.reason = table[i].reason
			found = append(found, bad)
		}
	}
	return found
}

func onlyImports(allowed []string) func(*source) []finding {
	return func(f *source) (found []finding) {
		for _, spec := range f.file.Imports {
			p := importPath(spec)
			if !strings.HasPrefix(p, module+"/") && !slices.Contains(allowed, p) {
				found = append(found, f.finding(spec, "import of %s", p))
			}
		}
		return found
	}
}

func banImports(banned ...string) func(*source) []finding {
	return func(f *source) (found []finding) {
		for _, spec := range f.file.Imports {
			if p := importPath(spec); slices.Contains(banned, p) {
				found = append(found, f.finding(spec, "import of %s", p))
			}
		}
		return found
	}
}

// banNames forbids names, written as PACKAGE.NAME with the last element of
// the package's path.
func banNames(banned ...string) func(*source) []finding {
	return func(f *source) (found []finding) {
		ast.Inspect(f.file, func(n ast.Node) bool {
			if pkg, name, ok := f.qualified(n); ok && slices.Contains(banned, path.Base(pkg)+"."+name) {
				found = append(found, f.finding(n, "%s.%s", path.Base(pkg), name))
			}
			return true
		})
		return found
	}
}

func banBuiltins(banned ...string) func(*source) []finding {
	return func(f *source) (found []finding) {
		ast.Inspect(f.file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if ident, ok := call.Fun.(*ast.Ident); ok && ident.Obj == nil && slices.Contains(banned, ident.Name) {
					found = append(found, f.finding(n, "call of %s", ident.Name))
				}
			}
			return true
		})
		return found
	}
}

func either(checks ...func(*source) []finding) func(*source) []finding {
	return func(f *source) (found []finding) {
		for _, check := range checks {
			found = append(found, check(f)...)
		}
		return found
	}
}

func banConcurrency(f *source) (found []finding) {
	ast.Inspect(f.file, func(n ast.Node) bool {
		switch n.(type) {
		case *ast.GoStmt:
			found = append(found, f.finding(n, "go statement"))
		case *ast.ChanType:
			found = append(found, f.finding(n, "channel"))
		case *ast.SelectStmt:
			found = append(found, f.finding(n, "select statement"))
		}
		return true
	})
	return found
}

// banBareGoroutines allows goroutines of a guard only: of a call of Go on
// something that is named so.
func banBareGoroutines(f *source) (found []finding) {
	ast.Inspect(f.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, f.finding(n, "go statement"))
		case *ast.CallExpr:
			fun, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || fun.Sel.Name != "Go" {
				return true
			}
			name := ""
			switch x := fun.X.(type) {
			case *ast.Ident:
				name = x.Name
			case *ast.SelectorExpr:
				name = x.Sel.Name
			}
			switch name {
			case "guard", "Guard", "start", "daemon":
			default:
				found = append(found, f.finding(n, "%s.Go", name))
			}
		}
		return true
	})
	return found
}

// banUnsortedMapKeys allows the iterators of package maps only where they
// are sorted at once.
func banUnsortedMapKeys(f *source) (found []finding) {
	sorted := make(map[ast.Node]bool)
	ast.Inspect(f.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if pkg, name, ok := f.qualified(call.Fun); ok && len(call.Args) > 0 {
			if inner, isCall := call.Args[0].(*ast.CallExpr); isCall && pkg == "slices" && strings.HasPrefix(name, "Sorted") {
				sorted[inner] = true
			}
			if pkg == "maps" && (name == "Keys" || name == "Values" || name == "All") && !sorted[call] {
				found = append(found, f.finding(n, "maps.%s without slices.Sorted around it", name))
			}
		}
		return true
	})
	return found
}

// processNames are the names by which the standard library and x/sys let a
// program make, await, trace and kill processes.
var processNames = []string{
	"os.StartProcess", "os.FindProcess", "syscall.ForkExec", "syscall.StartProcess", "syscall.Exec", "unix.Exec",
	"syscall.Wait4", "unix.Wait4", "unix.Waitid", "unix.PidfdOpen", "unix.PidfdSendSignal", "unix.Tgkill",
	"syscall.Tgkill", "syscall.Kill", "unix.Kill",
}

var processCalls = []string{
	"FORK", "VFORK", "CLONE", "CLONE3", "WAIT4", "WAITID", "PTRACE", "KILL", "TKILL", "TGKILL",
	"EXECVE", "EXECVEAT", "PIDFD_OPEN", "PIDFD_SEND_SIGNAL",
}

// banProcessCalls forbids those names, every Ptrace, and the numbers of the
// system calls. Signal 0 is no kill: it asks whether a process is there.
func banProcessCalls(f *source) (found []finding) {
	ast.Inspect(f.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 2 {
			if literal, isLiteral := call.Args[1].(*ast.BasicLit); isLiteral && literal.Value == "0" {
				if _, name, ok := f.qualified(call.Fun); ok && name == "Kill" {
					return false
				}
			}
		}
		pkg, name, ok := f.qualified(n)
		if !ok {
			return true
		}
		kernel := pkg == "syscall" || pkg == unix
		number, isNumber := strings.CutPrefix(name, "SYS_")
		if slices.Contains(processNames, path.Base(pkg)+"."+name) ||
			kernel && (strings.HasPrefix(name, "Ptrace") || strings.HasPrefix(name, "PTRACE_")) ||
			kernel && isNumber && slices.Contains(processCalls, number) {
			found = append(found, f.finding(n, "%s.%s", path.Base(pkg), name))
		}
		return true
	})
	return found
}

// banExit forbids the end of the program anywhere but in function main of a
// command.
func banExit(f *source) (found []finding) {
	for _, decl := range f.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "main" && fn.Recv == nil && f.file.Name.Name == "main" {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			if pkg, name, ok := f.qualified(n); ok && (pkg == "os" || pkg == "syscall" || pkg == unix) && name == "Exit" {
				found = append(found, f.finding(n, "%s.Exit", path.Base(pkg)))
			}
			return true
		})
	}
	return found
}

func banInit(f *source) (found []finding) {
	for _, decl := range f.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			found = append(found, f.finding(fn, "func init"))
		}
	}
	return found
}

// globals returns what declares the variables of the package in this file.
func (f *source) globals() map[any]bool {
	out := make(map[any]bool)
	for _, decl := range f.file.Decls {
		if gen, ok := decl.(*ast.GenDecl); ok && gen.Tok == token.VAR {
			for _, spec := range gen.Specs {
				out[spec] = true
			}
		}
	}
	return out
}

// banGlobalState finds assignments to variables that this file declares for
// the whole package, to their elements and to their fields.
func banGlobalState(f *source) (found []finding) {
	global := f.globals()
	blame := func(target ast.Expr) {
		if ident := rootIdent(target); ident != nil && ident.Obj != nil && global[ident.Obj.Decl] {
			found = append(found, f.finding(target, "assignment to %s, a variable of the package", ident.Name))
		}
	}
	ast.Inspect(f.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, target := range n.Lhs {
				blame(target)
			}
		case *ast.IncDecStmt:
			blame(n.X)
		}
		return true
	})
	return found
}

// banSharedVariables finds addresses taken of variables of the package, and
// such variables whose type says that they are to be changed.
func banSharedVariables(f *source) (found []finding) {
	global := f.globals()
	ast.Inspect(f.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.UnaryExpr:
			if ident, ok := n.X.(*ast.Ident); ok && n.Op == token.AND && ident.Obj != nil && global[ident.Obj.Decl] {
				found = append(found, f.finding(n, "address of %s, a variable of the package", ident.Name))
			}
		case *ast.ValueSpec:
			if pkg, name, ok := f.qualified(n.Type); ok && global[n] && (pkg == "sync" || pkg == "sync/atomic") {
				found = append(found, f.finding(n, "a variable of the package of type %s.%s", path.Base(pkg), name))
			}
		}
		return true
	})
	return found
}

// rootIdent returns x of x, x.f, x[i], *x and their like.
func rootIdent(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// banSkips forbids t.Skip and its kin, but in fuzz targets: they refuse inputs
// that way.
func banSkips(f *source) (found []finding) {
	for _, decl := range f.file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Fuzz") {
			continue
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if selector, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, selector.Sel.Name) {
				found = append(found, f.finding(n, "call of %s", selector.Sel.Name))
			}
			return true
		})
	}
	return found
}

func banDotImports(f *source) (found []finding) {
	for _, spec := range f.file.Imports {
		if spec.Name != nil && spec.Name.Name == "." {
			found = append(found, f.finding(spec, "dot import of %s", importPath(spec)))
		}
	}
	return found
}

// notes are the words that put work off. They are put together here so that
// this file may be judged too.
var notes = []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}

func banNotes(f *source) (found []finding) {
	for _, group := range f.file.Comments {
		for _, comment := range group.List {
			for _, note := range notes {
				if strings.Contains(comment.Text, note) {
					found = append(found, f.finding(comment, "%s in a comment", note))
				}
			}
		}
	}
	return found
}

// checkPackageComment wants exactly one file of a package to say what the
// package is, in the words that go doc expects.
func checkPackageComment(files []*source) []finding {
	var documented []*source
	for _, f := range files {
		if f.file.Doc != nil {
			documented = append(documented, f)
		}
	}
	first := files[0]
	start := "Package " + first.file.Name.Name + " "
	if first.file.Name.Name == "main" {
		start = "Command " + path.Base(first.dir) + " "
	}
	at := first.fset.Position(first.file.Package)
	switch {
	case len(documented) == 0:
		return []finding{{at, "no package comment", "it says what the package does, does not do, and promises"}}
	case len(documented) > 1:
		return []finding{{at, "package comments in several files", "go doc joins them in the order of the files"}}
	case !strings.HasPrefix(documented[0].file.Doc.Text(), start):
		return []finding{{documented[0].fset.Position(documented[0].file.Package), fmt.Sprintf("package comment does not begin with %q", start),
			"that is where a reader, and go doc, look for it"}}
	}
	return nil
}

// checkDocumented wants a comment on everything that another package can
// name. String, Error and the like say what they do by their name.
func checkDocumented(f *source) (found []finding) {
	const reason = "exported names state units, errors, ownership, ordering"
	wellKnown := []string{"String", "Error", "Unwrap", "Is", "Len", "Less", "Swap"}
	missing := func(n ast.Node, name string) {
		bad := f.finding(n, "%s has no comment", name)
		bad.reason = reason
		found = append(found, bad)
	}
	for _, decl := range f.file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if !d.Name.IsExported() || d.Doc != nil || f.file.Name.Name == "main" {
				continue
			}
			if d.Recv != nil {
				receiver := rootIdent(d.Recv.List[0].Type)
				if slices.Contains(wellKnown, d.Name.Name) || receiver == nil || !receiver.IsExported() {
					continue
				}
			}
			missing(d, d.Name.Name)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && s.Doc == nil && d.Doc == nil && s.Comment == nil {
						missing(s, s.Name.Name)
					}
				case *ast.ValueSpec:
					for _, name := range s.Names {
						if name.IsExported() && s.Doc == nil && d.Doc == nil && s.Comment == nil {
							missing(name, name.Name)
						}
					}
				}
			}
		}
	}
	return found
}

func checkLength(f *source) []finding {
	limit := maxLines
	if f.test {
		limit = maxTestLines
	}
	if f.lines <= limit {
		return nil
	}
	return []finding{{f.fset.Position(f.file.Package), fmt.Sprintf("%d lines, more than %d", f.lines, limit),
		"a file holds one noun or verb; split it where the subject changes"}}
}

// typeChecker gives types to the pure packages, which need nothing but the
// standard library and each other.
type typeChecker struct {
	fset     *token.FileSet
	standard types.Importer
	done     map[string]*types.Package
}

func newTypeChecker() *typeChecker {
	fset := token.NewFileSet()
	return &typeChecker{fset, importer.ForCompiler(fset, "source", nil), make(map[string]*types.Package)}
}

// Import is of types.Importer: packages of this module are read from the
// tree.
func (c *typeChecker) Import(p string) (*types.Package, error) {
	dir, ours := strings.CutPrefix(p, module+"/")
	if !ours {
		return c.standard.Import(p)
	}
	if pkg := c.done[p]; pkg != nil {
		return pkg, nil
	}
	files, err := c.parseDir(dir)
	if err != nil {
		return nil, err
	}
	pkg, _, err := c.check(p, files)
	return pkg, err
}

func (c *typeChecker) parseDir(dir string) ([]*ast.File, error) {
	pkg, err := build.ImportDir(filepath.Join(root, dir), 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range pkg.GoFiles {
		file, err := parser.ParseFile(c.fset, filepath.Join(root, dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func (c *typeChecker) check(p string, files []*ast.File) (*types.Package, *types.Info, error) {
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	conf := types.Config{Importer: c}
	pkg, err := conf.Check(p, c.fset, files, info)
	if err != nil {
		return nil, nil, err
	}
	c.done[p] = pkg
	return pkg, info, nil
}

// mapRanges finds every range over a map in the package of that directory.
func (c *typeChecker) mapRanges(dir string) ([]finding, error) {
	files, err := c.parseDir(dir)
	if err != nil {
		return nil, err
	}
	return c.mapRangesOf(module+"/"+dir, files)
}

func (c *typeChecker) mapRangesOf(p string, files []*ast.File) (found []finding, err error) {
	_, info, err := c.check(p, files)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			if _, isMap := info.Types[loop.X].Type.Underlying().(*types.Map); isMap {
				found = append(found, finding{c.fset.Position(n.Pos()), "range over a map",
					"map iteration never decides an order; range over slices.Sorted(maps.Keys(m)), or keep a list"})
			}
			return true
		})
	}
	return found, nil
}
