package main

import (
	"testing"
)

// What the founding document prints.
func TestFoundingDocument(t *testing.T) {
	w := newWorld(t,
		"apache", "exec apache",
		"getty", "instance $TTY\nenv SPEED=38400\nexec /sbin/getty $SPEED $TTY",
		"sobby", "respawn\nexec sobby")
	w.play(t, []step{
		{"start apache", 0, "apache running (start), process 1001\n", ""},
		{"start getty TTY=tty1", 0, "getty (tty1) running (start), process 1002\n", ""},
		{"start getty TTY=tty2", 0, "getty (tty2) running (start), process 1003\n", ""},
		{"start getty TTY=tty1", 1, "", "start: cannot start 'getty': Already running\n"},
		{"sctl list", 0, "apache running (start), process 1001\n" +
			"getty (tty1) running (start), process 1002\n" +
			"getty (tty2) running (start), process 1003\n" +
			"sobby waiting (stop)\n", ""},
		{"start sobby", 0, "sobby running (start), process 1004\n", ""},
		{"status sobby", 0, "sobby running (start), process 1004\n", ""},
		{"start sobby", 1, "", "start: cannot start 'sobby': Already running\n"},
		{"sctl start sobby", 1, "", "start: cannot start 'sobby': Already running\n"},
		{"stop sobby", 0, "sobby waiting (stop)\n", ""},
		{"stop getty TTY=tty2", 0, "getty (tty2) waiting (stop)\n", ""},
		{"emit interface-up IFACE=eth0 ADDRFAM=Ethernet ADDRESS=01:23:45:67:89:0a", 0, "", ""},
	})
}

// TestForce: a hook that hangs is ended, all processes are listed, and what a
// task leaves behind is named.
func TestForce(t *testing.T) {
	w := newWorld(t, "hooked", "exec x\npost-start exec hang", "rag", "task\nexec litter")
	w.play(t, []step{
		{"sctl start --no-wait hooked", 0, "hooked post-start (start), process 1001\n\tpost-start process 1002\n", ""},
		{"sctl status --processes hooked", 0, "hooked post-start (start), process 1001\n\tpost-start process 1002\n" +
			"\tprocess 4711 (/bin/hooked -x)\n\tprocess 4712 (sleep 5)\n", ""},
		{"sctl stop --force hooked", 0, "hooked waiting (stop)\n", ""},
		{"sctl status --processes hooked", 0, "hooked waiting (stop)\n", ""},
		{"sctl stop --force hooked", 1, "", "stop: cannot stop 'hooked': Not running\n"},
		{"sctl start --force hooked", 2, "", "start: --force is no option of start\n*"},
		{"sctl start rag", 0, "rag waiting (stop)\n", ""},
		{"sctl status rag", 0, "rag waiting (stop)\n\tleft behind: process 4713 (rag?)\n", ""},
	})
}

// TestRespawning: what waits for its respawn says so, and how long yet.
func TestRespawning(t *testing.T) {
	w := newWorld(t, "svc", "respawn\nrespawn delay 60\nexec x", "tty", "instance $TTY\nrespawn\nrespawn delay 1\nexec x")
	w.play(t, []step{
		{"sctl start svc", 0, "svc running (start), process 1001\n", ""},
		{"sctl status svc", 0, "svc running (start), process 1001\n", ""},
		{"sctl reload svc", 0, "", ""}, // the make-believe process dies of it
		{"sctl status svc", 0, "svc post-stop (start)\n\trespawning in 60 seconds\n", ""},
		{"sctl list", 0, "svc post-stop (start)\ntty waiting (stop)\n", ""},
		{"initctl status svc", 0, "svc start/post-stop\n", ""},
		{"sctl reload svc", 1, "", "reload: cannot reload 'svc': Not running: respawning in 60 seconds\n"},
		{"initctl reload svc", 1, "", "initctl: Job is not running: svc\n"},
		{"sctl start svc", 0, "svc running (start), process 1002\n", ""},
		{"sctl start svc", 1, "", "start: cannot start 'svc': Already running\n"},
		{"sctl reload svc", 0, "", ""},
		{"sctl stop svc", 0, "svc waiting (stop)\n", ""},
		{"sctl start tty TTY=1", 0, "tty (1) running (start), process 1003\n", ""},
		{"sctl reload tty TTY=1", 0, "", ""},
		{"sctl status tty TTY=1", 0, "tty (1) post-stop (start)\n\trespawning in 1 second\n", ""},
	})
}

func TestJobVerbs(t *testing.T) {
	w := newWorld(t,
		"bad", "pre-start exec exit 1\nexec bad",
		"badstop", "exec x\npost-stop exec exit 3",
		"dir/svc", "exec svc",
		"event", "start on ev\nexec missing",
		"held", "exec x\npost-start exec hang",
		"hooked", "exec x\npost-start exec hang",
		"nomain", "pre-start exec exit 0",
		"task", "task\nexec exit 0",
		"tty", "instance $TTY\nexec tty")
	w.play(t, []step{
		{"sctl start dir/svc", 0, "dir/svc running (start), process 1001\n", ""},
		{"sctl restart dir/svc", 0, "dir/svc running (start), process 1002\n", ""},
		{"sctl reload dir/svc", 0, "", ""}, // the make-believe process dies of it
		{"sctl status dir/svc", 0, "dir/svc waiting (stop)\n\tlast failure: main process killed by HUP signal\n", ""},
		{"sctl stop dir/svc", 1, "", "stop: cannot stop 'dir/svc': Not running\n"},
		{"sctl restart dir/svc", 1, "", "restart: cannot restart 'dir/svc': Not running\n"},
		{"sctl reload dir/svc", 1, "", "reload: cannot reload 'dir/svc': Not running\n"},

		{"sctl start nope", 1, "", "start: cannot start 'nope': Unknown job\n"},
		{"sctl stop nope", 1, "", "stop: cannot stop 'nope': Unknown job\n"},
		{"sctl restart nope", 1, "", "restart: cannot restart 'nope': Unknown job\n"},
		{"sctl reload nope", 1, "", "reload: cannot reload 'nope': Unknown job\n"},
		{"sctl status nope", 1, "", "status: cannot show 'nope': Unknown job\n"},
		{"sctl status nope A=1", 1, "", "status: cannot show 'nope': Unknown job\n"},
		{"sctl usage nope", 1, "", "usage: cannot show the usage of 'nope': Unknown job\n"},
		{"sctl show-config nope", 1, "", "show-config: cannot show the configuration of 'nope': Unknown job\n"},

		{"sctl start task", 0, "task waiting (stop)\n", ""},
		{"sctl start bad", 1, "", "start: cannot start 'bad': Job failed to start: pre-start process terminated with status 1\n"},
		{"sctl start badstop", 0, "badstop running (start), process 1005\n", ""},
		{"sctl stop badstop", 1, "", "stop: cannot stop 'badstop': Job failed while stopping: post-stop process terminated with status 3\n"},
		{"sctl emit ev", 1, "", "emit: cannot emit 'ev': Event failed\n"},
		{"sctl emit --no-wait ev", 0, "", ""},
		{"sctl emit other A=1", 0, "", ""},

		{"sctl start tty", 1, "", "start: cannot start 'tty': Unknown parameter: TTY\n"},
		{"sctl status tty", 0, "tty waiting (stop)\n", ""},
		{"sctl start tty TTY=b", 0, "tty (b) running (start), process 1009\n", ""},
		{"sctl start tty TTY=a", 0, "tty (a) running (start), process 1010\n", ""},
		{"sctl status tty", 0, "tty (a) running (start), process 1010\ntty (b) running (start), process 1009\n", ""},
		{"sctl status tty TTY=b", 0, "tty (b) running (start), process 1009\n", ""},
		{"sctl status tty TTY=c", 1, "", "status: cannot show 'tty': Not running\n"},
		{"sctl -q status tty TTY=b", 0, "", ""},
		{"sctl --quiet stop tty TTY=b", 0, "", ""},

		{"sctl start --no-wait hooked", 0, "hooked post-start (start), process 1011\n\tpost-start process 1012\n", ""},
		// Whether it was asked for by then is a matter of luck.
		{"sctl stop --timeout 0.02 hooked", 4, "", "stop: timed out after 20ms of waiting for 'hooked' to stop\n"},
		{"sctl start --no-wait held", 0, "held post-start (start), process 1013\n\tpost-start process 1014\n", ""},
		{"sctl stop --no-wait held", 0, "held post-start (stop), process 1013\n\tpost-start process 1014\n", ""},
		{"sctl stop held", 1, "", "stop: cannot stop 'held': Already stopping\n"},
		{"sctl start nomain", 0, "nomain running (start)\n", ""},
		{"sctl reload nomain", 1, "", "reload: cannot reload 'nomain': Not running\n"},

		{"sctl start nomain SURPLUS", 2, "", "start: 'SURPLUS' is not KEY=VALUE\nusage: sctl start [OPTION...] JOB [KEY=VALUE...]\n"},
		{"sctl emit ev SURPLUS", 2, "", "emit: 'SURPLUS' is not KEY=VALUE\nusage: sctl emit [OPTION...] EVENT [KEY=VALUE...]\n"},
	})
}

// A process of a job may leave its job's name out, and then never waits.
func TestOwnJob(t *testing.T) {
	w := newWorld(t,
		"svc", "instance $N\nexec svc\npre-stop exec hang",
		"start-hang", "pre-start exec hang\nexec x",
		"other", "start on ev\npre-start exec hang\nexec x")
	w.play(t, []step{
		{"sctl start svc N=1", 0, "svc (1) running (start), process 1001\n", ""},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ sctl status", 0, "svc (1) running (start), process 1001\n", ""},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ initctl status", 0, "svc (1) start/running, process 1001\n", ""},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ stop", 0,
			"svc (1) pre-stop (stop), process 1001\n\tpre-stop process 1002\n", ""},
		// A pre-stop process vetoes the stop.
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ start", 0,
			"svc (1) pre-stop (start), process 1001\n\tpre-stop process 1002\n", ""},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ start", 1, "", "start: cannot start 'svc': Already running\n"},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=2 $ stop", 1, "", "stop: cannot stop 'svc': Not running\n"},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=2 $ initctl stop", 1, "", "initctl: Unknown instance: *"},
		{"UPSTART_JOB=gone UPSTART_INSTANCE= $ restart", 1, "", "restart: cannot restart 'gone': Unknown job\n"},
		{"UPSTART_JOB=svc $ stop", 2, "", "stop: missing job name\nusage: stop [OPTION...] JOB [KEY=VALUE...]\n"},
		// A named job is as for anybody else; an event is not waited for.
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ start start-hang --no-wait", 0,
			"start-hang pre-start (start)\n\tpre-start process 1003\n", ""},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ emit ev", 0, "", ""},
		{"UPSTART_JOB=svc UPSTART_INSTANCE=1 $ sctl reload", 0, "", ""},
	})
}

func TestInitctl(t *testing.T) {
	w := newWorld(t,
		"bad", "pre-start exec exit 1\nexec bad",
		"hooked", "exec x\npost-start exec hang",
		"prestart", "pre-start exec hang\nexec x",
		"sobby", "exec sobby",
		"task", "task\nexec exit 0",
		"tty", "instance $TTY\nexec tty")
	w.play(t, []step{
		{"initctl start sobby", 0, "sobby start/running, process 1001\n", ""},
		{"initctl start sobby", 1, "", "initctl: Job is already running: sobby\n"},
		{"initctl status sobby", 0, "sobby start/running, process 1001\n", ""},
		{"initctl restart sobby", 0, "sobby start/running, process 1002\n", ""},
		{"initctl stop sobby", 0, "sobby stop/waiting\n", ""},
		{"initctl status sobby", 0, "sobby stop/waiting\n", ""},
		{"initctl stop sobby", 1, "", "initctl: Unknown instance: *"},
		{"initctl start nope", 1, "", "initctl: Unknown job: nope\n"},
		{"initctl status nope", 1, "", "initctl: Unknown job: nope\n"},
		{"initctl start bad", 1, "", "initctl: Job failed to start\n"},
		{"initctl start task", 0, "task stop/waiting\n", ""},
		{"initctl start tty TTY=tty1", 0, "tty (tty1) start/running, process 1005\n", ""},
		{"initctl status tty", 1, "", "initctl: Unknown parameter: TTY\n"},
		{"initctl status tty TTY=tty2", 1, "", "initctl: Unknown instance: *"},
		{"initctl stop tty TTY=tty1", 0, "tty stop/waiting\n", ""},
		{"initctl start -n hooked", 0, "hooked start/post-start, process 1006\n\tpost-start process 1007\n", ""},
		{"initctl start --no-wait prestart", 0, "prestart start/pre-start, process 1008\n", ""},
		{"initctl list", 0, "bad stop/waiting\nhooked start/post-start, process 1006\n\tpost-start process 1007\n" +
			"prestart start/pre-start, process 1008\nsobby stop/waiting\ntask stop/waiting\ntty stop/waiting\n", ""},
		{"initctl -q list", 0, "", ""},
		{"initctl emit ev A=1", 0, "", ""},
		{"initctl emit ev A", 1, "", "initctl: Env must be KEY=VALUE pairs*"},
		{"initctl version", 0, "session-init TEST\n", ""},
		{"initctl start", 1, "", "initctl: missing job name\nTry `initctl --help' for more information.\n"},
		{"initctl emit", 1, "", "initctl: missing event name\nTry `initctl --help' for more information.\n"},
		{"initctl", 1, "", "initctl: missing command\nTry `initctl --help' for more information.\n"},
		{"initctl nope", 1, "", "initctl: invalid command: nope\nTry `initctl --help' for more information.\n"},
		{"initctl --nope list", 1, "", "initctl: invalid option: --nope\nTry `initctl --help' for more information.\n"},
		{"initctl -x list", 1, "", "initctl: invalid option: -x\nTry `initctl --help' for more information.\n"},
		{"initctl --dest", 1, "", "initctl: missing argument: --dest\nTry `initctl --help' for more information.\n"},
		{"initctl --dest a.b list", 1, "", "initctl: --dest given without --system\nTry `initctl --help' for more information.\n"},
		{"initctl notify-disk-writeable", 0, "", ""},
		{"initctl --timeout 1 list", 1, "", "initctl: invalid option: --timeout\nTry `initctl --help' for more information.\n"},
	})
}
