package engine

import "fmt"

// ErrorKind is a class of refusal; the bus has one error name for each.
type ErrorKind uint8

// The kinds of errors.
const (
	InvalidArgs ErrorKind = iota
	UnknownJob
	UnknownInstance
	AlreadyStarted
	AlreadyStopped
	NotRunning
	JobFailed
	EventFailed
	LimitsExceeded
)

// Error is a refusal or failure of a call. Msg is the sentence that clients
// print. Reason says more where more is known ("pre-start process exited
// with status 1"); it is empty otherwise.
type Error struct {
	Kind   ErrorKind
	Msg    string
	Reason string
}

func (e *Error) Error() string { return e.Msg }

func errorf(kind ErrorKind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}
