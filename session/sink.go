package session

import (
	"fmt"
	"io"
	"time"

	"github.com/session-init/session-init/guard"
	"github.com/session-init/session-init/supervise/sink"
)

// sinkSize bounds what of the log waits to be written, in bytes.
const sinkSize = 1 << 20

// newSink takes the lines of the log; closing it ends it.
func newSink(out io.Writer, start *guard.Guard) *sink.Sink {
	return sink.New(out, sinkSize, linesLost, func(run func()) { start.Go("writer of the log", run) })
}

// linesLost is the line of the log that tells how many were lost.
func linesLost(lost int) string {
	return fmt.Sprintf("time=%s level=WARN msg=\"the log was not read in time: %d lines are lost\"\n",
		time.Now().Format("2006-01-02T15:04:05.000Z07:00"), lost)
}
