package session

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/session-init/session-init/session/engine"
)

// The severities of the log beside slog's own, by Upstart's names.
const (
	levelMessage = slog.Level(2)
	levelFatal   = slog.Level(12)
)

// priorities are the words of log_priority, least severe first.
var priorities = []struct {
	word  string
	level slog.Level
}{
	{"debug", slog.LevelDebug},
	{"info", slog.LevelInfo},
	{"message", levelMessage},
	{"warn", slog.LevelWarn},
	{"error", slog.LevelError},
	{"fatal", levelFatal},
}

// newLogger writes structured text to w.
func newLogger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key != slog.LevelKey || len(groups) > 0 {
				return a
			}
			if level, ok := a.Value.Any().(slog.Level); ok {
				a.Value = slog.StringValue(levelWord(level))
			}
			return a
		},
	}))
}

func levelWord(level slog.Level) string {
	for _, p := range priorities {
		if p.level == level {
			return strings.ToUpper(p.word)
		}
	}
	return level.String()
}

func parsePriority(word string) (slog.Level, error) {
	for _, p := range priorities {
		if p.word == word {
			return p.level, nil
		}
	}
	return 0, fmt.Errorf("unknown log priority '%s': expected debug, info, message, warn, error or fatal", word)
}

var engineLevels = [...]slog.Level{
	engine.Debug:      slog.LevelDebug,
	engine.Info:       slog.LevelInfo,
	engine.Warn:       slog.LevelWarn,
	engine.ErrorLevel: slog.LevelError,
}

// record writes a line of the engine.
func (l *Loop) record(line engine.Log) {
	level := engineLevels[line.Level]
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	var attrs []slog.Attr
	if line.Class != "" {
		attrs = append(attrs, slog.String("job", line.Class))
	}
	if line.Instance != "" {
		attrs = append(attrs, slog.String("instance", line.Instance))
	}
	l.log.LogAttrs(context.Background(), level, line.Msg, attrs...)
}

// narrate tells of events and states as they pass, for --verbose.
func (l *Loop) narrate(n engine.Notify) {
	if !l.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	label := n.Class
	if n.Instance != "" {
		label += " (" + n.Instance + ")"
	}
	switch n.Kind {
	case engine.StateChanged:
		l.log.Info(label+" "+n.Text, "job", n.Class)
	case engine.EventEmitted:
		l.log.Info(strings.TrimSpace("event " + n.Text + " " + strings.Join(n.Env, " ")))
	case engine.JobAdded:
		l.log.Debug(label + " loaded")
	case engine.JobRemoved:
		l.log.Debug(label + " removed")
	}
}

// isTerminal reports whether a descriptor is a terminal.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}
