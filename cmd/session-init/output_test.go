package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// logOf reads the log of a job, or one of its older parts.
func (r *rig) logOf(name string) string {
	text, _ := os.ReadFile(filepath.Join(r.logs, name))
	return string(text)
}

func TestConsolePTY(t *testing.T) {
	r := newRig(t)
	const tell = "\nscript\n    if [ -t 1 ]; then echo terminal; else echo file; fi\n    exec sleep 600\nend script"
	r.job("tty", "console pty"+tell)
	r.job("plain", "console log"+tell)
	r.job("silent", tell)
	r.args = append(r.args, "--default-console", "pty")
	r.start()
	for name, want := range map[string]string{"tty": "terminal\n", "plain": "file\n", "silent": "terminal\n"} {
		r.ok("start", name)
		r.until("the output of "+name, func() bool { return r.logOf(name+".log") == want })
		r.ok("stop", name)
	}
	r.until("the terminals to be given back", func() bool {
		names, _ := os.ReadDir("/proc/" + fmt.Sprint(r.pid()) + "/fd")
		for _, name := range names {
			if to, _ := os.Readlink("/proc/" + fmt.Sprint(r.pid()) + "/fd/" + name.Name()); strings.HasPrefix(to, "/dev/p") {
				return false
			}
		}
		return true
	})
}

func TestLogLimit(t *testing.T) {
	r := newRig(t)
	// Each go writes 100,000 bytes.
	const lines = "\nscript\n    until [ -e $W/go-NAME ]; do sleep 0.02; done\n    while read -r go; do seq -f %%07g 12500; done <$W/go-NAME\n    exec sleep 600\nend script"
	for name, limit := range map[string]string{"small": "log limit 50K 2", "default": "", "boundless": "log limit 0 0"} {
		text := strings.NewReplacer("NAME", name, "%%", "%").Replace(lines)
		r.job(name, limit+text)
	}
	r.start()
	whole := strings.Builder{}
	for _, name := range []string{"boundless", "default"} {
		r.ok("start", name)
		r.write("go-"+name, "go\n")
		r.until("all output of "+name, func() bool { return strings.HasSuffix(r.logOf(name+".log"), "\n0012500\n") })
	}
	whole.WriteString(r.logOf("boundless.log"))
	r.ok("start", "small")
	// All is there when the log is looked at for the first time.
	daemon := r.pid()
	unix.Kill(daemon, unix.SIGSTOP)
	r.write("go-small", "go\n")
	r.until("all output of small", func() bool { return r.logOf("small.log") == whole.String() })
	unix.Kill(daemon, unix.SIGCONT)
	// The older part is there before it is cut away from the log.
	r.until("the cut", func() bool { return r.logOf("small.log.1") != "" && len(r.logOf("small.log")) <= 50<<10 })
	if got := r.logOf("small.log.2") + r.logOf("small.log.1"); !strings.HasPrefix(whole.String(), got) || len(got) < 95_000 {
		t.Errorf("the older parts of small.log are %d bytes, and not those of the output", len(got))
	}
	if got := r.logOf("small.log"); !strings.HasPrefix(got, "[older lines: small.log.1]") && !strings.HasPrefix(got, "-") && !strings.HasPrefix(got, "0") || len(got) > 50<<10 {
		t.Errorf("what is left of small.log is %d bytes: %.100q", len(got), got)
	}
	for _, name := range []string{"boundless", "default"} {
		if parts, _ := filepath.Glob(filepath.Join(r.logs, name+".log.*")); len(parts) > 0 || r.logOf(name+".log") != whole.String() {
			t.Errorf("%s.log was cut: %q", name, parts)
		}
	}
}

// TestLogLimitAfter: the log of a job that runs on is kept within its limit by
// the daemon that takes over, too.
func TestLogLimitAfter(t *testing.T) {
	for _, next := range []func(*rig){func(r *rig) { r.prints("", "sctl", "re-exec") }, (*rig).crash} {
		r := newRig(t)
		r.job("svc", "log limit 50K 1\nscript\n    while [ ! -e $W/go ]; do sleep 0.02; done\n    seq -f %07g 12500\n    exec sleep 600\nend script")
		r.start()
		r.ok("start", "svc")
		next(r)
		r.becomes("svc running (start), process PID\n", "svc")
		r.write("go", "")
		r.until("the cut", func() bool { return r.logOf("svc.log.1") != "" && len(r.logOf("svc.log")) <= 50<<10 })
	}
}
