package conf

// Logger is told what is wrong with files and directories, and what becomes of
// them: a sentence, and keys with values behind it. That of log/slog is one; what
// only reads files does without that package.
type Logger interface {
	Debug(text string, keys ...any)
	Info(text string, keys ...any)
	Warn(text string, keys ...any)
	Error(text string, keys ...any)
}

// silence is a Logger that says nothing.
type silence struct{}

func (silence) Debug(string, ...any) {}
func (silence) Info(string, ...any)  {}
func (silence) Warn(string, ...any)  {}
func (silence) Error(string, ...any) {}
