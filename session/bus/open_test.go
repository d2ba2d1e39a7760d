package bus

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/api"
)

// TestOpen: a client that comes while the daemon begins is let in, and what it asks
// for is done when all is there; when that never is, the client is sent away.
func TestOpen(t *testing.T) {
	for _, opens := range []bool{true, false} {
		_, s := serveWith(t, func(s *Server) {
			s.open = make(chan struct{})
			probe := method{"Probe", nil, nil, func(c *call) {
				select {
				case <-c.server.open:
				default:
					t.Error("a call is handled before the server is open")
				}
				c.answer(nil, nil)
			}}
			face := s.objects[managerObject][0]
			face.methods = append(face.methods, probe)
		})
		p := dial(t, s)
		p.write([]byte("\x00AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"))
		for range 2 {
			p.line()
		}
		serial := p.send(api.ManagerPath, "", "Probe")
		eventually(t, "the call to be read", func() bool {
			unread := 1
			raw, err := p.conn.SyscallConn()
			if err == nil {
				err = raw.Control(func(fd uintptr) { unread, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
			}
			return err == nil && unread == 0
		})
		if !opens {
			s.Close(patience)
			p.gone()
			continue
		}
		s.Open()
		if msg := p.receive(); replyTo(msg) != serial {
			t.Errorf("the answer is %v; want that to %d", msg, serial)
		}
	}
}
