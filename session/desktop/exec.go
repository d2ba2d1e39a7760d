package desktop

import (
	"errors"
	"fmt"
	"strings"
)

// Command gives the program and arguments of the key Exec, its field codes
// expanded as for a start without files. The error says what is wrong with the
// value.
//
// Words are separated by blanks. In double quotes a backslash stands before a
// double quote, backquote, dollar or backslash; single quotes, and a backslash
// outside quotes, are not in the specification, but in files, and mean what
// they mean to a shell.
func (e *Entry) Command(locale string) ([]string, error) {
	words, err := splitExec(e.Text("Exec"))
	if err != nil {
		return nil, err
	}
	var argv []string
	for _, w := range words {
		expanded, keep, err := e.expand(w, locale)
		if err != nil {
			return nil, err
		}
		if keep {
			argv = append(argv, expanded...)
		}
	}
	switch {
	case len(argv) == 0 || argv[0] == "":
		return nil, errors.New("it names no program")
	case strings.Contains(argv[0], "="):
		return nil, fmt.Errorf("'%s' cannot be a program: there is a '=' in it", argv[0])
	}
	for _, arg := range argv {
		if strings.ContainsAny(arg, "\n\x00") {
			return nil, errors.New("a line end in an argument cannot stand in a job file")
		}
	}
	return argv, nil
}

// execWord is a word of Exec; of a quoted one some letters stood in quotes.
type execWord struct {
	text   string
	quoted bool
}

func splitExec(text string) ([]execWord, error) {
	var out []execWord
	var word strings.Builder
	within, quoted := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t', '\n', '\r':
			if within {
				out = append(out, execWord{word.String(), quoted})
			}
			word.Reset()
			within, quoted = false, false
			continue
		case '\\':
			if i++; i == len(text) {
				return nil, errors.New("it ends in a backslash")
			}
			word.WriteByte(text[i])
		case '"':
			quoted = true
			for i++; ; i++ {
				if i >= len(text) {
					return nil, errors.New("a double quote is not closed")
				}
				if text[i] == '"' {
					break
				}
				if text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\"`$\\", text[i+1]) >= 0 {
					i++
				}
				word.WriteByte(text[i])
			}
		case '\'':
			quoted = true
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return nil, errors.New("a single quote is not closed")
			}
			word.WriteString(text[i+1 : i+1+end])
			i += end + 1
		default:
			word.WriteByte(c)
		}
		within = true
	}
	if within {
		out = append(out, execWord{word.String(), quoted})
	}
	return out, nil
}

// expand replaces the field codes of a word. keep is false when nothing is
// left of one that stood for what there is not.
func (e *Entry) expand(w execWord, locale string) (args []string, keep bool, err error) {
	if w.text == "%i" {
		if icon := e.Localised("Icon", locale); icon != "" {
			return []string{"--icon", icon}, true, nil
		}
		return nil, false, nil
	}
	var out strings.Builder
	removed := false
	for i := 0; i < len(w.text); i++ {
		if w.text[i] != '%' {
			out.WriteByte(w.text[i])
			continue
		}
		if i++; i == len(w.text) {
			if w.quoted {
				out.WriteByte('%')
				break
			}
			return nil, false, errors.New("it ends in a '%': write '%%'")
		}
		switch code := w.text[i]; code {
		case '%':
			out.WriteByte('%')
		case 'c':
			out.WriteString(e.Localised("Name", locale))
		case 'k':
			out.WriteString(e.Path)
		case 'f', 'F', 'u', 'U', 'i', 'd', 'D', 'n', 'N', 'v', 'm':
			removed = true
		default:
			if !w.quoted {
				return nil, false, fmt.Errorf("there is no field code '%%%c'", code)
			}
			// What a code means in quotes is not specified.
			out.WriteString(w.text[i-1 : i+1])
		}
	}
	return []string{out.String()}, !removed || out.Len() > 0, nil
}
