package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// figures are what a boot to the login took.
type figures struct {
	// On the machine's clock since its beginning: when the kernel handed over to the
	// first process, and when the getty began that asked for a name. The tick of the
	// second is 10 ms.
	handOver, getty time.Duration
	// Processor time, as the machine's kernel counts it: of the first process and
	// of the daemon below it, and of all there is since the kernel began.
	first, daemon, all time.Duration
	// Memory, shared pages divided by those who share them, in kB.
	firstPSS, daemonPSS int
}

// results are the figures of the boots.
type results struct{ sysvinit, sessionInit figures }

// tick is how the kernel counts for /proc: USER_HZ.
const tick = 10 * time.Millisecond

// daemonPid is the command that finds the daemon below the first process.
const daemonPid = "pgrep -P 1 -x session-init"

// readFigures reads them in the shell of the machine. Its parent is the getty, by
// now the program login.
func readFigures(m *machine) (f figures, err error) {
	text, err := m.shell("read -r cpu </proc/stat; echo \"$cpu\"; echo \"getty $(cut -d ' ' -f 22 /proc/$PPID/stat)\"; " +
		"for p in 1 $(" + daemonPid + "); do read -r stat </proc/$p/stat; echo \"$stat\"; grep ^Pss: /proc/$p/smaps_rollup; done")
	if err != nil {
		return f, err
	}
	return parseFigures(text)
}

// parseFigures reads lines of /proc/stat, /proc/PID/stat and smaps_rollup; see
// proc(5). The first process comes first, and what comes then is the daemon.
func parseFigures(text string) (f figures, err error) {
	processes := 0
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) > 8 && fields[0] == "cpu":
			// user nice system, not idle iowait, irq softirq.
			for _, at := range []int{1, 2, 3, 6, 7} {
				f.all += ticks(fields[at])
			}
		case len(fields) == 2 && fields[0] == "getty":
			f.getty = ticks(fields[1])
		case len(fields) == 3 && fields[0] == "Pss:":
			kB, _ := strconv.Atoi(fields[1])
			if processes == 1 {
				f.firstPSS = kB
			} else {
				f.daemonPSS = kB
			}
		case strings.Contains(line, ") "):
			// The name may have blanks; utime and stime are the 14th and 15th.
			if fields = strings.Fields(line[strings.LastIndex(line, ") ")+2:]); len(fields) < 13 {
				continue
			}
			processes++
			used := ticks(fields[11]) + ticks(fields[12])
			if processes == 1 {
				f.first = used
			} else {
				f.daemon = used
			}
		}
	}
	if processes == 0 || f.all == 0 || f.firstPSS == 0 || f.getty == 0 {
		return f, fmt.Errorf("cannot read figures in %q", text)
	}
	return f, nil
}

func ticks(text string) time.Duration {
	n, _ := strconv.Atoi(text)
	return time.Duration(n) * tick
}

// seconds reads a time of the kernel's log.
func seconds(text string) time.Duration {
	n, _ := strconv.ParseFloat(text, 64)
	return time.Duration(n * float64(time.Second))
}

// toPrompt is how long the first process took until there was a login.
func (f figures) toPrompt() time.Duration { return f.getty - f.handOver }

// kernelLimit is how long an emulated kernel may take to its first process.
const kernelLimit = 4 * time.Second

// check tells what does not hold of the figures. They are compared when the
// processor counts instructions: else they say how busy this computer is.
func (r *results) check() error {
	ours, theirs := r.sessionInit, r.sysvinit
	if ours.handOver >= kernelLimit {
		return fmt.Errorf("the kernel took %v to the first process; want less than %v", ours.handOver, kernelLimit)
	}
	// Two boots of the same differ by a few of the ticks that the kernel counts in.
	if theirs.all > 0 && ours.all > theirs.all+theirs.all/50 {
		return fmt.Errorf("the boot took %v of the processor, with sysvinit %v; want no more", ours.all, theirs.all)
	}
	return nil
}

// tell prints the figures there are. The last line is that of session-init.
func (r *results) tell(out io.Writer) {
	if f := r.sysvinit; f.all > 0 {
		fmt.Fprintf(out, "sysvinit: login prompt %.2f s after the kernel's hand-over; CPU %d ms in all, of which init %d ms; PSS %d kB\n",
			f.toPrompt().Seconds(), f.all.Milliseconds(), f.first.Milliseconds(), f.firstPSS)
	}
	if f := r.sessionInit; f.all > 0 {
		fmt.Fprintf(out, "session-init: login prompt %.2f s after the kernel's hand-over, which came after %.2f s; CPU %d ms in all, of which keeper %d ms and daemon %d ms; PSS %d kB and %d kB\n",
			f.toPrompt().Seconds(), f.handOver.Seconds(), f.all.Milliseconds(), f.first.Milliseconds(), f.daemon.Milliseconds(), f.firstPSS, f.daemonPSS)
	}
}
