package desktop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lookup answers what an entry asks of the world. A function that is nil is
// not asked: what it would answer is taken to be in favour of the entry.
type Lookup struct {
	// Desktops are those of the session, as XDG_CURRENT_DESKTOP has them
	// between colons.
	Desktops []string
	// Program tells whether there is such a program, a path or a name to be
	// looked for in PATH.
	Program func(name string) bool
	// File tells whether there is such a file below $XDG_CONFIG_HOME.
	File func(name string) bool
	// Config gives a key of KDE's configuration file of that name.
	Config func(file, group, key string) (value string, ok bool)
	// Setting gives a setting of GSettings, "true" or "false"; ok is false
	// when that cannot be known.
	Setting func(schema, key string) (value string, ok bool)
}

// Verdict says whether an entry starts with a session.
type Verdict struct {
	Starts bool
	// Gone: the entry counts as if it were not there, and there is no job.
	Gone bool
	// Key and Value are what decided, both empty when nothing speaks against
	// the entry.
	Key, Value string
	// Why is a sentence about it without the name of the entry.
	Why string
}

// Verdict decides about the entry. The first key that speaks against it, in
// the order below, is told.
func (e *Entry) Verdict(look Lookup) Verdict {
	for _, step := range [...]func(Lookup) *Verdict{e.static, e.desktops, e.late} {
		if v := step(look); v != nil {
			return *v
		}
	}
	v := Verdict{Starts: true, Why: "nothing speaks against it"}
	if len(e.List("OnlyShowIn")) > 0 {
		v = Verdict{Starts: true, Key: "OnlyShowIn", Value: e.raw("OnlyShowIn"), Why: "it is for this desktop"}
	}
	return v
}

// Conditions decides by TryExec and the two kinds of conditions alone.
func (e *Entry) Conditions(look Lookup) Verdict {
	if v := e.late(look); v != nil {
		return *v
	}
	return Verdict{Starts: true, Why: "its conditions hold"}
}

func (e *Entry) raw(key string) string { return e.keys[key].text }

func (e *Entry) no(key, why string, args ...any) *Verdict {
	return &Verdict{Key: key, Value: e.raw(key), Why: fmt.Sprintf(why, args...)}
}

// static is decided by the file alone.
func (e *Entry) static(Lookup) *Verdict {
	kind := e.Text("Type")
	switch {
	case e.Flag("Hidden"):
		v := e.no("Hidden", "it counts as if it were not there, and hides those of its name in later directories")
		v.Gone = true
		return v
	case kind != "Application":
		v := e.no("Type", "only entries of the type Application are started")
		v.Gone = true
		return v
	case e.denied("X-GNOME-Autostart-enabled"):
		return e.no("X-GNOME-Autostart-enabled", "it is switched off")
	}
	return nil
}

// desktops is decided by the desktops of the session. When they are not known
// none is.
func (e *Entry) desktops(look Lookup) *Verdict {
	only, not := e.List("OnlyShowIn"), e.List("NotShowIn")
	for _, desktop := range look.Desktops {
		if isDesktop(desktop) && slices.Contains(not, desktop) {
			return e.no("NotShowIn", "it is not for the desktop %s", desktop)
		}
	}
	if len(only) == 0 {
		return nil
	}
	for _, desktop := range look.Desktops {
		if isDesktop(desktop) && slices.Contains(only, desktop) {
			return nil
		}
	}
	if len(look.Desktops) == 0 {
		return e.no("OnlyShowIn", "the session has no XDG_CURRENT_DESKTOP")
	}
	return e.no("OnlyShowIn", "it is not for the desktop %s", strings.Join(look.Desktops, ":"))
}

// isDesktop tells whether a text can be the name of a desktop. Others are none,
// so that a name never means more in a condition than itself.
func isDesktop(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.+ ", c) >= 0:
		default:
			return false
		}
	}
	return name != ""
}

// Late tells whether there is something that is looked at when the job starts.
func (e *Entry) Late() bool {
	return e.Text("TryExec") != "" || e.Text(gnomeCondition) != "" || e.Text(kdeCondition) != ""
}

const (
	gnomeCondition = "AutostartCondition"
	kdeCondition   = "X-KDE-autostart-condition"
)

// late is decided when the job starts.
func (e *Entry) late(look Lookup) *Verdict {
	if program := e.Text("TryExec"); program != "" && look.Program != nil && !look.Program(program) {
		return e.no("TryExec", "there is no such program")
	}
	if v := e.gnome(look); v != nil {
		return v
	}
	return e.kde(look)
}

// gnome is the condition that GNOME's settings write: "if-exists FILE",
// "unless-exists FILE" or "GSettings SCHEMA KEY".
func (e *Entry) gnome(look Lookup) *Verdict {
	words := strings.Fields(e.Text(gnomeCondition))
	switch {
	case len(words) == 0:
		return nil
	case len(words) == 2 && words[0] == "if-exists":
		if look.File != nil && !look.File(words[1]) {
			return e.no(gnomeCondition, "there is no %s in the user's configuration", words[1])
		}
	case len(words) == 2 && words[0] == "unless-exists":
		if look.File != nil && look.File(words[1]) {
			return e.no(gnomeCondition, "there is %s in the user's configuration", words[1])
		}
	case len(words) == 3 && words[0] == "GSettings":
		if look.Setting == nil {
			return nil
		}
		switch value, ok := look.Setting(words[1], words[2]); {
		case !ok:
			return e.no(gnomeCondition, "the setting cannot be read")
		case value != "true":
			return e.no(gnomeCondition, "the setting is %s", value)
		}
	default:
		return e.no(gnomeCondition, "such a condition is not supported yet")
	}
	return nil
}

// kde is the condition FILE:GROUP:KEY:DEFAULT; the value that is read is a
// boolean.
func (e *Entry) kde(look Lookup) *Verdict {
	text := e.Text(kdeCondition)
	if text == "" {
		return nil
	}
	parts := strings.Split(text, ":")
	if len(parts) != 4 {
		return e.no(kdeCondition, "it is not of the form FILE:GROUP:KEY:DEFAULT")
	}
	if look.Config == nil {
		return nil
	}
	value, ok := look.Config(parts[0], parts[1], parts[2])
	from := "[" + parts[1] + "] " + parts[2] + " of " + parts[0]
	if !ok {
		value, from = parts[3], "the default of "+from
	}
	switch strings.ToLower(value) {
	case "true", "1", "yes", "on":
		return nil
	}
	return e.no(kdeCondition, "%s is '%s'", from, value)
}

// Phase is when in the beginning of a session an entry starts. All of one
// phase run before the next begins.
type Phase uint8

// The phases, in their order: those of GNOME's session, and what KDE counts
// as 0, 1 and 2. LatePhase is for entries that name another to start after.
const (
	Early Phase = iota
	PreDisplay
	Display
	Initialization
	WindowManager
	Panel
	Desktop
	Application
	LatePhase
	NumPhases
)

// String gives the last part of the name of the phase's job.
func (p Phase) String() string {
	return [...]string{"early-initialization", "pre-display-server", "display-server", "initialization",
		"window-manager", "panel", "desktop", "application", "late"}[p]
}

// Phase gives the entry's phase. One that nobody knows is Application.
func (e *Entry) Phase() Phase {
	switch e.Text("X-GNOME-Autostart-Phase") {
	case "EarlyInitialization":
		return Early
	case "PreDisplayServer":
		return PreDisplay
	case "DisplayServer":
		return Display
	case "Initialization":
		return Initialization
	case "WindowManager":
		return WindowManager
	case "Panel":
		return Panel
	case "Desktop":
		return Desktop
	}
	switch e.Text("X-KDE-autostart-phase") {
	case "0":
		return Initialization
	case "1":
		return Desktop
	}
	switch e.Text("X-KDE-autostart-after") {
	case "":
		return Application
	case "panel", "kdesktop":
		// What this meant is long in place in the phase of applications.
		return Application
	}
	return LatePhase
}

// maxDelay bounds X-GNOME-Autostart-Delay.
const maxDelay = 24 * time.Hour

// Delay is how long the entry waits after its phase has begun.
func (e *Entry) Delay() time.Duration {
	seconds, err := strconv.ParseUint(e.Text("X-GNOME-Autostart-Delay"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxDelay)
}

// Desktops takes the value of XDG_CURRENT_DESKTOP apart.
func Desktops(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ":"), func(name string) bool { return name == "" })
}
