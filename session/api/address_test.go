package api

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("x", 107)
	for _, test := range []struct {
		address string
		want    []string
	}{
		{"unix:path=/run/a", []string{"/run/a"}},
		{"unix:path=/run/a,guid=12", []string{"/run/a"}},
		{"unix:guid=12,path=/run/a;", []string{"/run/a"}},
		{"unix:abstract=a", []string{"@a"}},
		{"unix:path=/a%20b%2c%2Cc", []string{"/a b,,c"}},
		{"unix:path=@a", []string{"./@a"}},
		{"unix:path=/a;unix:abstract=b", []string{"/a", "@b"}},
		{"unix:path=" + long, []string{long}},
	} {
		got, err := ParseAddress(test.address)
		if !reflect.DeepEqual(got, test.want) || err != nil {
			t.Errorf("ParseAddress(%q) = %q, %v; want %q", test.address, got, err, test.want)
		}
	}
	for _, test := range []struct{ address, want string }{
		{"", "it is empty"},
		{";", "it is empty"},
		{"/run/a", `no ":" after the transport`},
		{"tcp:host=a", `unknown transport "tcp"`},
		{"unix:", `no "=" in ""`},
		{"unix:path", `no "=" in "path"`},
		{"unix:path=", "path is empty"},
		{"unix:tmpdir=/tmp", "neither path nor abstract"},
		{"unix:path=/a,abstract=b", "two sockets"},
		{"unix:path=/a%2", "without two hexadecimal digits"},
		{"unix:path=/a%zz", "without two hexadecimal digits"},
		{"unix:path=/a%00", "zero byte"},
		{"unix:path=" + long + "x", "has 108 bytes, a socket's name has at most 107"},
		{"unix:path=/a;tcp:host=b", "unknown transport"},
	} {
		if got, err := ParseAddress(test.address); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("ParseAddress(%q) = %q, %v; want an error with %q", test.address, got, err, test.want)
		}
	}
}

func FuzzUnixAddress(f *testing.F) {
	f.Add("/run/user/1000/session-init/socket")
	f.Add("/a b;c,d=e%é\xff")
	f.Add("@x")
	f.Fuzz(func(t *testing.T, path string) {
		address := UnixAddress(path)
		got, err := ParseAddress(address)
		switch {
		case path == "" || len(path) > maxSocketPath || strings.Contains(path, "\x00"):
			if err == nil {
				t.Fatalf("ParseAddress(%q) = %q; want an error", address, got)
			}
		case err != nil || len(got) != 1 || strings.TrimPrefix(got[0], "./@") != strings.TrimPrefix(strings.TrimPrefix(path, "./@"), "@"):
			t.Fatalf("ParseAddress(%q) = %q, %v; want %q", address, got, err, path)
		}
	})
}

func FuzzParseAddress(f *testing.F) {
	f.Add("unix:path=/a%20,guid=1;unix:abstract=b")
	f.Fuzz(func(t *testing.T, address string) {
		sockets, err := ParseAddress(address)
		if (err == nil) != (len(sockets) > 0) {
			t.Fatalf("ParseAddress(%q) = %q, %v", address, sockets, err)
		}
		for _, socket := range sockets {
			if socket == "" || socket == "@" {
				t.Fatalf("ParseAddress(%q) = %q: a socket without a name", address, sockets)
			}
		}
	})
}
