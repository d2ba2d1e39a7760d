package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// walk finds what can be changed in a node and everything in it.
func (m *mutator) walk(root ast.Node) {
	var path []ast.Node
	ast.Inspect(root, func(n ast.Node) bool {
		if n == nil {
			gone := path[len(path)-1]
			path = path[:len(path)-1]
			switch gone.(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				m.results = m.results[:len(m.results)-1]
			}
			return true
		}
		if !m.enter(n, path) {
			return false
		}
		path = append(path, n)
		return true
	})
}

// enter looks at one node; path leads to it. It reports whether to look at
// what is in it.
func (m *mutator) enter(n ast.Node, path []ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		m.results = append(m.results, n.Type)
		m.function(n.Type, n.Body)
		return true
	case *ast.FuncLit:
		m.results = append(m.results, n.Type)
		m.function(n.Type, n.Body)
		return true
	case *ast.ArrayType, *ast.FuncType, *ast.StructType, *ast.ImportSpec, *ast.FieldList:
		return false
	case *ast.GenDecl:
		return n.Tok == token.VAR
	}
	if len(m.results) == 0 {
		return true // outside of functions nothing is changed
	}
	switch n := n.(type) {
	case *ast.BlockStmt:
		m.list(n.List)
	case *ast.CaseClause:
		m.clause(n, path)
		m.list(n.Body)
	case *ast.IfStmt:
		m.condition(n.Cond, "true", "false")
	case *ast.ForStmt:
		if n.Cond != nil {
			m.condition(n.Cond, "false")
		}
	case *ast.RangeStmt:
		if len(n.Body.List) > 0 {
			number := m.add(n, "range "+m.src(n.X), skipped)
			m.insert(n.Body.Lbrace+1, fmt.Sprintf("\nif mutantOn(%d) { break }\n", number))
		}
	case *ast.KeyValueExpr:
		m.field(n, path)
		if m.info.Types[n.Key].Value != nil {
			// The key of an array's element has to stay a constant.
			m.walkIn(n.Value)
			return false
		}
	case ast.Expr:
		if !m.constant(n) {
			return false
		}
		m.operator(n, path)
		if call, ok := n.(*ast.CallExpr); ok && m.src(call.Fun) == "make" {
			if len(call.Args) == 2 {
				if _, isSlice := m.info.TypeOf(call.Args[0]).Underlying().(*types.Slice); isSlice {
					m.walkIn(call.Args[1])
				}
			} else if len(call.Args) == 3 {
				m.walkIn(call.Args[1])
			}
			return false
		}
	}
	return true
}

// walkIn looks at a part of a node apart from the others.
func (m *mutator) walkIn(e ast.Expr) { m.walk(e) }

// function lets the body of a function without results be left out, and
// gives others a return at the end, should what stood there be skipped.
func (m *mutator) function(f *ast.FuncType, body *ast.BlockStmt) {
	if body == nil {
		return
	}
	if f.Results != nil && len(f.Results.List) > 0 {
		m.insert(body.Rbrace, "\nreturn "+strings.Join(zeros(m, f), ", ")+"\n")
		return
	}
	if len(body.List) > 1 {
		n := m.add(body, "the whole body", nothing)
		m.insert(body.Lbrace+1, fmt.Sprintf("\nif mutantOn(%d) { return }\n", n))
	}
}

// list looks at statements that stand in a row.
func (m *mutator) list(stmts []ast.Stmt) {
	for _, s := range stmts {
		switch s := s.(type) {
		case *ast.ExprStmt, *ast.DeferStmt:
			m.leaveOut(s)
		case *ast.AssignStmt:
			m.assignment(s)
		case *ast.IncDecStmt:
			m.leaveOut(s)
			if s.Tok == token.INC {
				m.instead(s, m.src(s.X)+"--")
			} else {
				m.instead(s, m.src(s.X)+"++")
			}
		case *ast.BranchStmt:
			switch s.Tok {
			case token.CONTINUE:
				m.leaveOut(s)
				if s.Label == nil {
					m.instead(s, "break")
				}
			case token.BREAK:
				m.leaveOut(s)
			}
		case *ast.ReturnStmt:
			m.result(s)
		}
	}
}

func (m *mutator) assignment(s *ast.AssignStmt) {
	if s.Tok == token.DEFINE {
		return
	}
	if name, ok := s.Lhs[0].(*ast.Ident); ok && len(s.Lhs) == 1 && name.Name == "_" {
		return
	}
	m.leaveOut(s)
	if swapped, ok := assignments[s.Tok]; ok && m.isNumber(s.Lhs[0]) {
		m.instead(s, m.src(s.Lhs[0])+" "+swapped.String()+" "+m.src(s.Rhs[0]))
	}
}

var assignments = map[token.Token]token.Token{
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
	token.OR_ASSIGN: token.AND_ASSIGN, token.AND_ASSIGN: token.OR_ASSIGN,
}

// result changes what a function returns, one result at a time. Results that
// are zero already, and constants, are left to the other operators.
func (m *mutator) result(s *ast.ReturnStmt) {
	f := m.results[len(m.results)-1]
	zero := zeros(m, f)
	if len(s.Results) == 0 {
		return
	}
	if len(s.Results) != len(zero) {
		m.before(s, "return "+strings.Join(zero, ", "), "zeros")
		return
	}
	for i, e := range s.Results {
		t := m.info.Types[e]
		if isBool(t.Type) {
			m.condition(e, "true", "false")
			continue
		}
		if t.IsNil() || t.Value != nil && isZero(t.Value) {
			continue
		}
		if c, ok := e.(*ast.CompositeLit); ok && len(c.Elts) == 0 {
			continue
		}
		changed := make([]string, len(zero))
		for k, other := range s.Results {
			changed[k] = m.src(other)
		}
		changed[i] = zero[i]
		m.before(s, "return "+strings.Join(changed, ", "), "return "+strings.Join(changed, ", "))
	}
}

func (m *mutator) before(s ast.Stmt, changed, told string) {
	n := m.add(s, m.src(s), told)
	m.edit(s, func(inner string) string { return fmt.Sprintf("if mutantOn(%d) { %s }; %s", n, changed, inner) })
}

// clause lets a case be passed over: the body of one with a value, the
// condition of one in a switch without.
func (m *mutator) clause(c *ast.CaseClause, path []ast.Node) {
	if s, ok := path[len(path)-2].(*ast.SwitchStmt); ok && s.Tag == nil && len(c.List) > 0 {
		for _, e := range c.List {
			m.condition(e, "true", "false")
		}
		return
	}
	if len(c.Body) == 0 {
		return
	}
	what := "default"
	if len(c.List) > 0 {
		var words []string
		for _, e := range c.List {
			words = append(words, m.src(e))
		}
		what = "case " + strings.Join(words, ", ")
	}
	n := m.add(c, what, skipped)
	m.insert(c.Colon+1, fmt.Sprintf("\nif mutantOn(%d) { break }\n", n))
}

// condition is a boolean expression that stands alone: besides what its
// operator can become, it can be settled. Its negation would be caught by
// whoever catches these.
func (m *mutator) condition(e ast.Expr, settled ...string) {
	t := m.info.Types[e]
	if t.Value != nil {
		if m.isUniverse(e) {
			m.boolean(e, fmt.Sprint(!constant.BoolVal(t.Value)))
		}
		return
	}
	if !isBool(t.Type) {
		return
	}
	changed := slices.Clone(settled)
	for _, c := range m.swaps(ast.Unparen(e)) {
		if !c.negates {
			changed = append(changed, c.text)
		}
	}
	m.boolean(e, changed...)
	m.settled(ast.Unparen(e))
}

// settled notes that the operator at the root of e has been dealt with.
func (m *mutator) settled(e ast.Expr) {
	if m.done == nil {
		m.done = make(map[ast.Expr]bool)
	}
	m.done[e] = true
}

// swap is another form of an expression.
type swap struct {
	text    string
	negates bool
}

// swaps gives what a boolean operator can become.
func (m *mutator) swaps(e ast.Expr) []swap {
	switch e := e.(type) {
	case *ast.UnaryExpr:
		if e.Op == token.NOT {
			return []swap{{m.src(e.X), true}}
		}
	case *ast.BinaryExpr:
		x, y := m.src(e.X), m.src(e.Y)
		with := func(op token.Token) string { return x + " " + op.String() + " " + y }
		switch e.Op {
		case token.LSS:
			return []swap{{with(token.LEQ), false}, {with(token.GEQ), true}}
		case token.LEQ:
			return []swap{{with(token.LSS), false}, {with(token.GTR), true}}
		case token.GTR:
			return []swap{{with(token.GEQ), false}, {with(token.LEQ), true}}
		case token.GEQ:
			return []swap{{with(token.GTR), false}, {with(token.LSS), true}}
		case token.EQL:
			return []swap{{with(token.NEQ), true}}
		case token.NEQ:
			return []swap{{with(token.EQL), true}}
		case token.LAND:
			return []swap{{"(" + x + ") || (" + y + ")", false}, {x, false}, {y, false}}
		case token.LOR:
			return []swap{{"(" + x + ") && (" + y + ")", false}, {x, false}, {y, false}}
		}
	}
	return nil
}

var arithmetic = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.SHL: token.SHR, token.SHR: token.SHL, token.AND: token.OR, token.OR: token.AND, token.XOR: token.AND, token.AND_NOT: token.AND,
}

// operator changes an expression by its operator.
func (m *mutator) operator(e ast.Expr, path []ast.Node) {
	t := m.info.Types[e]
	if m.done[e] || t.Value != nil && !m.isUniverse(e) {
		return
	}
	if isBool(t.Type) && t.IsValue() {
		if t.Value != nil {
			if len(path) > 0 {
				switch path[len(path)-1].(type) {
				case *ast.AssignStmt, *ast.ReturnStmt:
					return // left out, or changed already
				}
			}
			m.boolean(e, fmt.Sprint(!constant.BoolVal(t.Value)))
			return
		}
		var changed []string
		for _, c := range m.swaps(e) {
			changed = append(changed, c.text)
		}
		m.boolean(e, changed...)
		return
	}
	b, ok := e.(*ast.BinaryExpr)
	if !ok || !m.isNumber(e) {
		return
	}
	if op, ok := arithmetic[b.Op]; ok {
		changed := m.src(b.X) + " " + op.String() + " " + m.src(b.Y)
		n := m.add(e, m.src(e), changed)
		name := m.typeName(t.Type)
		m.edit(e, func(inner string) string {
			return fmt.Sprintf("func() %s { if mutantOn(%d) { return %s }; return %s }()", name, n, changed, inner)
		})
	}
}

// constant changes the whole numbers of an expression whose value is known.
// It reports whether to look into the expression: it is not known.
func (m *mutator) constant(e ast.Expr) bool {
	t := m.info.Types[e]
	if t.Value == nil || isBool(t.Type) {
		return true
	}
	if !isInteger(t.Type) || t.Value.Kind() != constant.Int {
		return false
	}
	text, base := m.src(e), m.offset(e.Pos())
	ast.Inspect(e, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.INT {
			return true
		}
		value := constant.MakeFromLiteral(literal.Value, token.INT, 0)
		next := []string{constant.BinaryOp(value, token.ADD, constant.MakeInt64(1)).ExactString()}
		if literal.Value == "1" {
			next = []string{"0", "2"}
		}
		at := m.offset(literal.Pos()) - base
		name := m.typeName(types.Default(t.Type))
		for _, number := range next {
			changed := text[:at] + number + text[at+len(literal.Value):]
			k := m.add(e, text+m.around(e), changed)
			m.edit(e, func(inner string) string { return fmt.Sprintf("mutantPick[%s](%d, %s, %s)", name, k, changed, inner) })
		}
		return true
	})
	return false
}

// around says where a number stands, as a number alone says little.
func (m *mutator) around(e ast.Expr) string {
	line := m.fset.Position(e.Pos()).Line
	file := m.fset.File(e.Pos())
	start := m.offset(file.LineStart(line))
	text, _, _ := strings.Cut(string(m.text[start:]), "\n")
	return " in " + strings.TrimSpace(text)
}

// field lets a field of a literal be zero.
func (m *mutator) field(n *ast.KeyValueExpr, path []ast.Node) {
	lit, ok := path[len(path)-1].(*ast.CompositeLit)
	if !ok {
		return
	}
	if _, isStruct := m.info.TypeOf(lit).Underlying().(*types.Struct); !isStruct {
		return
	}
	t := m.info.Types[n.Value]
	if t.Value != nil || t.IsNil() {
		return
	}
	k := m.add(n, m.src(n), "zero")
	m.edit(n.Value, func(inner string) string { return fmt.Sprintf("mutantZero(%d, %s)", k, inner) })
}

func (m *mutator) isNumber(e ast.Expr) bool {
	t := m.info.TypeOf(e)
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0
}

// isUniverse reports whether e is the word true or false.
func (m *mutator) isUniverse(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && (name.Name == "true" || name.Name == "false") && m.info.Types[e].Value != nil
}

func isInteger(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0 && b.Kind() != types.UntypedRune
}

// isBool reports whether a type is bool itself: what we put in its place is.
func isBool(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := types.Unalias(t).(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

func isZero(v constant.Value) bool {
	switch v.Kind() {
	case constant.Int, constant.Float:
		return constant.Sign(v) == 0
	case constant.String:
		return constant.StringVal(v) == ""
	case constant.Bool:
		return !constant.BoolVal(v)
	}
	return false
}
