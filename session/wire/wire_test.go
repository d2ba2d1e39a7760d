package wire

import "testing"

func TestFaultTexts(t *testing.T) {
	seen := map[string]Fault{}
	for f := okay; int(f) < numFaults; f++ {
		if other, twice := seen[f.Error()]; twice {
			t.Errorf("faults %d and %d say the same: %s", f, other, f)
		}
		seen[f.Error()] = f
	}
	if okay.err() != nil || BadBool.err() != BadBool {
		t.Error("err() of okay is not nil, or of a fault is another")
	}
}

func TestValidSignature(t *testing.T) {
	repeat := func(s string, n int) (out string) {
		for range n {
			out += s
		}
		return out
	}
	for sig, want := range map[string]bool{
		"": true, "y": true, "ybnqiuxtdsogvh": true, "as": true, "aas": true, "a{sv}": true, "a(xsssssasi)": true,
		"a{s(ii)}": true, "a{ta{sv}}": true, "(s)": true, "((i))": true, "sasb": true,
		"a": false, "()": false, "(": false, ")": false, "(i": false, "i)": false, "{sv}": false, "a{}": false,
		"a{s}": false, "a{vs}": false, "a{(i)s}": false, "a{asv}": false, "a{svi}": false, "a{sv": false, "a{sv)": false,
		"z": false, "s s": false, "(a)": false, "e": false, "r": false, "m": false,
		repeat("a", 32) + "y": true, repeat("a", 33) + "y": false,
		repeat("(", 32) + "y" + repeat(")", 32): true, repeat("(", 33) + "y" + repeat(")", 33): false,
		repeat("a{s", 32) + "y" + repeat("}", 32): true, repeat("a{s", 33) + "y" + repeat("}", 33): false,
		repeat("a", 32) + repeat("(", 32) + "y" + repeat(")", 32): true,
		repeat("y", 255): true, repeat("y", 256): false,
	} {
		if got := ValidSignature(sig); got != want {
			t.Errorf("ValidSignature(%.70q) = %v; want %v", sig, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	long := make([]byte, 254)
	for i := range long {
		long[i] = 'x'
	}
	for _, test := range []struct {
		what  string
		valid func(string) bool
		good  []string
		bad   []string
	}{
		{"ValidPath", ValidPath, []string{"/", "/a", "/a/b_1", "/_", "/9"},
			[]string{"", "a", "//", "/a/", "/a//b", "/a-b", "/a.b", "/é", "/a\x00"}},
		{"ValidInterface", ValidInterface, []string{"a.b", "com.ubuntu.Upstart0_6", "_._"},
			[]string{"", "a", ".a", "a.", "a..b", "a.9", "9.a", "a.b-c", "a.é", "a." + string(long)}},
		{"ValidMember", ValidMember, []string{"a", "Get_1", "_", string(long)},
			[]string{"", "a.b", "9", "a-b", "é", string(long) + "xx"}},
	} {
		for _, name := range test.good {
			if !test.valid(name) {
				t.Errorf("%s(%.20q) = false; want true", test.what, name)
			}
		}
		for _, name := range test.bad {
			if test.valid(name) {
				t.Errorf("%s(%.20q) = true; want false", test.what, name)
			}
		}
	}
}
