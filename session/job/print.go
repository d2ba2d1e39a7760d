package job

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/session-init/session-init/events"
)

// Print gives the class as the text of a job file, in one form whatever the
// file looked like: every stanza that differs from its default, in the order
// of the table. Parse makes an equal class of it, but for Path and Override.
//
// A job file cannot say everything that a Class of other origin may hold. A
// line end in a value becomes a space and a NUL byte is left out; a command
// that is no single line (quotes that do not match, a "#", a line end)
// becomes a script; a script line that would end its block gets a ";", and
// indentation that all its lines share is lost, as is the fraction of a
// second. Empty words are written and will not be accepted.
func Print(c *Class) []byte {
	var out []byte
	if c.Manual != nil {
		// It stands before "manual".
		whole := *c
		whole.StartOn = c.Manual
		c = &whole
	}
	for i := range stanzas {
		s := &stanzas[i]
		if !s.prints() {
			continue
		}
		for _, args := range s.said(c) {
			if !s.isDefault(args) {
				out = append(s.write(out, args), '\n')
			}
		}
	}
	return out
}

// write appends the stanza with what follows its keywords, without a line end.
func (s *Stanza) write(out []byte, args string) []byte {
	out = append(out, s.Name...)
	if s.Sub != "" {
		out = append(out, ' ')
		out = append(out, s.Sub...)
	}
	if args != "" && args[0] != '\n' {
		out = append(out, ' ')
	}
	return append(out, args...)
}

// when gives what to print under a condition.
func when(condition bool, args string) []string {
	if !condition {
		return nil
	}
	return []string{args}
}

func whenSet(n *int) []string {
	if n == nil {
		return nil
	}
	return []string{strconv.Itoa(*n)}
}

func printSeconds(d time.Duration) string {
	return strconv.FormatInt(int64(d/time.Second), 10)
}

func printUmask(c *Class) []string {
	if c.Umask == nil {
		return nil
	}
	return []string{fmt.Sprintf("%04o", *c.Umask)}
}

func printRespawnLimit(c *Class) []string {
	if c.RespawnLimit == 0 && c.RespawnInterval == DefaultRespawnInterval {
		return []string{unlimitedWord}
	}
	return []string{strconv.Itoa(c.RespawnLimit) + " " + printSeconds(c.RespawnInterval)}
}

func printLogLimit(c *Class) []string {
	limit, unit := c.LogLimit, ""
	for i := 0; i < len(logUnits) && limit.Size != 0 && limit.Size%1024 == 0; i++ {
		limit.Size /= 1024
		unit = logUnits[i : i+1]
	}
	return []string{fmt.Sprintf("%d%s %d", limit.Size, unit, limit.Count)}
}

func printNormalExit(c *Class) []string {
	var words []string
	for _, exit := range c.NormalExit {
		word := strconv.Itoa(exit.Status)
		if exit.Signal != 0 {
			word = SignalName(exit.Signal)
			if _, ok := ParseSignal(word); !ok {
				// A signal without a name; see exitOf.
				word = strconv.Itoa(exit.Signal << 8)
			}
		}
		words = append(words, word)
	}
	return when(len(words) > 0, strings.Join(words, " "))
}

func printLimits(c *Class) []string {
	var out []string
	for _, limit := range c.Limits {
		out = append(out, ResourceName(limit.Resource)+" "+printLimit(limit.Soft)+" "+printLimit(limit.Hard))
	}
	return out
}

func printLimit(value uint64) string {
	if value == Unlimited {
		return unlimitedWord
	}
	return strconv.FormatUint(value, 10)
}

func printExpr(x *events.Expr) string {
	return x.Infix(func(m *events.Match) string {
		words := make([]string, len(m.Words))
		for i, word := range m.Words {
			words[i] = quote(word, "()")
			if word == "and" || word == "or" {
				words[i] = `"` + word + `"`
			}
		}
		return strings.Join(words, " ")
	})
}

// quoteAll writes words with blanks between them.
func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = quote(word, "")
	}
	return strings.Join(out, " ")
}

// quote writes a word so that it is read as itself. special are characters
// that mean something where it is going to stand, beside those that do so
// everywhere.
func quote(word, special string) string {
	if strings.ContainsAny(word, "\n\x00") {
		// A replacer is large, and hardly ever needed.
		word = strings.NewReplacer("\n", " ", "\x00", "").Replace(word)
	}
	special += blanks + "#\"'"
	if word != "" && !strings.ContainsAny(word, special) {
		return double(word)
	}
	// Of KEY="a value", the quotes are around the value.
	key, value, ok := strings.Cut(word, "=")
	if !ok || strings.ContainsAny(key, special) {
		key, value = "", word
	} else {
		key += "="
	}
	return double(key) + pieces(value)
}

func double(word string) string { return strings.ReplaceAll(word, `\`, `\\`) }

// pieces quotes a value that may have both kinds of quotes in it. They cannot
// be escaped, so each piece is put between the quotes that are not in it.
func pieces(value string) string {
	var out strings.Builder
	mark, other := `"`, `'`
	for {
		n := strings.Index(value, mark)
		if n < 0 {
			n = len(value)
		}
		if n > 0 || value == "" {
			out.WriteString(mark + double(value[:n]) + mark)
		}
		value = value[n:]
		if value == "" {
			return out.String()
		}
		mark, other = other, mark
	}
}

func textOf(p *Process) string {
	if p == nil {
		return ""
	}
	return p.Text
}

// isLine reports whether a process can be written with "exec".
func isLine(p *Process) bool {
	if p.Script || p.Text == "" || strings.IndexByte(p.Text, 0) >= 0 {
		return false
	}
	s := newScanner("exec " + p.Text)
	s.pos = len("exec")
	s.skipBlanks()
	sp, trouble := s.reach(s.pos, lineStops)
	return trouble == nil && s.value(sp, false) == p.Text
}

// printBlock writes a process as a block, with the line end of its last line
// left out.
func printBlock(p *Process) string {
	body := strings.ReplaceAll(p.Text, "\x00", "")
	if !p.Script {
		body = "exec " + body
	}
	var out strings.Builder
	out.WriteByte('\n')
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		if line != "" {
			out.WriteString("    " + line)
		}
		if endsBlock(line) {
			out.WriteString(" ;")
		}
		out.WriteByte('\n')
	}
	out.WriteString("end script")
	return out.String()
}
