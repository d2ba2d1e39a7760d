package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFindService: the file that says whose unit it is, whatever its name; the
// first directory wins; what is no service file is passed over.
func TestFindService(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		first + "/a.service":    "# SystemdService=x.service\n[Other]\nSystemdService=x.service\n[D-BUS Service]\nName=org.example.A\nExec=/bin/a --b 'c d'\nSystemdService = a.service\n",
		first + "/b.service":    "[D-BUS Service]\nName=org.example.B\nExec=/bin/b\n",
		first + "/notes":        "[D-BUS Service]\nName=org.example.N\nSystemdService=n.service\n",
		first + "/none.service": "[D-BUS Service]\nSystemdService=none.service\n",
		first + "/big.service":  "[D-BUS Service]\nName=org.example.Big\nSystemdService=big.service\n" + strings.Repeat("#\n", maxServiceFile),
		// Masked by that of the first, and one of its own.
		second + "/b.service": "[D-BUS Service]\nName=org.example.B\nExec=/bin/other\nSystemdService=b.service\n",
		second + "/c.service": "[D-BUS Service]\r\nName=org.example.C\r\nExec=/bin/c\r\nSystemdService=c.service\r\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(first, "d.service"), 0o700); err != nil {
		t.Fatal(err)
	}
	dirs := []string{filepath.Join(first, "missing"), first, second}
	for unit, want := range map[string]Service{
		"a.service":    {first + "/a.service", "org.example.A", "/bin/a --b 'c d'"},
		"c.service":    {second + "/c.service", "org.example.C", "/bin/c"},
		"b.service":    {},
		"x.service":    {},
		"n.service":    {},
		"none.service": {},
		"big.service":  {},
		"":             {},
	} {
		got, err := FindService(dirs, unit)
		if got != want || (err == nil) != (want.Name != "") {
			t.Errorf("FindService(%q) = %+v, %v; want %+v", unit, got, err, want)
		}
	}
}

// TestServiceDirs: those of dbus-daemon, in its order, each once.
func TestServiceDirs(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": "/home/u", "XDG_RUNTIME_DIR": "/run/user/7"},
			"/run/user/7 /home/u/.local/share /usr/local/share /usr/share"},
		{map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "/data", "XDG_DATA_DIRS": "/usr/share:relative:/opt"},
			"/data /usr/share /opt /usr/local/share"},
	} {
		got := strings.ReplaceAll(strings.Join(ServiceDirs(func(key string) string { return test.env[key] }), " "), "/dbus-1/services", "")
		if got != test.want {
			t.Errorf("ServiceDirs(%v) = %s; want %s", test.env, got, test.want)
		}
	}
}
