// Package variable knows the variables that tell one login session from another.
// It is apart from package display, which connects to what they name: a client
// that only sends them starts the faster for it.
package variable

// Names are those that tell one login session from another, and that a
// session takes from whoever begins it. What is not set is left out.
func Names() []string {
	return []string{
		"DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "XAUTHORITY",
		"XDG_CURRENT_DESKTOP", "XDG_SESSION_DESKTOP", "XDG_SESSION_TYPE", "XDG_SESSION_CLASS", "XDG_SESSION_ID",
		"XDG_SESSION_PATH", "XDG_SEAT", "XDG_SEAT_PATH", "XDG_VTNR", "DESKTOP_SESSION", "GDMSESSION", "WINDOWPATH",
		"SWAYSOCK", "I3SOCK", "HYPRLAND_INSTANCE_SIGNATURE", "NIRI_SOCKET", "WAYFIRE_SOCKET", "LABWC_PID",
		"XCURSOR_THEME", "XCURSOR_SIZE", Bus,
	}
}

// Bus is the variable with the address of the session bus.
const Bus = "DBUS_SESSION_BUS_ADDRESS"

// Taken returns those of the variables, and of the names in with, that are
// set, as KEY=VALUE. A descriptor's number, WAYLAND_SOCKET, means nothing to
// another process and is left out.
func Taken(lookup func(string) string, with ...string) []string {
	var out []string
	for _, name := range append(Names(), with...) {
		if value := lookup(name); value != "" && name != "WAYLAND_SOCKET" {
			out = append(out, name+"="+value)
		}
	}
	return out
}
