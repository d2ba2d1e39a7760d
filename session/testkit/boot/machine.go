package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// patience is how long a machine may show nothing new, on a slow computer, while
// something is waited for. All together is bounded by .ci/qemu.
const patience = 150 * time.Second

// machine is a running QEMU, its serial console and its monitor.
type machine struct {
	cmd     *exec.Cmd
	typed   io.WriteCloser
	exited  chan error
	monitor net.Conn
	replies *bufio.Reader

	mu     sync.Mutex
	screen []byte        // everything that was shown
	more   chan struct{} // closed, and made anew, when there is more
	gone   bool          // nothing will come any more
	read   int           // how far expect has read
	file   *os.File
}

// start starts a machine with a file system for its disk. words are added to the
// kernel's command line.
func start(o options, name, image, words string) (*machine, error) {
	file, err := os.Create(o.transcript(name))
	if err != nil {
		return nil, err
	}
	m := &machine{more: make(chan struct{}), exited: make(chan error, 1), file: file}
	socket := filepath.Join(o.images, name+".qmp")
	m.cmd = exec.Command("qemu-system-x86_64", append(processor(o.kvm),
		"-nodefaults", "-no-user-config", "-machine", "pc", "-smp", "1", "-m", "512",
		"-display", "none", "-nic", "none", "-no-reboot",
		// With a screen, so that there are virtual consoles, and the keyboard that belongs to them.
		"-vga", "std",
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-qmp", "unix:"+socket+",server=on,wait=off",
		"-drive", "if=none,id=root,format=raw,cache=unsafe,file="+image, "-device", "nvme,serial=root,drive=root",
		// The kernel's test of its timer fails when this computer is busy, and of the
		// HPET it says how busy.
		"-kernel", o.kernel, "-append", strings.TrimSpace("console=ttyS0,115200 root=/dev/nvme0n1 rootfstype=ext4 ro panic=-1 no_timer_check hpet=disable mitigations=off apparmor=0 tsc=reliable "+words))...)
	m.cmd.Stderr = file
	out, err := m.cmd.StdoutPipe()
	if err == nil {
		m.typed, err = m.cmd.StdinPipe()
	}
	if err == nil {
		err = m.cmd.Start()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	go m.follow(out)
	// The kernel's first line comes when the monitor is there.
	if _, err = m.expect(`Linux version`); err == nil {
		err = m.connect(socket)
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// processor are the words for the processor. The clock of an emulated one goes by
// its instructions, two nanoseconds for each, and by ours while it has nothing to do:
// a millisecond of processor time is half a million instructions, however busy this
// computer is.
func processor(kvm bool) []string {
	if kvm {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg", "-cpu", "max,la57=off", "-icount", "shift=1"}
}

// follow reads the console to its end, and reaps QEMU.
func (m *machine) follow(out io.Reader) {
	part := make([]byte, 4096)
	for {
		n, err := out.Read(part)
		m.mu.Lock()
		m.screen = append(m.screen, part[:n]...)
		m.file.Write(part[:n])
		m.gone = err != nil
		close(m.more)
		m.more = make(chan struct{})
		m.mu.Unlock()
		if err != nil {
			m.exited <- m.cmd.Wait()
			return
		}
	}
}

// expect waits until the console shows a pattern behind what was read, and
// returns its groups.
func (m *machine) expect(pattern string) ([]string, error) { return m.within(pattern, patience) }

// insist types a line, and again, until a pattern shows: what is typed while a
// program makes the terminal its own is thrown away.
func (m *machine) insist(line, pattern string) (err error) {
	const again = 5 * time.Second
	for range patience / again {
		if err = m.write(line); err != nil {
			return err
		}
		if _, err = m.within(pattern, again); err == nil {
			return nil
		}
	}
	return err
}

// within is expect with a bound of its own for how long nothing new may come.
func (m *machine) within(pattern string, patience time.Duration) ([]string, error) {
	re := regexp.MustCompile(pattern)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		m.mu.Lock()
		more, gone := m.more, m.gone
		if at := re.FindSubmatchIndex(m.screen[m.read:]); at != nil {
			var groups []string
			for _, g := range re.FindSubmatch(m.screen[m.read:]) {
				groups = append(groups, string(g))
			}
			m.read += at[1]
			m.mu.Unlock()
			return groups, nil
		}
		m.mu.Unlock()
		if gone {
			return nil, fmt.Errorf("the machine has ended without showing %q", pattern)
		}
		select {
		case <-more:
			timer.Reset(patience)
		case <-timer.C:
			return nil, fmt.Errorf("the console does not show %q", pattern)
		}
	}
}

func (m *machine) write(line string) error {
	_, err := io.WriteString(m.typed, line+"\n")
	return err
}

// shell runs a command in the shell that was logged in to. It returns what the
// command has shown; a status other than 0 is an error.
func (m *machine) shell(command string) (string, error) {
	// What is typed is not echoed, and would not match: the status is no digit.
	if err := m.write(command + "\necho \"[status $?]\""); err != nil {
		return "", err
	}
	escapes := regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]`) // what the shell tells a terminal
	groups, err := m.expect(`(?s)(.*?)\[status ([0-9]+)\]`)
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	text := strings.TrimSpace(strings.ReplaceAll(escapes.ReplaceAllString(groups[1], ""), "\r", ""))
	if groups[2] != "0" {
		return text, fmt.Errorf("%s: status %s: %s", command, groups[2], text)
	}
	return text, nil
}

// tail returns the last lines of the console.
func (m *machine) tail() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(bytes.ReplaceAll(m.screen, []byte("\r"), nil))), "\n")
	return "    " + strings.Join(lines[max(0, len(lines)-25):], "\n    ")
}

// connect opens the monitor; see QEMU's QMP specification.
func (m *machine) connect(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return fmt.Errorf("cannot talk to QEMU: %w", err)
	}
	m.monitor, m.replies = conn, bufio.NewReader(conn)
	if err := conn.SetDeadline(time.Now().Add(8 * patience)); err != nil {
		return err
	}
	_, err = m.command("qmp_capabilities", nil)
	return err
}

// message is what the monitor says.
type message struct {
	Event  string          `json:"event"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Desc string `json:"desc"`
	} `json:"error"`
	Data struct {
		Reason string `json:"reason"`
	} `json:"data"`
}

func (m *machine) hear() (message, error) {
	var said message
	line, err := m.replies.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	return said, err
}

func (m *machine) command(name string, arguments any) (json.RawMessage, error) {
	request := map[string]any{"execute": name}
	if arguments != nil {
		request["arguments"] = arguments
	}
	text, err := json.Marshal(request)
	if err == nil {
		_, err = m.monitor.Write(append(text, '\n'))
	}
	for err == nil {
		var said message
		switch said, err = m.hear(); {
		case err != nil:
		case said.Error != nil:
			err = errors.New(said.Error.Desc)
		case said.Return != nil:
			return said.Return, nil
		}
	}
	return nil, fmt.Errorf("QEMU's %s: %w", name, err)
}

// press presses keys of the machine's keyboard at once.
func (m *machine) press(keys ...string) error {
	var list []map[string]string
	for _, key := range keys {
		list = append(list, map[string]string{"type": "qcode", "data": key})
	}
	_, err := m.command("send-key", map[string]any{"keys": list})
	return err
}

// The reasons why a machine ends, as QEMU tells them.
const (
	poweredOff = "guest-shutdown"
	rebooted   = "guest-reset"
)

// ended waits for the end of the machine, which must have that reason; empty for
// one that is still running and is ended from outside, with its disk as it is.
func (m *machine) ended(reason string) error {
	if reason == "" {
		return nil
	}
	if err := m.monitor.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	for {
		said, err := m.hear()
		if err != nil {
			return fmt.Errorf("the machine does not end: %w", err)
		}
		if said.Event != "SHUTDOWN" {
			continue
		}
		if said.Data.Reason != reason {
			return fmt.Errorf("the machine ended by %s; want %s", said.Data.Reason, reason)
		}
		break
	}
	select {
	case err := <-m.exited:
		m.exited <- err
		return err
	case <-time.After(patience):
		return errors.New("QEMU does not exit")
	}
}

// close ends what is left.
func (m *machine) close() {
	if m.monitor != nil {
		m.monitor.Close()
	}
	// It may have ended long ago.
	_ = m.cmd.Process.Kill()
	<-m.exited
	m.file.Close()
}
