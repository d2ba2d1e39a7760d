package job

import "strings"

// foreign has words of other service managers' files, and what is said here
// instead. Those of systemd are as its units have them, dinit's in small letters.
var foreign = [...]struct{ word, instead string }{
	{"ExecStart", "'exec' is the main process"},
	{"ExecStartPre", "'pre-start exec' or 'pre-start script', of which a job has one"},
	{"ExecStartPost", "'post-start exec' or 'post-start script', of which a job has one"},
	{"ExecStop", "'pre-stop exec' runs before 'kill signal' is sent"},
	{"ExecStopPost", "'post-stop exec' or 'post-stop script', of which a job has one"},
	{"ExecReload", "'reload signal' is what 'sctl reload' sends"},
	{"Type", "'expect' says when the job is ready: 'expect notify', 'expect dbus NAME', 'expect fork'; 'task' is oneshot"},
	{"oneshot", "'task' is done when it has run; a job with 'pre-start' and no main process is running until it is stopped"},
	{"forking", "'expect fork' follows one fork, 'expect daemon' two"},
	{"RemainAfterExit", "a job with 'pre-start' and no main process is running until it is stopped"},
	{"Restart", "'respawn', and 'normal exit' for the ends after which not"},
	{"RestartSec", "'respawn delay'"},
	{"StartLimitBurst", "'respawn limit'"},
	{"StartLimitIntervalSec", "'respawn limit'"},
	{"Environment", "'env', one variable each"},
	{"EnvironmentFile", "'env file'"},
	{"WorkingDirectory", "'chdir'"},
	{"User", "'setuid'"},
	{"Group", "'setgid'"},
	{"After", "'start on started JOB'; what has no such condition waits for nobody"},
	{"Before", "'start on starting JOB' holds that job up until this one runs"},
	{"Requires", "'start on started JOB' and 'stop on stopping JOB'; a start pulls nothing in"},
	{"Wants", "'start on started JOB'; a start pulls nothing in"},
	{"BindsTo", "'start on started JOB' and 'stop on stopping JOB'"},
	{"PartOf", "'stop on stopping JOB'"},
	{"WantedBy", "'start on startup', or 'start on session-start' for what needs a display"},
	{"ListenStream", "'start on socket PROTO=…'"},
	{"TimeoutStopSec", "'kill timeout'"},
	{"TimeoutStartSec", "'ready timeout'"},
	{"WatchdogSec", "'watchdog'"},
	{"MemoryMax", "there is nothing of the kind; 'limit' has the limits of setrlimit(2)"},
	{"OnCalendar", "nothing here tells the time: cron can, by 'sctl start JOB'"},
	{"timer", "nothing here tells the time: cron can, by 'sctl start JOB'"},
	{"OnFailure", "'start on stopped JOB RESULT=failed'"},
	{"command", "'exec' is the main process"},
	{"stop-command", "'pre-stop exec' runs before 'kill signal' is sent"},
	{"type", "'exec' alone is a process, with 'expect fork' a bgprocess; 'pre-start' and 'post-stop' without it are scripted"},
	{"restart", "'respawn', and 'normal exit' for the ends after which not"},
	{"smooth-recovery", "'respawn'"},
	{"depends-on", "'start on started JOB' and 'stop on stopping JOB'; a start pulls nothing in"},
	{"depends-ms", "'start on started JOB'; a start pulls nothing in"},
	{"waits-for", "'start on started JOB'; a start pulls nothing in"},
	{"ready-notification", "'expect notify'"},
	{"env-file", "'env file'"},
	{"working-dir", "'chdir'"},
	{"run-as", "'setuid'"},
	{"logfile", "'console log' is the default, 'log limit' its size"},
}

// Foreign says what a word of another service manager's files is in a job file;
// "" when it is none. A word that is typed may be in small letters.
func Foreign(word string) string {
	if instead := foreignKey(word); instead != "" {
		return instead
	}
	for i := range foreign {
		if strings.EqualFold(foreign[i].word, word) {
			return foreign[i].instead
		}
	}
	return ""
}

func foreignKey(word string) string {
	for i := range foreign {
		if foreign[i].word == word {
			return foreign[i].instead
		}
	}
	return ""
}

// foreigner says whose file a text is that begins a line with this word, which
// is in brackets; "" for nobody's.
func foreigner(word string) string {
	switch {
	case !strings.HasPrefix(word, "["):
	case word == "[Desktop":
		return "a desktop entry, which belongs into an 'autostart' directory"
	case strings.HasSuffix(word, "]"):
		return "a unit of systemd, and no job file: session-init-job(5) has the stanzas"
	}
	return ""
}
