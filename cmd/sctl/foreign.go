package main

import (
	"cmp"

	"github.com/session-init/session-init/session/job"
)

// foreign has verbs of other service managers' clients, and what to type here.
var foreign = [...]struct{ word, instead string }{
	{"logs", "sctl log JOB"},
	{"journal", "sctl log JOB"},
	{"journalctl", "sctl log JOB"},
	{"ls", "sctl list"},
	{"list-units", "sctl list"},
	{"ps", "sctl tree"},
	{"show", "sctl cat JOB has the job file, sctl why JOB the rest"},
	{"is-active", "sctl status JOB, or for a script: sctl wait --timeout=0.1 JOB running"},
	{"is-enabled", "sctl list -l marks the jobs that do not start by themselves"},
	{"daemon-reload", "job files are watched, so nothing is needed; sctl reload-configuration reads them at once"},
	{"reload-daemon", "job files are watched, so nothing is needed; sctl reload-configuration reads them at once"},
	{"daemon-reexec", "sctl re-exec"},
	{"mask", "sctl disable JOB"},
	{"unmask", "sctl enable JOB"},
	{"kill", "sctl signal JOB SIGNAL"},
	{"trigger", "sctl emit EVENT"},
	{"up", "sctl start JOB"},
	{"down", "sctl stop JOB"},
	{"reset-failed", "sctl start JOB starts it again, and counts anew"},
	{"analyze", "sctl plot"},
	{"list-timers", "there are no timers: cron can sctl start JOB"},
	{"list-dependencies", "sctl graph JOB, or sctl show-config JOB"},
	{"show-environment", "sctl list-env"},
	{"set-environment", "sctl set-env VARIABLE=VALUE"},
	{"import-environment", "sctl session begin"},
	{"revert", "sctl edit --undo JOB"},
}

// instead says of a word that is no verb what was most likely meant, as the end
// of a sentence; "" for nothing.
func instead(word string) string { return insteadOf(word, foreignVerb(word), verbNames()) }

// insteadOfStanza does so for what was looked for in the manual, a verb or the
// keywords of a stanza.
func insteadOfStanza(words string) string {
	var titles []string
	for _, s := range job.Stanzas() {
		titles = append(titles, s.Title())
		if s.Sub != "" {
			titles = append(titles, s.Name)
		}
	}
	return insteadOf(words, cmp.Or(job.Foreign(words), foreignVerb(words)), append(titles, verbNames()...))
}

func insteadOf(word, here string, names []string) string {
	if here != "" {
		return "; here: " + here
	}
	if like := near(word, names); like != "" {
		return "; " + like
	}
	return ""
}

func foreignVerb(word string) string {
	for i := range foreign {
		if foreign[i].word == word {
			return foreign[i].instead
		}
	}
	return ""
}

func verbNames() []string {
	var names []string
	for _, v := range verbTable() {
		if !v.initctlOnly {
			names = append(names, v.name)
		}
	}
	return names
}
