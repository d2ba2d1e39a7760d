package variable

import (
	"slices"
	"testing"
)

func TestTaken(t *testing.T) {
	got := Taken(func(name string) string {
		return map[string]string{"DISPLAY": ":0", "WAYLAND_SOCKET": "7", "MINE": "1", "OTHER": "2", "XDG_SEAT": ""}[name]
	}, "MINE", "ABSENT")
	if want := []string{"DISPLAY=:0", "MINE=1"}; !slices.Equal(got, want) {
		t.Errorf("Taken = %q; want %q", got, want)
	}
}
