package display

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The set-up of a connection, in the byte order that the client names; see
// the X Window System Protocol, section 8:
//
//	us:     'l' 0  major minor  length of name, of data  0 0  name  data
//	server: 1 …    it goes on        0 reason   it does not
//	        2 …    it wants more to be said

const (
	protocolMajor = 11
	cookieName    = "MIT-MAGIC-COOKIE-1"
)

// setUp says who we are. secret is the cookie; nil for none, which a server
// takes that trusts this user.
func setUp(ctx context.Context, conn net.Conn, secret []byte) error {
	name := cookieName
	if secret == nil {
		name = ""
	}
	hello := []byte{'l', 0}
	for _, n := range []int{protocolMajor, 0, len(name), len(secret), 0} {
		hello = binary.LittleEndian.AppendUint16(hello, uint16(n))
	}
	for _, text := range [][]byte{[]byte(name), secret} {
		hello = append(hello, text...)
		for len(hello)%4 != 0 {
			hello = append(hello, 0)
		}
	}
	limit := time.Now().Add(setUpTime)
	if end, ok := ctx.Deadline(); ok && end.Before(limit) {
		limit = end
	}
	if err := conn.SetDeadline(limit); err != nil {
		return err
	}
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return fmt.Errorf("the X server did not answer: %w", err)
	}
	rest := make([]byte, 4*int(binary.LittleEndian.Uint16(head[6:])))
	if _, err := io.ReadFull(conn, rest); err != nil {
		return fmt.Errorf("the X server did not answer: %w", err)
	}
	switch head[0] {
	case 1:
		return conn.SetDeadline(time.Time{})
	case 0:
		reason := rest[:min(int(head[1]), len(rest))]
		return fmt.Errorf("the X server says: %s", strings.TrimSpace(string(reason)))
	}
	return errors.New("the X server wants to be told more than a cookie")
}

// maxAuthority is how much of an authority file is looked at, in bytes.
const maxAuthority = 1 << 20

// The families of addresses in an authority file that mean this machine, and
// any.
const (
	familyLocal = 256
	familyWild  = 65535
)

// cookie finds the cookie of a display in the user's authority file; nil when
// there is none. A display on another machine is known by its number alone:
// ssh has put it there.
func cookie(lookup func(string) string, host, number string) []byte {
	path := lookup("XAUTHORITY")
	if path == "" {
		path = filepath.Join(lookup("HOME"), ".Xauthority")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAuthority))
	if err != nil {
		return nil
	}
	machine, _ := os.Hostname()
	return findCookie(text, machine, host == "", number)
}

// findCookie reads an authority file: entries of a family, in two bytes, and
// four texts, each with its length in two bytes: address, number, name of the
// protocol, data; see Xauthority(5).
func findCookie(text []byte, machine string, local bool, number string) []byte {
	for len(text) >= 2 {
		family := binary.BigEndian.Uint16(text)
		text = text[2:]
		var fields [4][]byte
		for i := range fields {
			if len(text) < 2 {
				return nil
			}
			n := int(binary.BigEndian.Uint16(text))
			if len(text)-2 < n {
				return nil
			}
			fields[i], text = text[2:2+n], text[2+n:]
		}
		here := !local || family == familyWild || family == familyLocal && string(fields[0]) == machine
		if here && (len(fields[1]) == 0 || string(fields[1]) == number) && string(fields[2]) == cookieName {
			return bytes.Clone(fields[3])
		}
	}
	return nil
}
