package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/session-init/session-init/session/wire"
)

// Client talks to a session-init over its private socket. It is synchronous
// and has no goroutine of its own; it belongs to one goroutine at a time.
//
// What says hello goes out in one write with a client's first call:
//
//	client: NUL "AUTH EXTERNAL <uid in hex>" "BEGIN" method call
//	server: "OK <guid>" signals... reply
//
// so that a command costs one round trip a call, and none to say hello.
type Client struct {
	// OnSignal, when set, is called with every signal that arrives while a
	// call waits, in order, before the replies that follow them. It must
	// not use the client. Without it signals are skipped undecoded.
	OnSignal func(Signal)

	conn   io.ReadWriteCloser
	in     *bufio.Reader
	hello  string // what the next call has to send first
	out    wire.Writer
	msg    wire.Message // the last one that came
	serial uint32
	begun  bool  // the server has said OK
	broken error // why nothing more can be said
	// overBus: what is connected to is a message bus; greeted: it was said hello,
	// matches: and asked for signals.
	overBus, greeted, matches bool
	// deaf: the daemon was told that no signals are wanted.
	deaf bool
}

// Signal is an announcement of the daemon. The types in Body are those of
// the results of Call.
type Signal struct {
	Path, Interface, Member string
	Body                    []any
}

// Request is a method call. Args are values that say by themselves what type
// they are on the bus, as string, bool and []string do; see wire.SignatureOf.
type Request struct {
	Path, Interface, Member string
	Args                    []any
	// Destination is who is called on a bus; empty for the daemon.
	Destination string
	// unanswered: no answer is wanted.
	unanswered bool
}

// Reply is the answer to a Request: a Body, or an Err when it was refused.
type Reply struct {
	Body []any
	Err  *Error
}

// Error is an error reply: Name is one of the names of this package, or any
// other that the daemon sends; Message is a sentence.
type Error struct {
	Name, Message string
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Message
}

// IsName tells whether err is an error reply of one of these names.
func IsName(err error, names ...string) bool {
	var reply *Error
	if !errors.As(err, &reply) {
		return false
	}
	for _, name := range names {
		if reply.Name == name {
			return true
		}
	}
	return false
}

// ErrDisconnected is what a call gets when the daemon closes the connection
// before it has answered.
var ErrDisconnected = errors.New("session-init closed the connection")

// ErrRejected is what the first call gets when the daemon does not accept
// this user.
var ErrRejected = errors.New("session-init does not accept this user")

// Dial connects to the first socket of a D-Bus address that takes the
// connection. The caller closes the client.
func Dial(ctx context.Context, address string) (*Client, error) {
	sockets, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	for _, name := range sockets {
		conn, dialErr := connect(ctx, name)
		if dialErr == nil {
			return newClient(conn, conn), nil
		}
		if err == nil {
			err = dialErr
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err // the address stands before it
	}
	return nil, fmt.Errorf("cannot connect to %s: %w", address, err)
}

// newClient makes a client of a connection and the same as a reader: to turn one
// interface into the other is what the first use of each pair pays for.
func newClient(conn io.ReadWriteCloser, in io.Reader) *Client {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Geteuid())))
	return &Client{conn: conn, in: bufio.NewReader(in), hello: "\x00AUTH EXTERNAL " + uid + "\r\nBEGIN\r\n"}
}

// Close ends the connection. Calls that the daemon has not answered run on.
func (c *Client) Close() error { return c.conn.Close() }

// Call calls a method and waits for its answer. The results have plain
// types: string (also for object paths), bool, integers, []string, map[string]any
// and []any of these; variants are unwrapped. A refusal is an *Error.
//
// When ctx ends first, Call returns its cause; the daemon goes on with the
// call, and the client cannot be used any more. So it is after any error
// that is no *Error.
func (c *Client) Call(ctx context.Context, path, iface, member string, args ...any) ([]any, error) {
	replies, err := c.CallAll(ctx, []Request{{Path: path, Interface: iface, Member: member, Args: args}})
	if err != nil {
		return nil, err
	}
	if replies[0].Err != nil {
		return nil, replies[0].Err
	}
	return replies[0].Body, nil
}

// window is how many calls CallAll has under way at once: enough to hide the
// way to the daemon and back, little enough that what it answers fits into
// any queue.
const window = 64

// CallAll makes calls one after the other without waiting for each answer,
// and returns their replies in the order of the requests. The error is as
// with Call, but never an *Error: that stands in the reply.
func (c *Client) CallAll(ctx context.Context, requests []Request) ([]Reply, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	if ctx.Done() != nil {
		// Closing is the one way to wake a reader that leaves no half-read
		// message behind for the next call.
		stop := context.AfterFunc(ctx, func() { c.conn.Close() })
		defer stop()
	}
	replies := make([]Reply, len(requests))
	for done := 0; done < len(requests); {
		n := min(window, len(requests)-done)
		if err := c.exchange(requests[done:done+n], replies[done:]); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			c.broken = err
			return nil, err
		}
		done += n
	}
	return replies, nil
}

// exchange sends a few requests in one write and reads until each has its
// reply. Both are functions of their own, so that the stack of a command stays
// as small as a goroutine's first ones are: to copy it costs as much as a call.
func (c *Client) exchange(requests []Request, replies []Reply) error {
	if err := c.send(requests); err != nil {
		return err
	}
	if !c.begun {
		if err := c.readOK(); err != nil {
			return err
		}
		c.begun = true
	}
	return c.collect(replies[:len(requests)])
}

// send writes what says hello, if that was not said yet, and calls.
func (c *Client) send(requests []Request) error {
	c.out.Reset(keepBuffer)
	c.out.Grow(firstBuffer)
	if err := c.greet(); err != nil {
		return err
	}
	for _, request := range requests {
		if c.overBus && request.Destination == "" {
			request.Destination = BusName
		}
		c.serial++
		if err := encodeCall(&c.out, request, c.serial); err != nil {
			return err
		}
	}
	calls := c.out.Bytes()
	if c.hello != "" {
		calls = slices.Insert(calls, 0, []byte(c.hello)...)
		c.hello = ""
	}
	if _, err := c.conn.Write(calls); err != nil {
		return lost(err)
	}
	return nil
}

// collect reads until each of the last calls has its reply.
func (c *Client) collect(replies []Reply) error {
	first := c.serial + 1 - uint32(len(replies))
	for missing := len(replies); missing > 0; {
		msg := &c.msg
		if err := readMessage(c.in, c.OnSignal == nil, msg); err != nil {
			return lost(err)
		}
		switch msg.Kind {
		case wire.Signal:
			if c.OnSignal != nil && c.fromDaemon(msg) {
				c.OnSignal(newSignal(msg))
			}
		case wire.MethodReply, wire.Error:
			i := msg.ReplyTo - first // wraps round for a serial that is not ours
			if i >= uint32(len(replies)) {
				continue
			}
			if msg.Kind == wire.Error {
				replies[i] = Reply{Err: newError(msg)}
			} else {
				replies[i] = Reply{Body: plainList(msg.Values())}
			}
			missing--
		}
	}
	return nil
}

// lost tells the end of the connection from other failures.
func lost(err error) error {
	var broken *os.SyscallError
	if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) {
		return fmt.Errorf("%w (%w)", ErrDisconnected, err)
	}
	return err
}

// readOK reads the one line with which the server accepts us.
func (c *Client) readOK() error {
	line, err := c.in.ReadSlice('\n')
	switch {
	case bytes.HasPrefix(line, []byte("REJECTED")):
		return ErrRejected
	case err == bufio.ErrBufferFull, err == nil && !bytes.HasPrefix(line, []byte("OK")):
		return fmt.Errorf("cannot talk to what listens there: it answered %.40q", line)
	case err != nil:
		return lost(err)
	}
	return nil
}

// encodeCall adds the request as a message.
func encodeCall(out *wire.Writer, request Request, serial uint32) error {
	h := wire.Header{
		Kind: wire.MethodCall, Serial: serial, Path: request.Path, Interface: request.Interface, Member: request.Member,
		Destination: request.Destination,
	}
	if request.Destination != "" {
		// Nobody is to be started for it.
		h.Flags = wire.NoAutoStart
	}
	if request.unanswered {
		h.Flags |= wire.NoReplyExpected
	}
	for i, arg := range request.Args {
		sig, ok := wire.SignatureOf(arg)
		if !ok {
			return fmt.Errorf("cannot call %s: D-Bus has no type for argument %d", request.Member, i+1)
		}
		if err := checkText(arg); err != nil {
			return fmt.Errorf("cannot call %s: %w", request.Member, err)
		}
		h.Signature += sig
	}
	for _, name := range [...]struct {
		what, text string
		valid      func(string) bool
	}{
		{"an object path", request.Path, wire.ValidPath},
		{"an interface", request.Interface, wire.ValidInterface},
		{"a method", request.Member, wire.ValidMember},
	} {
		if !name.valid(name.text) {
			return fmt.Errorf("cannot call %s: %q is no name of %s", request.Member, name.text, name.what)
		}
	}
	out.Begin(&h)
	out.Values(h.Signature, request.Args)
	if err := out.End(); err != nil {
		return fmt.Errorf("cannot call %s: %w", request.Member, err)
	}
	return nil
}

// checkText refuses what a D-Bus string cannot hold, and names it.
func checkText(arg any) error {
	var texts []string
	switch v := arg.(type) {
	case string:
		texts = []string{v}
	case []string:
		texts = v
	case wire.Variant:
		return checkText(v.Value)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%q is not valid UTF-8, D-Bus cannot carry it", text)
		}
		if strings.IndexByte(text, 0) >= 0 {
			return fmt.Errorf("%q has a zero byte, D-Bus cannot carry it", text)
		}
	}
	return nil
}

// firstBuffer holds the calls of a command of every day, in bytes.
const firstBuffer = 512

// keepBuffer is the largest buffer that is kept for the next call, in bytes.
const keepBuffer = 64 << 10

// readMessage reads the next message into msg. With skip it leaves signals out.
func readMessage(in *bufio.Reader, skip bool, msg *wire.Message) error {
	for {
		head, err := in.Peek(wire.FixedHeader)
		if err != nil {
			return err
		}
		size, err := wire.Size(head)
		if err != nil {
			return fmt.Errorf("cannot read a message that begins with %q: %w", head, err)
		}
		if skip && wire.Kind(head[1]) == wire.Signal {
			if _, err := in.Discard(size); err != nil {
				return err
			}
			continue
		}
		text, err := readText(in, size)
		if err != nil {
			return err
		}
		if *msg, err = wire.Parse(text); err != nil {
			return fmt.Errorf("cannot read a message: %w", err)
		}
		return nil
	}
}

// readText reads size bytes. Memory is taken as they arrive, so that a wrong
// length costs none.
func readText(in *bufio.Reader, size int) (string, error) {
	if ahead, err := in.Peek(min(size, in.Size())); err != nil {
		return "", err
	} else if len(ahead) == size {
		text := string(ahead)
		_, err := in.Discard(size)
		return text, err
	}
	var text strings.Builder
	_, err := io.CopyN(&text, in, int64(size))
	return text.String(), err
}

func newError(msg *wire.Message) *Error {
	e := &Error{Name: msg.ErrorName}
	if strings.HasPrefix(msg.Signature, "s") {
		e.Message = msg.Text(0)
	}
	return e
}

func newSignal(msg *wire.Message) Signal {
	return Signal{Path: msg.Path, Interface: msg.Interface, Member: msg.Member, Body: plainList(msg.Values())}
}
