package main

// verb is a line of the table of verbs.
type verb struct {
	name string
	args string // what it takes, for the usage line
	help string // one line
	// group is the heading under which initctl lists it; "" is the last.
	group string
	// max is how many arguments it takes; -1 is any number.
	max         int
	initctlOnly bool
	run         func(*command) error
}

// verbs holds every verb that exists. The linker lays it out, so that a command
// does not make it anew. The verb without a function is help, which reads it.
var verbs = [...]verb{
	{"start", "JOB [KEY=VALUE...]", "start a job and wait until it runs; a task: until it is done", "Job", -1, false, startJob},
	{"stop", "JOB [KEY=VALUE...]", "stop a job and wait until it has stopped", "Job", -1, false, stopJob},
	{"restart", "JOB [KEY=VALUE...]", "stop a job that runs and start it again", "Job", -1, false, restartJob},
	{"reload", "JOB [KEY=VALUE...]", "send the main process of a job its reload signal", "Job", -1, false, reloadJob},
	{"status", "JOB [KEY=VALUE...]", "show the goal, the state and the processes of a job", "Job", -1, false, showStatus},
	{"list", "", "show the status of every job", "Job", 0, false, listJobs},
	{"signal", "JOB SIGNAL [KEY=VALUE...]", "send a signal to the main process of a job", "Job", -1, false, signalJob},
	{"why", "JOB|EVENT [INSTANCE|KEY=VALUE...]", "say why a job runs or does not, or who waits for an event", "Job", -1, false, showWhy},
	{"tree", "[JOB...]", "show the processes of jobs, each below the one that has made it", "Job", -1, false, showTree},
	{"log", "JOB...", "show what jobs have printed", "Job", -1, false, showLog},
	{"run", "CMD [ARGUMENT...]", "run a command as a job that is gone when it ends", "Job", -1, false, runCommand},
	{"wait", "JOB|EVENT [STATE|EVENT] [KEY=VALUE...]", "wait until a job is in a state, or until an event comes", "Event", -1, false, waitFor},
	{"monitor", "[JOB|EVENT...]", "show events and states as they come", "Event", -1, false, monitor},
	{"emit", "EVENT [KEY=VALUE...]", "emit an event and wait until what it started or stopped is done", "Event", -1, false, emitEvent},
	{"simulate", "emit|start|stop|restart|edit EVENT|JOB|FILE [KEY=VALUE...]", "show what would come of it, and do nothing", "Event", -1, false, simulate},
	{"version", "", "show the version of the session-init that runs", "", 0, false, showVersion},
	{"log-priority", "[PRIORITY]", "show or change what is logged: debug, info, message, warn, error, fatal", "", 1, false, logPriority},
	{"reload-configuration", "", "read all job files again", "", 0, false, reloadConfiguration},
	{"show-config", "[JOB]", "show what jobs emit, and what starts and stops them", "", 1, false, showConfig},
	{"graph", "[JOB...]", "draw who starts and stops whom, as DOT or SVG", "", -1, false, showGraph},
	{"plot", "", "show how the start of the session went, as a chart or a list", "", 0, false, plot},
	{"cat", "JOB", "show the job file that is in force, its override applied, and where each line comes from", "", 1, false, catJob},
	{"check-config", "[FILE|JOB|DIR...]", "look for mistakes in job files, without a daemon", "", -1, false, checkConfig},
	{"new", "NAME -- CMD [ARGUMENT...]", "write a job file that runs a command", "", -1, false, newJob},
	{"edit", "JOB", "change a job by an override, or its own file, in an editor", "", 1, false, editJob},
	{"enable", "JOB...", "let jobs start by themselves", "", -1, false, enableJob},
	{"disable", "JOB...", "keep jobs from starting by themselves", "", -1, false, disableJob},
	{"usage", "JOB", "show how a job wants to be started", "", 1, false, showUsage},
	{"get-env", "VARIABLE", "show a variable of the environment of jobs", "Environment", 1, false, getEnv},
	{"list-env", "", "show all variables of the environment of jobs", "Environment", 0, false, listEnv},
	{"set-env", "VARIABLE[=VALUE]...", "set variables in the environment of jobs", "Environment", -1, false, setEnv},
	{"unset-env", "VARIABLE...", "remove variables from the environment of jobs", "Environment", -1, false, unsetEnv},
	{"reset-env", "", "put the environment of jobs back to what it was at first", "Environment", 0, false, resetEnv},
	{"env", "[VARIABLE]", "show the environment that jobs of this login session begin with, or one variable of it", "Environment", 1, false, showEnv},
	{"session", "begin|end|list|show [ID]", "give this login session its display, end it, or show which there are", "", 2, false, session},
	{"autostart", "[JOB|FILE...]", "say which desktop entries start with a session, and what decides that", "", -1, false, showAutostart},
	{"list-sessions", "", "show the pid and the address of every session-init of this user", "", 0, false, listSessions},
	{"notify-dbus-address", "[ADDRESS]", "say where the session bus is; without ADDRESS, what DBUS_STARTER_ADDRESS or DBUS_SESSION_BUS_ADDRESS says", "", 1, false, notifyBus},
	{"notify-cgroup-manager-address", "ADDRESS", "say where cgmanager is, which session-init does not use", "", 1, true, notifyCGroupManager},
	{"notify-disk-writeable", "", "have the logs of the machine go to the disk from now on", "", 0, false, notifyDisk},
	{"re-exec", "", "execute session-init anew, after an upgrade; nothing that runs notices", "", 0, false, reExec},
	{"end-session", "", "stop all jobs and end session-init", "", 0, false, endSession},
	{"shutdown", "[-h|-r] TIME [ARGUMENT...]", "end the machine at now, +MINUTES or HH:MM: switch it off (-h, -P), halt it, start it anew (-r), or go to runlevel 1; -c takes it back, -k only tells who is logged in", "", -1, false, shutDown},
	{"halt", "[-f] [-p]", "halt the machine; -f: without stopping jobs first", "", -1, false, haltMachine},
	{"poweroff", "[-f]", "switch the machine off; -f: without stopping jobs first", "", -1, false, haltMachine},
	{"reboot", "[-f]", "start the machine anew; -f: without stopping jobs first", "", -1, false, haltMachine},
	{"telinit", "[-e KEY=VALUE] LEVEL", "change the runlevel of the machine (0 to 6, S), read the job files again (Q), or re-exec (U)", "", -1, false, telinit},
	{"runlevel", "[FILE]", "show the runlevel before and the one that is, N for none", "", -1, false, showRunlevel},
	{"completion", "bash|zsh|fish", "print the script that makes a shell complete command lines", "", 1, false, showCompletion},
	{"help", "[VERB|STANZA...]", "show this list, what a verb takes, or what a stanza of a job file means", "", -1, false, nil},
}

// verbTable gives every verb that exists, to be read only.
func verbTable() []verb { return verbs[:] }

func findVerb(name string) *verb {
	for i := range verbs {
		if verbs[i].name == name {
			return &verbs[i]
		}
	}
	return nil
}
