package desktop

import (
	"strings"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	look := Lookup{
		Program: func(name string) bool { return name == "there" || name == "/bin/there" },
		File:    func(name string) bool { return name == "done" },
		Config: func(file, group, key string) (string, bool) {
			return "true", file == "rc" && group == "User Interface" && key == "AutoStart"
		},
		Setting: func(schema, key string) (string, bool) { return key, schema == "org.x" },
	}
	for _, test := range []struct {
		desktops, keys, key string
		starts, gone        bool
	}{
		{"", "", "", true, false},
		{"", "Hidden=true", "Hidden", false, true},
		{"", "Hidden=false", "", true, false},
		{"", "X-GNOME-Autostart-enabled=false", "X-GNOME-Autostart-enabled", false, false},
		{"", "X-GNOME-Autostart-enabled=true", "", true, false},
		{"", "X-systemd-skip=true\nX-GNOME-HiddenUnderSystemd=true\nNoDisplay=true", "", true, false},
		{"", "OnlyShowIn=GNOME;", "OnlyShowIn", false, false},
		{"sway", "OnlyShowIn=GNOME;", "OnlyShowIn", false, false},
		{"GNOME", "OnlyShowIn=GNOME;MATE", "OnlyShowIn", true, false},
		{"ubuntu:GNOME", "OnlyShowIn=GNOME", "OnlyShowIn", true, false},
		{"GNOME-Classic", "OnlyShowIn=GNOME", "OnlyShowIn", false, false},
		{"sway", "OnlyShowIn=", "", true, false},
		{"", "NotShowIn=GNOME", "", true, false},
		{"sway:wlroots", "NotShowIn=GNOME;KDE", "", true, false},
		{"a:KDE", "NotShowIn=GNOME;KDE", "NotShowIn", false, false},
		{"A:B", "OnlyShowIn=A\nNotShowIn=B", "NotShowIn", false, false},
		{"", "TryExec=there", "", true, false},
		{"", "TryExec=/bin/there", "", true, false},
		{"", "TryExec=gone", "TryExec", false, false},
		{"", "AutostartCondition=if-exists done", "", true, false},
		{"", "AutostartCondition=if-exists other", "AutostartCondition", false, false},
		{"", "AutostartCondition=unless-exists done", "AutostartCondition", false, false},
		{"", "AutostartCondition=unless-exists other", "", true, false},
		{"", "AutostartCondition=GSettings org.x true", "", true, false},
		{"", "AutostartCondition=GSettings org.x false", "AutostartCondition", false, false},
		{"", "AutostartCondition=GSettings org.y true", "AutostartCondition", false, false},
		{"", "AutostartCondition=GNOME3 if-session gnome", "AutostartCondition", false, false},
		{"", "X-KDE-autostart-condition=rc:User Interface:AutoStart:false", "", true, false},
		{"", "X-KDE-autostart-condition=rc:Other:AutoStart:false", "X-KDE-autostart-condition", false, false},
		{"", "X-KDE-autostart-condition=rc:Other:AutoStart:true", "", true, false},
		{"", "X-KDE-autostart-condition=rc:Other", "X-KDE-autostart-condition", false, false},
	} {
		e := entry(t, "e", "Type=Application\nExec=x\n"+test.keys+"\n")
		look.Desktops = Desktops(test.desktops)
		v := e.Verdict(look)
		if v.Starts != test.starts || v.Gone != test.gone || v.Key != test.key || v.Why == "" {
			t.Errorf("Verdict(%q) in %q = %+v; want %t %t %q", test.keys, test.desktops, v, test.starts, test.gone, test.key)
		}
	}
	if v := entry(t, "e", "Type=Link\n").Verdict(Lookup{}); v.Starts || !v.Gone || v.Key != "Type" {
		t.Errorf("Verdict of a link = %+v; want it gone by Type", v)
	}
}

func TestPhaseAndDelay(t *testing.T) {
	for keys, want := range map[string]Phase{
		"": Application, "X-GNOME-Autostart-Phase=Initialization": Initialization, "X-GNOME-Autostart-Phase=Panel": Panel,
		"X-GNOME-Autostart-Phase=EarlyInitialization": Early, "X-GNOME-Autostart-Phase=PreDisplayServer": PreDisplay,
		"X-GNOME-Autostart-Phase=DisplayServer": Display, "X-GNOME-Autostart-Phase=WindowManager": WindowManager,
		"X-GNOME-Autostart-Phase=Desktop": Desktop, "X-GNOME-Autostart-Phase=Application": Application, "X-GNOME-Autostart-Phase=New": Application,
		"X-KDE-autostart-phase=0": Initialization, "X-KDE-autostart-phase=1": Desktop, "X-KDE-autostart-phase=2": Application,
		"X-KDE-autostart-after=panel": Application, "X-KDE-autostart-after=other": LatePhase,
	} {
		if got := entry(t, "e", keys+"\n").Phase(); got != want {
			t.Errorf("Phase of %q = %s; want %s", keys, got, want)
		}
	}
	for value, want := range map[string]time.Duration{"": 0, "30": 30 * time.Second, "-1": 0, "soon": 0, "99999999": maxDelay} {
		if got := entry(t, "e", "X-GNOME-Autostart-Delay="+value+"\n").Delay(); got != want {
			t.Errorf("Delay of %q = %s; want %s", value, got, want)
		}
	}
}

func TestPhaseNames(t *testing.T) {
	seen := make(map[string]bool)
	for p := range NumPhases {
		if p.String() == "" || seen[p.String()] || strings.ContainsAny(p.String(), " /") {
			t.Errorf("phase %d has the name %q", p, p)
		}
		seen[p.String()] = true
	}
}
