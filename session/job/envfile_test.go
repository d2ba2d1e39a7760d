package job

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseEnvFile(t *testing.T) {
	long := strings.Repeat("x", maxEnvFileLine)
	for _, test := range []struct {
		text string
		want []string
		err  string
	}{
		{"", nil, ""},
		{"\n \t\r\n# A=1\n  # B\n", nil, ""},
		{"A=1\nB=\nA=2", []string{"A=1", "B=", "A=2"}, ""},
		{"  A=1 \t\r\n", []string{"A=1"}, ""},
		{"\ufeffA=1\n", []string{"A=1"}, ""},
		{"A=\"a b\"\nB='c \"d\"'\nC=\"\"\n", []string{"A=a b", `B=c "d"`, "C="}, ""},
		{"A=\" a \"\n", []string{"A= a "}, ""},
		{`A="a" "b"`, []string{`A="a" "b"`}, ""},
		{`A="a`, []string{`A="a`}, ""},
		{`A="a'`, []string{`A="a'`}, ""},
		{`A="`, []string{`A="`}, ""},
		{`A=$B\n #c=d`, []string{`A=$B\n #c=d`}, ""},
		{"export A=1\nexport\tB=2\nexport=3\n", []string{"A=1", "B=2", "export=3"}, ""},
		{"A=xax\n", []string{"A=xax"}, ""},
		{"\x00A=1\n", nil, "f:1:1: NUL byte (expected text)"},
		{"exported=1\n", []string{"exported=1"}, ""},
		{"export\n", nil, "f:1:1: 'export' is no variable (expected KEY=VALUE)"},
		{"A=\xff\n", []string{"A=\xff"}, ""},
		{"A=1\n  B\n", nil, "f:2:3: 'B' is no variable (expected KEY=VALUE)"},
		{"export A\n", nil, "f:1:1: 'A' is no variable (expected KEY=VALUE)"},
		{"=1\n", nil, "f:1:1: '=1' is no variable (expected KEY=VALUE)"},
		{"A =1\n", nil, "f:1:1: 'A =1' is no variable (expected KEY=VALUE)"},
		{"1A=1\n", nil, "f:1:1: '1A=1' is no variable (expected KEY=VALUE)"},
		{"A.B=1\n", nil, "f:1:1: 'A.B=1' is no variable (expected KEY=VALUE)"},
		{"# c\nA=\x00\n", nil, "f:2:1: NUL byte (expected text)"},
		{"A=" + long[2:], []string{"A=" + long[2:]}, ""},
		{"A=" + long[1:], nil, "f:1:1: 'A=" + long[:maxNamed-2] + "…' is too long for a variable (expected less than 128 KiB)"},
	} {
		got, err := ParseEnvFile("f", []byte(test.text))
		text := ""
		if err != nil {
			text = err.Error()
			if !errors.As(err, new(Problem)) {
				t.Errorf("the error of ParseEnvFile(%.40q) is no Problem", test.text)
			}
		}
		if !slices.Equal(got, test.want) || text != test.err {
			t.Errorf("ParseEnvFile(%.40q) = %.200q, %q; want %.200q, %q", test.text, got, text, test.want, test.err)
		}
	}
}
