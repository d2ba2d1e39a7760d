package job

// Entry is what the manual says of a stanza, or of a few that belong together,
// beyond their lines in the table.
type Entry struct {
	// Section is the heading that it stands under; entries of one stand
	// together.
	Section string
	// Titles are those of the stanzas, with commas between them.
	Titles string
	// Text follows the Doc of the first. A piece in backquotes is to be typed
	// as it is, one in angle brackets stands for a value, and an empty line
	// begins a paragraph.
	Text string
	// Example is a piece of a job file.
	Example string
}

// Manual gives the entries in the order in which they are read. The daemon does
// not ask for them, and so does not hold them in memory.
func Manual() []Entry {
	out := []Entry{}
	for _, part := range [...][]Entry{manualProcesses[:], manualLifetime[:], manualSettings[:]} {
		out = append(out, part...)
	}
	return out
}

const scriptNote = "The later of an `exec` and a `script` for one process replaces the earlier."

var manualProcesses = [...]Entry{
	{"Processes", "exec, script", `The command stands as it is, up to the end of the line: its quotes are the
shell's, must balance, and only a # outside of them ends it. It is run directly when it is words and
blanks alone, else by the shell, which then replaces itself by the program, so that nothing runs behind
a && in it. A script is lines up to one that is "end script", whatever they hold; the indentation that
all of them share is removed. The shell runs with -e: the first command that fails ends it. ` + scriptNote + `

A job without a main process is a state: it is running until it is stopped.`,
		`script
    test -e "$HOME/.agent" || exit 0
    exec /usr/bin/agent --foreground
end script
`},
	{"Processes", "pre-start exec, pre-start script", `When it fails so does the job, and main does not run; post-stop does. A
"sctl stop" in it calls the start off.`,
		"pre-start exec mkdir -p \"$XDG_RUNTIME_DIR/agent\"\n"},
	{"Processes", "post-start exec, post-start script", `It runs beside main, and a failure of it is ignored.`,
		`post-start script
    until agent-ping; do sleep 0.1; done
end script
`},
	{"Processes", "pre-stop exec, pre-stop script", `Only for a job that is asked to stop, not for one that ends by itself. A
"sctl start" in it calls the stop off; a restart is not called off. A failure of it is ignored.`,
		"pre-stop exec agent --save\n"},
	{"Processes", "post-stop exec, post-stop script", `For every start of the job it runs, also after a failed pre-start and between
two runs of a job that is respawned. It sees the variables of what stopped the job.
When it fails the job has failed.`,
		"post-stop exec rm -rf \"$XDG_RUNTIME_DIR/agent\"\n"},

	{"Conditions", "start on", `See the section EVENTS. A later line, also one of an override, replaces an earlier one. The
variables of the events become the job's. Without it a job is started by hand only.`,
		"start on started dbus and (network-up or offline-mode)\n"},
	{"Conditions", "stop on", "Here the values may hold variables of the instance, such as `TTY=$TTY`. It does not keep a job from starting.",
		"start on tty-added\nstop on tty-removed TTY=$TTY\ninstance $TTY\n"},
	{"Conditions", "manual", "The order counts: a `start on` behind it counts again. In an override it is how a job is kept from starting by itself.",
		"start on login\nmanual\n"},
}

var manualLifetime = [...]Entry{
	{"Lifetime", "task", `Without it the job is a service: a start by hand, or an event, waits until it is running, and its
main is meant to stay. With it they wait until main has ended and the job is at rest. What a task leaves behind
is not ended.`,
		"task\nexec rsync -a \"$HOME/mail\" /backup\n"},
	{"Lifetime", "respawn", "Ends listed by `normal exit` are no reason to, nor is 0 for a `task`; a stop that was asked for never is. The stanzas that follow change how often and how soon, and none of them turns respawning on.",
		"respawn\nexec panel\n"},
	{"Lifetime", "linger", "For what is to run on when the user has logged out, such as a terminal multiplexer. The end of the login session does not stop the job, unless its `stop on` says so, and a session-init that a login has started does not end with the last login session but when the last instance of such a job is gone. SIGTERM, \"sctl end-session\" and the end of the machine stop it as any other; \"sctl end-session --unless-linger\", which a login hook calls at the last logout, waits for its end.",
		"linger\nexec tmux -D\n"},
	{"Lifetime", "lifetime tree", `For a program that goes into the background in a way of its own, or starts others and ends, such as a launcher or a wrapper script. When main has ended and something that it has left behind is alive, the job runs on; a stop ends what is there. When the last is gone the job ends as it would have with main, whose exit status counts. A stop, ` + "`kill mode`" + ` and ` + "`respawn`" + ` mean what they always do. Without it, what a service leaves behind is ended when its main has ended.`, "lifetime tree\nexec start-my-panel\n"},

	{"Lifetime", "respawn limit", "The time begins with the first end and does not move on with the later ones; an end after it begins another, and so does a start or restart by hand. A <COUNT> or <SECONDS> of 0 is without limit. At the limit the job has failed: its events carry `RESULT=failed PROCESS=respawn`. The waits of `respawn delay` and `respawn backoff` are not part of the time, so that a job that ends at once each time fails in the end, however long they are, and who waits for it has an answer; `unlimited` is for what is to be tried for ever.",
		"respawn\nrespawn limit 3 60\n"},
	{"Lifetime", "respawn delay", "The instance waits in the state post-stop, its goal being start, when its post-stop process is done and nothing is left of its last run; \"sctl status\" says how long yet. A stop takes effect at once, and post-stop does not run again. A start or restart by hand starts the job at once. An event of `start on` changes nothing, and a reload is refused, as there is no main.",
		"respawn\nrespawn delay 2\n"},
	{"Lifetime", "respawn backoff", "The first respawn waits for the `respawn delay`. A run that was in the state running for longer than the <SECONDS> of `respawn limit` (5 if they are 0), or a start by hand, lets the delay begin anew. A `respawn delay` longer than <MAX> is cut to it.",
		"respawn\nrespawn limit unlimited\nrespawn backoff 2 60\n"},
	{"Lifetime", "normal exit", "Statuses from 0 and names of signals, with or without SIG; several add up, those of an override too. They end respawning and are no failure. A 0 is no failure in any case, but a service is respawned after it, unless it is listed.",
		"respawn\nnormal exit 0 2 TERM\n"},

	{"Readiness", "expect, wait for", "With `none` main is ready when it runs its program. With `fork` it is when it has forked, and the child is main from then on; with `daemon` it forks twice. With `stop` it raises SIGSTOP, and is continued. `wait for` is the older spelling.\n\nFor `fork` and `daemon` main is traced until then, see ptrace(2). Threads do not count, and neither does another program that main runs in its own place before it forks, as a shell does with `exec`; one that is run after a fork ends the following. A declaration that does not fit does not hang: see `ready timeout`. A program that gains privileges by its execution would lose them and is not traced, nor is any where the kernel refuses: then the oldest process that main leaves behind, when it ends well, is main from then on, and the log says so. A process that raises SIGSTOP without having declared it, as some do that find UPSTART_JOB in their environment, is continued and named in the log.",
		"expect daemon\nexec old-daemon\n"},
	{"Readiness", "expect listen", "The first socket that listens counts, of whatever process of the job: Unix, with a name or abstract, TCP or TCP on IPv6; a connection then finds somebody. It has to be one that the job made: a socket that was there before does not count, nor does one of `start on socket`, with which `expect none` or `expect notify` fits. The job may fork as it likes: when main ends well and leaves others behind, the oldest is main, and from when one listens that one is, or its parent. A job that does not listen within 90 seconds, or `ready timeout`, has failed.\n\nThe job is not traced for it. While it starts, and only then, the kernel is asked once a millisecond what listens, after five seconds less and less often, down to once in 18. A process that hides its descriptors from its own user, as ssh-agent does, is found by connecting to its Unix sockets once. When it listens on TCP only it is found where jobs have cgroups, by the group in which the socket was made, or by a daemon that is root; elsewhere it is not, and has failed when its time is over: `expect notify`, or `expect none`, serves then.",
		"expect listen\nexec /usr/bin/agent --socket \"$XDG_RUNTIME_DIR/agent\"\n"},
	{"Readiness", "expect notify", "The job finds in NOTIFY_SOCKET a socket of its own and speaks the protocol of sd_notify(3). What comes from a process that does not belong to the job is dropped, and the log names it once. Processes are told the socket by main, post-start and pre-stop, and may all speak for main. Besides `READY=1`:\n\n`STATUS=` is what \"sctl status\" shows, with `STOPPING=1` and, until the next `READY=1`, `RELOADING=1`. `ERRNO=`, with the status, is told when the job fails. `MAINPID=` makes another process of the job its main process. `EXTEND_TIMEOUT_USEC=` puts off the end of `ready timeout` or `kill timeout`, but not of a forced stop. `WATCHDOG=1`, `WATCHDOG=trigger` and `WATCHDOG_USEC=` are for the `watchdog`. `BARRIER=1` is answered when all that was said before has been dealt with. Descriptors that come with `FDSTORE=1`, under the name of `FDNAME=`, are kept, 128 at the most and 384 of all jobs together, over ends of main and of the daemon: the next main finds them as it finds sockets, see the section EVENTS, until the instance has stopped or says `FDSTOREREMOVE=1` with the name. What is not known is ignored.\n\nA main that ends before it is ready has failed, also with status 0, unless it leaves a process behind that may say so yet, and which is main from then on. The socket stays through a restart of the daemon.",
		"expect notify\nready timeout 20\nexec notifying-daemon\n"},
	{"Readiness", "expect dbus", "The name has to be owned by a process of the job, whichever; it may fork as with `expect listen`, and the one that made the connection to the bus is main then, or its parent. A name that a stranger owns is waited for, and `sctl why` and the log say whose it is. While there is no bus it is waited for, too; which one is meant says session-init(8). The bus may be a job, too. A job that does not own the name within 90 seconds, or `ready timeout`, has failed.\n\nA job that loses the name later runs on: that is logged, and `sctl why` tells it, since a bus that is started anew takes all names with it. (systemd's Type=dbus stops the service then.)",
		"expect dbus org.example.Agent1\nexec /usr/libexec/agent\n"},
	{"Readiness", "watchdog", "It begins when main is ready, and ends when main is asked to end or says `STOPPING=1`; each `WATCHDOG=1` lets the time begin anew. Main finds it in WATCHDOG_USEC, with its pid in WATCHDOG_PID, and NOTIFY_SOCKET as with `expect notify`, which is not needed for it. The signal goes to main's process group; KILL follows at `kill timeout`. However main ends then, it has failed, whatever `normal exit` says, and is respawned if the job says so. `WATCHDOG_USEC=` changes the time until main is made again, `WATCHDOG=trigger` ends it.",
		"expect notify\nwatchdog 30\nrespawn\nexec notifying-daemon\n"},
	{"Readiness", "ready timeout", "Without it a job that forks less often than `expect` says, or does not stop itself, goes on after 90 seconds with the process that was followed last, and the log says what would have been right; when that ends well and leaves another behind, the other is followed.\n\nWhile main is waited for, it is looked now and then what it does instead: whether it has said READY=1, owns a bus name, or listens on a socket that it was not given. `sctl why` says so before the time is over, and the message says it after: `it did not say READY=1 and listens on unix:/run/x: 'expect listen' fits`.",
		"expect stop\nready timeout 20\n"},

	{"Stopping", "kill signal", "It goes to main's process group, and to the others as `kill mode` says. Names are upper case, with or without SIG, also RTMIN+1; a number up to 64 will do.",
		"kill signal INT\n"},
	{"Stopping", "kill timeout", "Then KILL goes to whatever is left. With 0 it does at once. What KILL has not ended after a second hangs in the kernel and is waited for no longer: the stop is complete without it, and it is named until it is gone.",
		"kill timeout 30\n"},
	{"Stopping", "kill mode", "With `tree` main's process group is asked first and, when main has ended, every other process of the job, whatever became of its parent, its session or its group. `group` spares those that left the group, `process` all but main; they are named in the log. What a service leaves behind when main ends by itself is ended in the same way.",
		"kill mode group\n"},
	{"Stopping", "reload signal", "It is what \"sctl reload\" sends, to main alone. It is written like that of `kill signal`.",
		"reload signal USR1\n"},
}

var manualSettings = [...]Entry{
	{"Instances and environment", "instance", "The job may then run several times, once for each name that `$KEY` and `${KEY}` make of the variables of the events or of the command that starts it. Also `${KEY-VALUE}` and `${KEY:-VALUE}`, for one that is not set, or is empty too, and `${KEY+VALUE}` and `${KEY:+VALUE}` for the opposite. A variable that is not there fails the start, not the load. A name that comes out empty is that of the one instance of other jobs.",
		"instance ${SEAT:-seat0}/$TTY\n"},
	{"Instances and environment", "env", "Values are taken as they are, nothing is expanded. Of several for one variable the last counts, and variables of events and commands are stronger than all of them.",
		"env PORT=8080\nenv GREETING=\"hello world\"\nenv DISPLAY\n"},
	{"Instances and environment", "env file", "It is read in the daemon's own file system, so that what `pre-start` writes there is found by the main process. One that cannot be read, or has a line that is no variable, fails the job. Empty lines and those that begin with a # do not count, an \"export\" before a variable neither, and a value may stand between quotes. Nothing is expanded. Of several files the later is stronger, and `env` is stronger than all of them, wherever it stands. `instance`, `export` and conditions do not see these variables.",
		"env file /etc/default/agent\n"},
	{"Instances and environment", "export", "They follow RESULT and the others in the events starting, started, stopping and stopped, with the values that the instance has.",
		"env PORT=8080\nexport PORT\n"},

	{"Output and settings of the processes", "console", "With `none` output goes nowhere, with `log` to the log file of the instance, with `output` to the terminal on which the daemon was started (that of its standard error, input or output, the first that is one), with `owner` there with input too, and as its controlling terminal unless another session has that, such as the shell's that started a user's daemon, with `pty` to the log file through a terminal made for it. Without a terminal `output` and `owner` mean `log`, with a warning. Input is the null device but for `owner`. A flag of the daemon changes the default.\n\nWith `log` the process holds the file itself, opened when it starts: output costs the daemon nothing and goes on when the daemon is gone. A log that cannot be opened keeps no job from running; its output is lost, and the daemon says so.\n\n`pty` is for programs that hold their output back unless they see a terminal. It is much slower, since the daemon copies every byte. The terminal outlives the daemon: the keeper holds it, for the 500 jobs or so that had one first, and while there is no daemon the job waits as soon as a few kilobytes are under way. Where descriptors are short a job gets the log file itself, and a warning says so. With --no-keeper it outlives an execution anew, not the daemon's death.",
		"console pty\n"},
	{"Output and settings of the processes", "log limit", "The older parts are LOG.1 and so on, the newest first. 0 0 is right for a log that another program rotates.\n\nThe older part is copied and then taken out of the front of the file, while the job goes on writing to it. A log is looked at no more often than once a second, so that a part may be up to twice as large as <SIZE>, and a job that writes faster than that keeps the newest parts only. Where the file system cannot take out a range (ext4, XFS and F2FS can), its space is given back and the file keeps its apparent size: it begins with a hole, which reads as NUL bytes. A job that does not append, because it opened /dev/stdout anew for instance, writes behind such a hole.",
		"log limit 500K 3\n"},
	{"Output and settings of the processes", "session leader", "Else it leads neither, and cannot come to own a terminal by accident.",
		"session leader\n"},
	{"Output and settings of the processes", "umask", "",
		"umask 0077\n"},
	{"Output and settings of the processes", "nice", "Without it that of the daemon holds. Below that of the daemon takes privileges.",
		"nice 10\n"},
	{"Output and settings of the processes", "oom score, oom", "`never` is -1000. `oom` without `score` takes the older scale, from -17 to 15, and is kept as a score; of both the last holds. Below that of the daemon takes privileges.",
		"oom score 500\n"},
	{"Output and settings of the processes", "limit", "<RESOURCE> is one of as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending and stack. One line counts for each: the last. A limit that cannot be set fails the job.",
		"limit nofile 4096 unlimited\nlimit core 0 0\n"},
	{"Output and settings of the processes", "chdir", "It is taken inside of `chroot`. Without it that is the daemon's. Nothing is expanded. One that cannot be entered fails the job.",
		"chdir /var/lib/agent\n"},
	{"Output and settings of the processes", "chroot", "For all processes of the job, which need their shell and programs in there. It takes privileges.",
		"chroot /srv/jail\n"},
	{"Output and settings of the processes", "setuid", "For all processes of the job. A user that does not exist fails the job, not the load.",
		"setuid nobody\n"},
	{"Output and settings of the processes", "setgid", "Without it that is the group of the user of `setuid`; alone it keeps the user.",
		"setgid audio\n"},

	{"Documentation", "description", "", "description \"message bus\"\n"},
	{"Documentation", "author", "", "author \"A. Hacker <a@example.org>\"\n"},
	{"Documentation", "version", "", "version 1.2\n"},
	{"Documentation", "usage", "\"sctl usage\" shows it.", "usage \"getty TTY=NAME\"\n"},
	{"Documentation", "emits", "The checks of \"sctl check-config\" believe it: an event that no job is said to emit is one that may never come.",
		"emits backup-done\n"},

	{"Without effect", "apparmor load, apparmor switch, cgroup, debug", "So that files with them load; the log says once that they do nothing here, and so does \"sctl check-config\".",
		"cgroup cpu\napparmor switch /usr/bin/agent\n"},
}
