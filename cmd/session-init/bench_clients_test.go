package main

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/testkit"
)

// BenchmarkBootListened: a boot of 1,000 jobs while clients listen to all of its
// signals: on the private socket, none or a hundred; and with a session bus,
// where nobody does.
func BenchmarkBootListened(b *testing.B) {
	const n = 1000
	boot := func(b *testing.B, w *bench, clients int) {
		for range b.N {
			w.start()
			for range clients {
				w.listen()
			}
			began, used := w.now(), w.cpuOf(w.pid())
			w.ok("sctl", "emit", "--no-wait", "go")
			took := time.Duration(0)
			for _, at := range w.stamps(n) {
				took = max(took, at-began)
			}
			w.figure(millis(took), "boot-ms")
			w.figure(millis(w.cpuOf(w.pid())-used), "daemon-cpu-ms")
			w.end()
		}
		w.report()
	}
	world := func(b *testing.B) *bench {
		w := newBench(b)
		w.args = append(w.args, "--no-startup-event")
		for i := range n {
			w.job(fmt.Sprintf("s%d", i), fmt.Sprintf("start on go\nconsole none\nexec %s pause %s", w.stamp, w.fifo))
		}
		return w
	}
	for _, clients := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { boot(b, world(b), clients) })
	}
	b.Run("bus", func(b *testing.B) {
		testkit.Need(b, "dbus-daemon")
		w := world(b)
		w.write("bus.conf", fmt.Sprintf(busConfig, w.run+"/bus"))
		w.args = append(w.args, "--session")
		w.startBus()
		boot(b, w, 0)
	})
}

// listen connects to the private socket and reads all that comes.
func (w *bench) listen() {
	w.b.Helper()
	sockets, err := api.ParseAddress(w.address)
	if err != nil {
		w.b.Fatal(err)
	}
	conn, err := net.Dial("unix", sockets[0])
	if err != nil {
		w.b.Fatal(err)
	}
	w.b.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")); err != nil {
		w.b.Fatal(err)
	}
	line := make([]byte, 64)
	for got := ""; strings.Count(got, "\n") < 2; {
		n, err := conn.Read(line)
		if err != nil {
			w.b.Fatal(err)
		}
		got += string(line[:n])
	}
	// As lean as a client can be: a hundred of them share the machine with the
	// boot that is measured, and io.Discard takes 8 KiB at a time.
	go func() {
		for taken := make([]byte, 64<<10); ; {
			if _, err := conn.Read(taken); err != nil {
				return
			}
		}
	}()
}
