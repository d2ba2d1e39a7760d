package display

import (
	"slices"
	"testing"
)

// A variable that D-Bus cannot take costs the bus none of the others.
func TestTellable(t *testing.T) {
	told, untold := tellable([]string{"DISPLAY=:1", "BAD=a\xffb", "DBUS_SESSION_BUS_ADDRESS=unix:path=/b", "N\xfe=1", "EMPTY=", "UMLAUT=ä"})
	if want := []string{"DISPLAY=:1", "EMPTY=", "UMLAUT=ä"}; !slices.Equal(told, want) {
		t.Errorf("told = %q; want %q", told, want)
	}
	if want := []string{"BAD", "N\uFFFD"}; !slices.Equal(untold, want) {
		t.Errorf("untold = %q; want %q", untold, want)
	}
}
