package display

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/session-init/session-init/session/display/variable"
)

const patience = 3 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A display of Wayland is connected to, seen to live, and seen to end.
func TestConnectWayland(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	_, err := Connect(within(t), "wayland:"+path, nil)
	if want := "cannot connect to the display " + path + ": no such file or directory"; err == nil || err.Error() != want || !Gone(err) {
		t.Errorf("Connect where there is none: %v, gone %t; want %s", err, Gone(err), want)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := Connect(within(t), "wayland:"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// What it says is passed over.
	if _, err := theirs.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if conn.Ended() {
		t.Error("a display that lives has ended")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn.Wait()
	}()
	theirs.Close()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the end of the display is not seen")
	}
	if !conn.Ended() {
		t.Error("a display that has ended lives")
	}
}

// xServer takes one set-up, returns it, and answers.
func xServer(t *testing.T, answer []byte) (net.Conn, <-chan []byte) {
	t.Helper()
	ours, theirs := net.Pipe()
	got := make(chan []byte, 1)
	go func() {
		defer theirs.Close()
		head := make([]byte, 12)
		if _, err := io.ReadFull(theirs, head); err != nil {
			return
		}
		padded := func(n uint16) int { return (int(n) + 3) &^ 3 }
		rest := make([]byte, padded(binary.LittleEndian.Uint16(head[6:]))+padded(binary.LittleEndian.Uint16(head[8:])))
		if _, err := io.ReadFull(theirs, rest); err != nil {
			return
		}
		got <- append(head, rest...)
		_, _ = theirs.Write(answer)
		if len(answer) >= 8 && len(answer) == 8+4*int(binary.LittleEndian.Uint16(answer[6:])) {
			// A server that has said all stays.
			_, _ = io.Copy(io.Discard, theirs)
		}
	}()
	t.Cleanup(func() { ours.Close() })
	return ours, got
}

func TestSetUp(t *testing.T) {
	for _, test := range []struct {
		name   string
		secret string
		answer string
		sent   string
		err    string
	}{
		{"accepted", "0123456789abcdef", "\x01\x00\x0b\x00\x00\x00\x01\x00body", "l\x00\x0b\x00\x00\x00\x12\x00\x10\x00\x00\x00MIT-MAGIC-COOKIE-1\x00\x000123456789abcdef", ""},
		{"without a cookie", "", "\x01\x00\x0b\x00\x00\x00\x00\x00", "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"refused", "", "\x00\x09\x0b\x00\x00\x00\x03\x00go away!\n\x00\x00\x00", "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "the X server says: go away!"},
		{"more", "", "\x02\x00\x0b\x00\x00\x00\x00\x00", "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "the X server wants to be told more than a cookie"},
		{"nothing", "", "", "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "the X server did not answer: EOF"},
		{"half", "", "\x01\x00\x0b\x00\x00\x00\xff\xff", "l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00", "the X server did not answer: EOF"},
	} {
		conn, got := xServer(t, []byte(test.answer))
		var secret []byte
		if test.secret != "" {
			secret = []byte(test.secret)
		}
		err := setUp(within(t), conn, secret)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if ends := strings.HasSuffix(test.err, "EOF"); Gone(err) != ends {
			t.Errorf("%s: Gone(%v) = %t; want %t", test.name, err, !ends, ends)
		}
		if sent := <-got; text != test.err || string(sent) != test.sent {
			t.Errorf("%s: setUp sent %q and returned %q; want %q and %q", test.name, sent, text, test.sent, test.err)
		}
	}
}

// authority makes an entry of an authority file.
func authority(family uint16, fields ...string) []byte {
	out := binary.BigEndian.AppendUint16(nil, family)
	for _, field := range fields {
		out = binary.BigEndian.AppendUint16(out, uint16(len(field)))
		out = append(out, field...)
	}
	return out
}

func TestFindCookie(t *testing.T) {
	file := bytes.Join([][]byte{
		authority(familyLocal, "other", "0", cookieName, "others"),
		authority(familyLocal, "here", "0", "XDM-AUTHORIZATION-1", "xdm"),
		authority(familyLocal, "here", "0", cookieName, "mine"),
		authority(familyLocal, "here", "1", cookieName, "second"),
		authority(0, "\x7f\x00\x00\x01", "10", cookieName, "ssh"),
		authority(familyWild, "", "", cookieName, "wild"),
	}, nil)
	for _, test := range []struct {
		local  bool
		number string
		want   string
	}{{true, "0", "mine"}, {true, "1", "second"}, {true, "7", "wild"}, {false, "10", "ssh"}} {
		if got := findCookie(file, "here", test.local, test.number); string(got) != test.want {
			t.Errorf("findCookie(local %t, %s) = %q; want %q", test.local, test.number, got, test.want)
		}
	}
	for i := range len(file) {
		// Cut anywhere, it is read as far as it goes.
		if got := findCookie(file[:i], "nowhere", true, "99"); got != nil {
			t.Errorf("findCookie of the first %d bytes = %q; want none", i, got)
		}
	}
	path := filepath.Join(t.TempDir(), "auth")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := cookie(lookupIn(map[string]string{"XAUTHORITY": path}), "", "7"); string(got) != "wild" {
		t.Errorf("cookie = %q; want wild", got)
	}
}

func FuzzFindCookie(f *testing.F) {
	f.Add(authority(familyWild, "", "0", cookieName, "x"), "0")
	f.Add([]byte("\x01\x00\xff\xff"), "")
	f.Fuzz(func(t *testing.T, file []byte, number string) {
		if got := findCookie(file, "h", true, number); got != nil && !bytes.Contains(file, got) {
			t.Errorf("findCookie(%q) = %q, which is not there", file, got)
		}
	})
}

func TestBusAddress(t *testing.T) {
	dir := t.TempDir()
	if got := BusAddress(lookupIn(map[string]string{"XDG_RUNTIME_DIR": dir})); got != "" {
		t.Errorf("BusAddress without a socket = %q; want none", got)
	}
	listener, err := net.Listen("unix", dir+"/bus")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if got := BusAddress(lookupIn(map[string]string{"XDG_RUNTIME_DIR": dir})); !strings.HasSuffix(got, "/bus") {
		t.Errorf("BusAddress = %q; want that of %s/bus", got, dir)
	}
	if got := BusAddress(lookupIn(map[string]string{"XDG_RUNTIME_DIR": dir, variable.Bus: "unix:path=/x"})); got != "unix:path=/x" {
		t.Errorf("BusAddress = %q; want what the variable says", got)
	}
}
