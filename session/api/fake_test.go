package api

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// fakeServer is the other end of one connection, driven by the test: it does
// nothing that it is not told to.
type fakeServer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	// signals is what the client last said of them: whether it wants any.
	signals []bool
}

// fake connects a client to a server that runs serve, and ends both with the
// test. serve runs beside the test: it reports with Errorf only.
func fake(t *testing.T, serve func(*fakeServer)) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return // the client was never made
		}
		defer conn.Close()
		serve(&fakeServer{t: t, conn: conn, in: bufio.NewReader(conn)})
	}()
	c, err := Dial(t.Context(), UnixAddress(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		listener.Close()
		<-done
	})
	return c
}

// hello reads the authentication and accepts it.
func (s *fakeServer) hello() {
	want := "\x00AUTH EXTERNAL " + hex.EncodeToString(fmt.Append(nil, os.Geteuid())) + "\r\n"
	if line, err := s.in.ReadString('\n'); line != want || err != nil {
		s.t.Errorf("first line = %q, %v; want %q", line, err, want)
	}
	if line, err := s.in.ReadString('\n'); line != "BEGIN\r\n" || err != nil {
		s.t.Errorf("second line = %q, %v; want BEGIN", line, err)
	}
	s.write([]byte("OK 0123456789abcdef0123456789abcdef\r\n"))
}

// call reads the next method call that wants an answer; nil at the end of the
// connection.
func (s *fakeServer) call() *dbus.Message {
	for {
		msg, err := dbus.DecodeMessage(s.in)
		if err != nil {
			return nil
		}
		if headerString(msg, dbus.FieldMember) != "SendSignals" {
			return msg
		}
		if msg.Flags&dbus.FlagNoReplyExpected == 0 {
			s.t.Error("SendSignals wants an answer")
		}
		s.signals = append(s.signals, msg.Body[0].(bool))
	}
}

func headerString(msg *dbus.Message, field dbus.HeaderField) string {
	switch v := msg.Headers[field].Value().(type) {
	case string:
		return v
	case dbus.ObjectPath:
		return string(v)
	}
	return ""
}

// describe is a call as text: "path interface.member(args)".
func describe(msg *dbus.Message) string {
	if msg == nil {
		return "end"
	}
	args := make([]string, len(msg.Body))
	for i, arg := range msg.Body {
		args[i] = fmt.Sprintf("%#v", arg)
	}
	return fmt.Sprintf("%s %s.%s(%s)", headerString(msg, dbus.FieldPath), headerString(msg, dbus.FieldInterface),
		headerString(msg, dbus.FieldMember), strings.Join(args, ", "))
}

// bytesOf encodes a message of the server's.
func bytesOf(kind dbus.Type, order binary.ByteOrder, headers map[dbus.HeaderField]any, body ...any) []byte {
	msg := &dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: body}
	for _, field := range []dbus.HeaderField{dbus.FieldPath, dbus.FieldInterface, dbus.FieldMember,
		dbus.FieldErrorName, dbus.FieldReplySerial} {
		if value, ok := headers[field]; ok {
			msg.Headers[field] = dbus.MakeVariant(value)
		}
	}
	if len(body) > 0 {
		msg.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	var out bytes.Buffer
	if err := msg.EncodeTo(&out, order); err != nil {
		panic(err)
	}
	order.PutUint32(out.Bytes()[8:], 1)
	return out.Bytes()
}

func replyTo(call *dbus.Message, body ...any) []byte {
	return bytesOf(dbus.TypeMethodReply, binary.LittleEndian,
		map[dbus.HeaderField]any{dbus.FieldReplySerial: call.Serial()}, body...)
}

func errorTo(call *dbus.Message, name string, body ...any) []byte {
	return bytesOf(dbus.TypeError, binary.LittleEndian,
		map[dbus.HeaderField]any{dbus.FieldReplySerial: call.Serial(), dbus.FieldErrorName: name}, body...)
}

func signalBytes(path, member string, body ...any) []byte {
	return bytesOf(dbus.TypeSignal, binary.LittleEndian, map[dbus.HeaderField]any{
		dbus.FieldPath: dbus.ObjectPath(path), dbus.FieldInterface: InstanceInterface, dbus.FieldMember: member}, body...)
}

// write sends messages in one write.
func (s *fakeServer) write(messages ...[]byte) {
	if _, err := s.conn.Write(bytes.Join(messages, nil)); err != nil {
		s.t.Errorf("cannot write: %v", err)
	}
}
