package bus

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The exchange before the first message. The client speaks first; lines end
// in CR LF:
//
//	client                      server
//	NUL
//	AUTH                        REJECTED EXTERNAL
//	AUTH EXTERNAL <hex of uid>  OK <guid>
//	AUTH EXTERNAL               DATA
//	DATA [<hex of uid>]         OK <guid>
//	NEGOTIATE_UNIX_FD           AGREE_UNIX_FD, or ERROR
//	BEGIN                       (messages from the next byte on)
//
// A client may send all of it in one write and read the answers later.

const (
	// saslLineLimit bounds a line, in bytes without its end.
	saslLineLimit = 16 << 10
	// saslAttempts is how often a client may be rejected.
	saslAttempts = 8
)

type saslState uint8

const (
	saslStart       saslState = iota // the NUL byte is to come
	saslWaitAuth                     // AUTH is to come
	saslWaitData                     // the answer to our DATA is to come
	saslWaitBegin                    // the client is who it says
	saslDone                         // messages follow
	numSASLStates   = int(saslDone) + 1
	saslMechanism   = "EXTERNAL"
	saslRejectedAll = "REJECTED " + saslMechanism
)

// sasl is the server's side of the exchange: a machine that reads bytes and
// gives bytes. It knows no socket. Set peer, allowed and guid, then feed it.
type sasl struct {
	// peer is the client's user id, as the kernel tells it.
	peer uint32
	// allowed tells whether that user may talk to us at all.
	allowed bool
	// guid names the server: 32 hexadecimal digits.
	guid string
	// noFDs: it may not send descriptors.
	noFDs bool

	state    saslState
	rejected int
	// unixFDs is set when the client has asked to send descriptors, and may.
	unixFDs bool
}

// feed takes what the client has sent and not yet been consumed. It returns
// what to answer and how many bytes were consumed; the rest is an unfinished
// line or, once done is set, the beginning of the messages. An error ends the
// connection, after the answer has been sent.
func (s *sasl) feed(data []byte) (answer []byte, used int, done bool, err error) {
	if s.state == saslStart && len(data) > 0 {
		if data[0] != 0 {
			return nil, 0, false, errors.New("the first byte is not NUL")
		}
		s.state = saslWaitAuth
		used = 1
	}
	for s.state != saslDone {
		end := bytes.Index(data[used:], []byte("\r\n"))
		if end < 0 && len(data)-used <= saslLineLimit {
			break
		}
		if end < 0 || end > saslLineLimit {
			return answer, used, false, fmt.Errorf("a line of the authentication is longer than %d bytes", saslLineLimit)
		}
		line := data[used : used+end]
		used += end + len("\r\n")
		reply, err := s.line(string(line))
		if reply != "" {
			answer = append(append(answer, reply...), "\r\n"...)
		}
		if err != nil {
			return answer, used, false, err
		}
	}
	return answer, used, s.state == saslDone, nil
}

// line answers one command.
func (s *sasl) line(line string) (string, error) {
	for i := 0; i < len(line); i++ {
		if c := line[i]; c < ' ' || c > '~' {
			return `ERROR "a line is not plain text"`, nil
		}
	}
	command, rest, _ := strings.Cut(line, " ")
	rest = strings.Trim(rest, " ")
	switch command {
	case "AUTH":
		return s.auth(rest)
	case "DATA":
		if s.state != saslWaitData {
			return `ERROR "no data were asked for"`, nil
		}
		return s.identify(rest)
	case "CANCEL", "ERROR":
		if s.state == saslWaitAuth && command == "CANCEL" {
			return `ERROR "there is nothing to cancel"`, nil
		}
		return s.reject()
	case "NEGOTIATE_UNIX_FD":
		if s.state != saslWaitBegin {
			return `ERROR "authenticate first"`, nil
		}
		if s.noFDs {
			return `ERROR "no descriptors are taken from a client that may only read"`, nil
		}
		s.unixFDs = true
		return "AGREE_UNIX_FD", nil
	case "BEGIN":
		if s.state != saslWaitBegin {
			return "", errors.New("BEGIN before authentication")
		}
		s.state = saslDone
		return "", nil
	}
	return `ERROR "unknown command"`, nil
}

func (s *sasl) auth(rest string) (string, error) {
	if s.state != saslWaitAuth {
		return `ERROR "authentication is under way"`, nil
	}
	mechanism, response, given := strings.Cut(rest, " ")
	if mechanism != saslMechanism {
		return s.reject()
	}
	if !given {
		s.state = saslWaitData
		return "DATA", nil
	}
	return s.identify(strings.Trim(response, " "))
}

// identify compares who the client says it is with who it is. Saying
// nothing means the user that the kernel tells.
func (s *sasl) identify(response string) (string, error) {
	claimed, err := hex.DecodeString(response)
	if err != nil {
		return s.reject()
	}
	if len(claimed) > 0 {
		uid, err := strconv.ParseUint(string(claimed), 10, 32)
		if err != nil || uint32(uid) != s.peer {
			return s.reject()
		}
	}
	if !s.allowed {
		return s.reject()
	}
	s.state = saslWaitBegin
	return "OK " + s.guid, nil
}

func (s *sasl) reject() (string, error) {
	s.state = saslWaitAuth
	s.rejected++
	if s.rejected >= saslAttempts {
		return saslRejectedAll, fmt.Errorf("rejected %d times", s.rejected)
	}
	return saslRejectedAll, nil
}
