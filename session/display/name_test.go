package display

import "testing"

func lookupIn(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestName(t *testing.T) {
	for _, test := range []struct {
		vars map[string]string
		want string
		err  string
	}{
		{map[string]string{"WAYLAND_DISPLAY": "wayland-1", "XDG_RUNTIME_DIR": "/run/u", "DISPLAY": ":0"}, "wayland:/run/u/wayland-1", ""},
		{map[string]string{"WAYLAND_DISPLAY": "/x/w"}, "wayland:/x/w", ""},
		{map[string]string{"WAYLAND_DISPLAY": "w"}, "", "cannot find the display w: XDG_RUNTIME_DIR is not set"},
		{map[string]string{"DISPLAY": ":0"}, "x11::0", ""},
		{map[string]string{"DISPLAY": ":12.1"}, "x11::12", ""},
		{map[string]string{"DISPLAY": "unix:3"}, "x11::3", ""},
		{map[string]string{"DISPLAY": "localhost:10.0"}, "x11:localhost:10", ""},
		{map[string]string{"DISPLAY": "nonsense"}, "", "cannot use the display 'nonsense': it has no ':' and number"},
		{map[string]string{"DISPLAY": ":x"}, "", "cannot use the display ':x': there is no number from 0 to 59535 behind the ':'"},
		{map[string]string{"DISPLAY": ":59536"}, "", "cannot use the display ':59536': there is no number from 0 to 59535 behind the ':'"},
		{nil, "", "there is no display: neither WAYLAND_DISPLAY nor DISPLAY is set"},
	} {
		got, err := Name(lookupIn(test.vars))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != test.want || text != test.err {
			t.Errorf("Name(%v) = %q, %q; want %q, %q", test.vars, got, text, test.want, test.err)
		}
	}
}
