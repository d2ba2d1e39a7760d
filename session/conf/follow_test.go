package conf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestFollow(t *testing.T) {
	root := tempDir(t)
	put(t, root+"/real/deep/file", "x")
	for name, target := range map[string]string{
		"dir":        "real",
		"file":       root + "/real/deep/file",
		"chain":      "file",
		"real/up":    "../real/./deep//",
		"loop":       "pool",
		"pool":       "loop",
		"dangling":   "real/nothing",
		"self":       ".",
		"thru":       "real/deep/file/x",
		"real/outer": "..",
	} {
		link(t, target, filepath.Join(root, name))
	}
	for _, c := range []struct {
		path, want string
		err        error
		looked     string // the last look
	}{
		{"/real/deep/file", "/real/deep/file", nil, "/real/deep file last"},
		{"/dir/deep", "/real/deep", nil, "/real deep last"},
		{"/file", "/real/deep/file", nil, "/real/deep file last"},
		{"/chain", "/real/deep/file", nil, "/real/deep file last"},
		{"/dir/up/file", "/real/deep/file", nil, "/real/deep file last"},
		{"/self/self/dir", "/real", nil, " real last"},
		{"/dir/outer", "", nil, "/real outer last"},
		{"/dangling", "/real/nothing", fs.ErrNotExist, "/real nothing last"},
		{"/none/below", "/none", fs.ErrNotExist, " none"},
		{"/thru", "", syscall.ENOTDIR, "/real/deep file"},
		{"/loop", "", syscall.ELOOP, ""},
	} {
		var looks []string
		f := finder{known: make(map[string]bool), linked: func(string) {}, looked: func(dir, name string, last bool) {
			look := strings.TrimPrefix(dir, root) + " " + name
			if last {
				look += " last"
			}
			looks = append(looks, look)
		}}
		for range 2 { // the second time with what is known
			got, info, err := f.follow(root + c.path)
			if !errors.Is(err, c.err) {
				t.Errorf("follow(%q): %v; want %v", c.path, err, c.err)
			}
			if (err == nil || c.want != "") && got != root+c.want {
				t.Errorf("follow(%q) = %q; want %q", c.path, got, root+c.want)
			}
			if err == nil {
				want, err := os.Stat(root + c.path)
				if err != nil || !os.SameFile(want, info) {
					t.Errorf("follow(%q) gives another file than stat: %v", c.path, err)
				}
			}
			if c.looked != "" && looks[len(looks)-1] != c.looked {
				t.Errorf("follow(%q) looked last at %q; want %q", c.path, looks[len(looks)-1], c.looked)
			}
		}
		if !slices.Contains(looks, "/ "+strings.Split(root, "/")[1]) {
			t.Errorf("follow(%q) did not look in /", c.path)
		}
	}
}
