package bus

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestSASL(t *testing.T) {
	const guid = "0123456789abcdef0123456789abcdef"
	me := hex.EncodeToString([]byte("1000"))
	other := hex.EncodeToString([]byte("1001"))
	rejects := func(n int) string { return strings.Repeat("REJECTED EXTERNAL\n", n) }
	for _, test := range []struct {
		name, send, want string
		left             string // bytes not consumed
		done             bool
		err              string
		stranger         bool
		noFDs            bool
	}{
		{name: "libdbus", send: "\x00AUTH EXTERNAL " + me + "\nNEGOTIATE_UNIX_FD\nBEGIN\nl\x01", want: "OK " + guid + "\nAGREE_UNIX_FD\n", left: "l\x01", done: true},
		{name: "sd-bus", send: "\x00AUTH EXTERNAL\nDATA\nNEGOTIATE_UNIX_FD\nBEGIN\n", want: "DATA\nOK " + guid + "\nAGREE_UNIX_FD\n", done: true},
		{name: "godbus", send: "\x00AUTH\nAUTH EXTERNAL " + me + "\nBEGIN\n", want: "REJECTED EXTERNAL\nOK " + guid + "\n", done: true},
		{name: "empty response", send: "\x00AUTH EXTERNAL \nDATA \nBEGIN\n", want: "DATA\nOK " + guid + "\n", done: true},
		{name: "data with id", send: "\x00AUTH EXTERNAL\nDATA " + me + "\nBEGIN\n", want: "DATA\nOK " + guid + "\n", done: true},
		{name: "no NUL", send: "AUTH EXTERNAL\n", err: "first byte", left: "AUTH EXTERNAL\n"},
		{name: "nothing", send: ""},
		{name: "half a line", send: "\x00AUTH EXT", left: "AUTH EXT"},
		{name: "another's id", send: "\x00AUTH EXTERNAL " + other + "\n", want: rejects(1)},
		{name: "id too large", send: "\x00AUTH EXTERNAL " + hex.EncodeToString([]byte("4294968296")) + "\n", want: rejects(1)},
		{name: "no hex", send: "\x00AUTH EXTERNAL 1000x\n", want: rejects(1)},
		{name: "no number", send: "\x00AUTH EXTERNAL " + hex.EncodeToString([]byte("root")) + "\n", want: rejects(1)},
		{name: "another mechanism", send: "\x00AUTH ANONYMOUS 61\nAUTH DBUS_COOKIE_SHA1\n", want: rejects(2)},
		{name: "then the right one", send: "\x00AUTH KERBEROS\nAUTH EXTERNAL " + me + "\nBEGIN\n", want: rejects(1) + "OK " + guid + "\n", done: true},
		{name: "stranger", send: "\x00AUTH EXTERNAL " + me + "\nAUTH EXTERNAL\nDATA\nBEGIN\n", want: "REJECTED EXTERNAL\nDATA\nREJECTED EXTERNAL\n", err: "BEGIN before", stranger: true},
		{name: "begin first", send: "\x00BEGIN\n", err: "BEGIN before"},
		{name: "begin amid data", send: "\x00AUTH EXTERNAL\nBEGIN\n", want: "DATA\n", err: "BEGIN before"},
		{name: "fds first", send: "\x00NEGOTIATE_UNIX_FD\n", want: "ERROR \"authenticate first\"\n"},
		{name: "no fds", send: "\x00AUTH EXTERNAL " + me + "\nNEGOTIATE_UNIX_FD\nBEGIN\n", want: "OK " + guid + "\nERROR \"no descriptors are taken from a client that may only read\"\n", done: true, noFDs: true},
		{name: "data first", send: "\x00DATA\n", want: "ERROR \"no data were asked for\"\n"},
		{name: "auth twice", send: "\x00AUTH EXTERNAL\nAUTH EXTERNAL\n", want: "DATA\nERROR \"authentication is under way\"\n"},
		{name: "cancel", send: "\x00AUTH EXTERNAL\nCANCEL\nAUTH EXTERNAL\nDATA\nCANCEL\nBEGIN\n", want: "DATA\nREJECTED EXTERNAL\nDATA\nOK " + guid + "\nREJECTED EXTERNAL\n", err: "BEGIN before"},
		{name: "cancel nothing", send: "\x00CANCEL\n", want: "ERROR \"there is nothing to cancel\"\n"},
		{name: "error", send: "\x00AUTH EXTERNAL\nERROR \"no\"\n", want: "DATA\nREJECTED EXTERNAL\n"},
		{name: "unknown", send: "\x00HELLO\n\n", want: "ERROR \"unknown command\"\nERROR \"unknown command\"\n"},
		{name: "lower case", send: "\x00auth EXTERNAL\n", want: "ERROR \"unknown command\"\n"},
		{name: "no text", send: "\x00AUTH \x80\n", want: "ERROR \"a line is not plain text\"\n"},
		{name: "patience", send: "\x00" + strings.Repeat("AUTH\n", 9), want: rejects(8), err: "rejected 8 times", left: "AUTH\n"},
		{name: "long line", send: "\x00" + strings.Repeat("x", saslLineLimit+1) + "\n", err: "longer than", left: strings.Repeat("x", saslLineLimit+1) + "\n"},
		{name: "line without end", send: "\x00" + strings.Repeat("x", saslLineLimit+1), err: "longer than", left: strings.Repeat("x", saslLineLimit+1)},
	} {
		t.Run(test.name, func(t *testing.T) {
			crlf := func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
			s := sasl{peer: 1000, allowed: !test.stranger, guid: guid, noFDs: test.noFDs}
			send := []byte(crlf(test.send))
			answer, used, done, err := s.feed(send)
			if got := string(answer); got != crlf(test.want) {
				t.Errorf("answer = %q; want %q", got, crlf(test.want))
			}
			if got := string(send[used:]); got != crlf(test.left) {
				t.Errorf("left = %.100q; want %.100q", got, crlf(test.left))
			}
			if test.noFDs && s.unixFDs {
				t.Error("descriptors are taken")
			}
			if done != test.done {
				t.Errorf("done = %v; want %v", done, test.done)
			}
			if (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("err = %v; want %q", err, test.err)
			}
		})
	}
}

// However the bytes arrive, the exchange is the same; nobody gets in without
// OK, and a stranger never.
func FuzzSASL(f *testing.F) {
	f.Add([]byte("\x00AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\nl"), byte(1), true)
	f.Add([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"), byte(5), false)
	f.Add([]byte("\x00AUTH\r\nCANCEL\r\nERROR\r\n\r\nDATA 31\r\nBEGIN\r\n"), byte(3), true)
	f.Fuzz(func(t *testing.T, data []byte, step byte, allowed bool) {
		whole := sasl{peer: 1000, allowed: allowed, guid: "g"}
		answer, used, done, err := whole.feed(data)
		if used < 0 || used > len(data) {
			t.Fatalf("used = %d of %d", used, len(data))
		}
		if done && (err != nil || !allowed || !bytes.Contains(answer, []byte("OK g\r\n"))) {
			t.Fatalf("done without leave: answer %q, err %v, allowed %v", answer, err, allowed)
		}
		pieces := sasl{peer: 1000, allowed: allowed, guid: "g"}
		var pending, answers []byte
		var pieceDone bool
		var pieceErr error
		rest := data
		for len(rest) > 0 && !pieceDone && pieceErr == nil {
			n := min(len(rest), int(step)+1)
			pending = append(pending, rest[:n]...)
			rest = rest[n:]
			var a []byte
			var u int
			a, u, pieceDone, pieceErr = pieces.feed(pending)
			answers = append(answers, a...)
			pending = pending[u:]
		}
		left := append(pending, rest...)
		if !bytes.Equal(answers, answer) || pieceDone != done || (pieceErr == nil) != (err == nil) || !bytes.Equal(left, data[used:]) {
			t.Fatalf("in pieces of %d: %q %v %v %q; whole: %q %v %v %q", int(step)+1, answers, pieceDone, pieceErr, left, answer, done, err, data[used:])
		}
	})
}

func TestSASLOverSocket(t *testing.T) {
	_, s := serve(t)
	uid := hex.EncodeToString(fmt.Append(nil, os.Getuid()))
	p := dial(t, s)
	// Byte by byte, and the first call right behind BEGIN.
	call := encodeCall(t, 3, "/", "", "Ping")
	for _, b := range append([]byte("\x00AUTH EXTERNAL "+uid+"\r\nBEGIN\r\n"), call...) {
		p.write([]byte{b})
	}
	if got := p.line(); got != "OK "+s.guid {
		t.Fatalf("answer = %q", got)
	}
	if msg := p.receive(); replyTo(msg) != 3 {
		t.Errorf("first message = %s", story(msg))
	}
	bad := dial(t, s)
	bad.write([]byte("BEGIN\r\n"))
	bad.gone()
	long := dial(t, s)
	go func() { _, _ = long.conn.Write(append([]byte{0}, bytes.Repeat([]byte("x"), 1<<20)...)) }()
	long.gone()
}
