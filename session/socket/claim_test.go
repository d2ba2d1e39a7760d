package socket

import (
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/session-init/session-init/session/job"
)

// TestClaims: a socket that several want is that of the first, the others are
// told whose, and the next one gets it when the first has gone.
func TestClaims(t *testing.T) {
	w := newWorld(t)
	shared, own := w.path("shared"), w.path("own")
	w.Listen("first", []job.Socket{shared})
	w.Listen("second", []job.Socket{own, shared})
	w.Listen("third", []job.Socket{shared})
	want := map[string]bool{
		"opened first []": true,
		"opened second [{unix:" + shared.Path + " job first has that socket already}]": true,
		"opened third [{unix:" + shared.Path + " job first has that socket already}]":  true,
	}
	for range 3 {
		if told := <-w.told; !want[told] {
			t.Errorf("the set says %q", told)
		} else {
			delete(want, told)
		}
	}
	if got, want := w.given("second", ""), "cannot listen on unix:"+shared.Path+": job first has that socket already"; got != want {
		t.Errorf("the second gets %q; want %q", got, want)
	}
	w.Await("second")
	w.Await("first")
	w.dial("unix", shared.Path)
	w.hears("called first unix:" + shared.Path)
	w.Listen("first", []job.Socket{own})
	told := map[string]bool{<-w.told: true, <-w.told: true}
	if !told["opened second []"] || !told["opened first [{unix:"+own.Path+" job second has that socket already}]"] {
		t.Errorf("the set says %v", told)
	}
	w.dial("unix", shared.Path)
	w.hears("called second unix:" + shared.Path)
	// One that stays what it was keeps it.
	w.Listen("second", []job.Socket{own, shared})
	w.hears("opened second []")
	w.Listen("first", nil)
	w.Listen("second", nil)
	w.hears("opened third []")
	w.Listen("third", nil)
	if _, err := os.Lstat(shared.Path); !os.IsNotExist(err) || len(w.claims) > 0 || len(w.holder.held) > 0 {
		t.Errorf("the path is left behind: %v; claimed is %v, held is %q", err, w.claims, sortedNames(w.holder.held))
	}
	// What cannot be a socket is nobody's.
	w.Listen("first", []job.Socket{{Fault: "no such thing", Proto: "x"}})
	w.hears("opened first [{ no such thing}]")
	w.Listen("second", []job.Socket{{Fault: "no such thing", Proto: "x"}})
	w.hears("opened second [{ no such thing}]")
}

// TestWaiting: who waits is counted, at whatever socket, until somebody takes
// the connection.
func TestWaiting(t *testing.T) {
	w := newWorld(t)
	path, abstracted := w.path("a"), job.Socket{Proto: job.ProtoUnix, Path: "@" + w.dir}
	probe, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer probe.Close()
	silence(t, probe)
	at := probe.Addr().(*net.TCPAddr).AddrPort()
	tcp := job.Socket{Proto: job.ProtoInet, Addr: at.Addr(), Port: at.Port()}
	w.Listen("svc", []job.Socket{path, abstracted, tcp})
	w.hears("opened svc []")
	counts := func(want ...int) {
		t.Helper()
		got := w.Waiting("svc")
		for i, one := range []job.Socket{path, abstracted, tcp} {
			if n, known := got[one.Address()]; n != want[i] || !known {
				t.Errorf("%d wait at %s, which is known: %v; want %d", n, one.Address(), known, want[i])
			}
		}
	}
	counts(0, 0, 0)
	for range 3 {
		w.dial("unix", path.Path)
	}
	w.dial("unix", abstracted.Path)
	w.dial("tcp4", at.String())
	w.dial("tcp4", at.String())
	counts(3, 1, 2)
	if got := w.Waiting("other"); len(got) > 0 {
		t.Errorf("at the sockets of nobody wait %v", got)
	}
	for n := range 60 {
		tell := make([]byte, n)
		for i := range tell {
			tell[i] = 20
		}
		if _, ok := readQueue(tell); ok {
			t.Errorf("a queue is read of %d bytes that say nothing", n)
		}
	}
}

// TestHandOn: an address that one wants no more while it is being opened comes to
// the next whole: it is reached there, and nobody is told of a stranger in the way.
func TestHandOn(t *testing.T) {
	w := newWorld(t)
	for i := range 300 {
		shared := w.path("shared" + strconv.Itoa(i))
		w.Listen("first", []job.Socket{shared})
		w.Listen("second", []job.Socket{shared})
		if i%2 == 0 {
			runtime.Gosched()
		}
		w.Listen("first", nil)
		for told := ""; told != "opened second []"; {
			told = <-w.told
			if strings.Contains(told, "another program") {
				t.Fatalf("the set says %q", told)
			}
		}
		conn, err := net.Dial("unix", shared.Path)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		w.Listen("second", nil)
		w.WaitFor("first")
	}
	if len(w.claims) > 0 || len(w.holder.held) > 0 {
		t.Errorf("claimed is %v, held is %q", w.claims, sortedNames(w.holder.held))
	}
}
