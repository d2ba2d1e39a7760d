package display

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/session-init/session-init/session/api"
	"github.com/session-init/session-init/session/display/variable"
	"github.com/session-init/session-init/session/wire"
)

// The bus itself.
const (
	busName = "org.freedesktop.DBus"
	busPath = "/org/freedesktop/DBus"
)

// BusAddress returns the address of the session bus that variables name: what
// they say, else the socket where it usually is, if there is one; empty for
// none.
func BusAddress(lookup func(string) string) string {
	if address := lookup(variable.Bus); address != "" {
		return address
	}
	if dir := lookup("XDG_RUNTIME_DIR"); dir != "" {
		if socket := filepath.Join(dir, "bus"); isSocket(socket) {
			return api.UnixAddress(socket)
		}
	}
	return ""
}

func isSocket(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// activation are the variables of services that the bus starts: a{ss}.
type activation []string

// Signature is that of UpdateActivationEnvironment.
func (activation) Signature() string { return "a{ss}" }

// Encode writes them, each KEY=VALUE.
func (a activation) Encode(w *wire.Writer) {
	array := w.Array('{')
	for _, entry := range a {
		key, value, _ := strings.Cut(entry, "=")
		w.Struct()
		w.String(key)
		w.String(value)
	}
	w.EndArray(array)
}

// Activate has the bus give these variables, each KEY=VALUE, to the services
// that it starts from now on, and waits until it says that it does. Nothing
// can be taken back there, but a variable can be empty. The address of the bus
// is none of a service's variables that differ from session to session.
//
// D-Bus has only strings of valid UTF-8: others are left out, and untold names
// them, each as it can be shown.
//
// The connection is one of its own, since a session may have another bus than
// the daemon is on.
func Activate(ctx context.Context, address string, env []string) (untold []string, err error) {
	told, untold := tellable(env)
	client, err := api.DialBus(ctx, address)
	if err != nil {
		return untold, err
	}
	defer client.Close()
	replies, err := client.CallAll(ctx, []api.Request{{Destination: busName, Path: busPath, Interface: busName,
		Member: "UpdateActivationEnvironment", Args: []any{told}}})
	if err == nil && replies[0].Err != nil {
		err = replies[0].Err
	}
	if errors.Is(err, api.ErrDisconnected) {
		err = errors.New("it has closed the connection") // no session-init is there
	}
	if err != nil {
		return untold, fmt.Errorf("cannot tell the bus at %s of the variables: %w", address, err)
	}
	return untold, nil
}

// tellable parts variables: what the bus is told, and the names of what it
// cannot be told.
func tellable(env []string) (told activation, untold []string) {
	for _, entry := range env {
		key, _, _ := strings.Cut(entry, "=")
		switch {
		case key == variable.Bus:
		case utf8.ValidString(entry):
			told = append(told, entry)
		default:
			untold = append(untold, strings.ToValidUTF8(key, "\uFFFD"))
		}
	}
	return told, untold
}
