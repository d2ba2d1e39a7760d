package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/api"
)

// coming gathers the signals about jobs that come and go, in their order, as
// "+NAME" and "-NAME".
func (r *rig) coming() (seen func() []string) {
	p := r.dial()
	r.t.Cleanup(func() { p.Close() })
	var list []string
	p.OnSignal = func(s api.Signal) {
		sign := map[string]string{"JobAdded": "+", "JobRemoved": "-"}[s.Member]
		if sign != "" {
			list = append(list, sign+strings.TrimPrefix(fmt.Sprint(s.Body[0]), "/com/ubuntu/Upstart/jobs/"))
		}
	}
	return func() []string {
		// An answer comes behind the signals of what happened before it.
		_, err := p.Call(context.Background(), "/com/ubuntu/Upstart", "com.ubuntu.Upstart0_6", "GetAllJobs")
		if err != nil {
			r.t.Fatal(err)
		}
		return list
	}
}

// A whole directory of jobs is swapped below a daemon, as dotfile managers do
// it. Jobs come and go in the order of their names, those that are the same
// are left alone, and what runs goes on with the definition that it has.
func TestGenerationsOfJobs(t *testing.T) {
	r := newRig(t)
	generation := func(n int, jobs map[string]string) {
		for name, text := range jobs {
			r.write(fmt.Sprintf("store/%d/%s.conf", n, name), text+"\n")
		}
	}
	same := "exec sleep 600"
	generation(1, map[string]string{"a": same, "b": "exec sleep 600", "gone": "exec sleep 600", "gone2": same,
		"svc": "env V=one\nscript\n    echo $V >> $T\n    exec sleep 600\nend script\npost-stop exec sh -c \"echo post $V >> $T\""})
	generation(2, map[string]string{"a": same, "b": "exec sleep 601", "new": same, "net/new": same,
		"svc": "env V=two\nscript\n    echo $V >> $T\n    exec sleep 600\nend script\npost-stop exec sh -c \"echo post $V >> $T\""})
	r.relink("store/1", "conf")
	r.start()
	r.ok("start", "svc")
	r.traced("one")
	before := r.ok("start", "gone")
	seen := r.coming()
	told := 0
	tells := func(want ...string) {
		t.Helper()
		var got []string
		r.until(fmt.Sprintf("%q", want), func() bool {
			got = seen()[told:]
			return len(got) >= len(want)
		})
		told += len(got)
		if !slices.Equal(got, want) {
			t.Errorf("jobs came and went as %q; want %q", got, want)
		}
	}

	r.clear()
	r.relink("store/2", "conf")
	tells("-b", "+b", "-gone2", "+net_2fnew", "+new")
	// What runs is untouched: the same process, the same definition.
	r.prints(before, "status", "gone")
	r.ok("stop", "svc")
	r.traced("post one")
	tells("-svc", "+svc")
	r.clear()
	r.ok("start", "svc")
	r.traced("two")
	r.ok("stop", "gone")
	r.refused(1, "status: cannot show 'gone': Unknown job\n", "status", "gone")
	tells("-gone")

	// Back, while all of it is missing for a moment.
	r.relink("nowhere", "conf")
	tells("-a", "-b", "-net_2fnew", "-new")
	r.relink("store/1", "conf")
	tells("+a", "+b", "+gone", "+gone2")
	r.ok("stop", "svc")
	tells("-svc", "+svc")
	r.clear()
	r.ok("start", "svc")
	r.traced("one")
}

// An override that comes and goes while the job runs is for the next start.
func TestLiveOverride(t *testing.T) {
	r := newRig(t)
	r.job("svc", "env V=base\nscript\n    echo $V >> $T\n    exec sleep 600\nend script")
	r.start()
	before := r.ok("start", "svc")
	r.traced("base")
	seen := r.coming()
	r.write("conf/svc.override", "env V=over\n")
	r.prints("", "sctl", "reload-configuration")
	r.prints(before, "status", "svc")
	r.ok("stop", "svc")
	r.clear()
	before = r.ok("start", "svc")
	r.traced("over")
	if err := os.Remove(filepath.Join(r.conf, "svc.override")); err != nil {
		t.Fatal(err)
	}
	// A broken one beside it takes nothing away.
	r.write("conf/svc.override", "env\nfrobnicate\n")
	r.prints("", "sctl", "reload-configuration")
	r.logged("svc.override:2:1: ")
	r.prints(before, "status", "svc")
	r.ok("stop", "svc")
	r.clear()
	r.ok("start", "svc")
	r.traced("base")
	if list := seen(); len(list) > 0 {
		t.Errorf("the job came or went: %q", list)
	}
}

// relink makes a link below the rig's directory, in place of what is there.
func (r *rig) relink(target, name string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		if err := os.Remove(path); err != nil {
			r.t.Fatal(err)
		}
	}
	temporary := filepath.Join(r.dir, ".link")
	if err := os.Symlink(target, temporary); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(temporary, path); err != nil {
		r.t.Fatal(err)
	}
}

// A job file that somebody is writing defines nothing until it is closed; one
// that is written anew goes on to mean what it did.
func TestHalfWrittenJob(t *testing.T) {
	r := newRig(t)
	r.job("good", "start on tick\nexec sleep 600")
	r.start()
	half := func(name, text string) *os.File {
		f, err := os.Create(r.dir + "/conf/" + name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		return f
	}
	began := time.Now()
	late, good := half("late.conf", "start on tick\n"), half("good.conf", "description half\n")
	stop := scribble(late, good)
	// This comes behind them.
	r.job("mark", "exec sleep 600")
	r.until("a job that was written later", func() bool { return r.command("sctl", "status", "mark").status == 0 })
	r.ok("sctl", "emit", "tick")
	want := regexp.MustCompile(`\Agood running \(start\), process [0-9]+\nmark waiting \(stop\)\n\z`)
	counts := false
	r.until("the good job alone to run", func() bool {
		list := r.ok("sctl", "list")
		counts = strings.Contains(list, "late ")
		return counts || want.MatchString(list)
	})
	r.ok("sctl", "stop", "good")
	rest, err := stop()
	if err != nil {
		t.Fatal(err)
	}
	// Who rests for longer, or writes for longer, is waited for no more: see
	// conf.Options.
	excused := func() bool { return rest >= 2*time.Second || time.Since(began) >= 10*time.Second }
	if counts && !excused() {
		t.Fatal("a file counts before it is closed")
	}
	for _, f := range []*os.File{late, good} {
		if _, err := f.WriteString("exec sleep 601\n"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r.until("the file to count", func() bool { return r.command("sctl", "status", "late").status == 0 })
	if excused() {
		t.Log("this machine was too slow to tell")
		return
	}
	r.ok("sctl", "emit", "tick")
	r.lists("good waiting (stop)\nlate running (start), process PID\nmark waiting (stop)\n")
}

// scribble goes on writing to files. stop ends that, and returns how long it has
// rested at most.
func scribble(files ...*os.File) (stop func() (rest time.Duration, err error)) {
	type writing struct {
		rest time.Duration
		err  error
	}
	over, done := make(chan bool), make(chan writing, 1)
	last := time.Now()
	go func() {
		var got writing
		defer func() {
			got.rest = max(got.rest, time.Since(last))
			done <- got
		}()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for got.err == nil {
			for _, f := range files {
				_, err := f.WriteString("# more\n")
				got.err = errors.Join(got.err, err)
			}
			got.rest, last = max(got.rest, time.Since(last)), time.Now()
			select {
			case <-over:
				return
			case <-tick.C:
			}
		}
	}()
	return func() (time.Duration, error) {
		close(over)
		got := <-done
		return got.rest, got.err
	}
}
