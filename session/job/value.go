package job

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Words that stand for a value.
const (
	unlimitedWord = "unlimited"
	neverWord     = "never"
)

const (
	minOOMScore = -1000
	maxOOMScore = 1000
	// The older scale of /proc/PID/oom_adj.
	minOOMAdjust = -17
	maxOOMAdjust = 15
	minNice      = -20
	maxNice      = 19
	maxUmask     = 0o777
	maxLogSize   = 1 << 50
	maxLogCount  = 1000
)

// maxSeconds is for ever: more is taken, and counts as this. It leaves room
// to add it to a time.
const maxSeconds = 1 << 32

var (
	expectWords = []string{"none", "stop", "daemon", "fork"} // by Expect
	// with those that are stanzas of their own
	expectAll = []string{"none", "stop", "daemon", "fork", "dbus NAME", "listen", "notify"}
	// by KillMode
	killModeWords = []string{"tree", "group", "process"}
	consoleWords  = []string{"none", "log", "output", "owner", "pty"} // by Console, from ConsoleNone
)

// number reads a number as strtol(3) does, but that nothing may follow it and
// that nothing wraps around.
func number(text string, base int) (value uint64, negative, ok bool) {
	text = strings.TrimLeft(text, " \t\n\v\f\r")
	if text != "" && (text[0] == '+' || text[0] == '-') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if text == "" || text[0] < '0' || text[0] > '9' {
		return 0, false, false
	}
	value, err := strconv.ParseUint(text, base, 64)
	return value, negative && value != 0, err == nil
}

// integer reads a number between low and high.
func integer(text string, low, high int64) (int64, bool) {
	value, negative, ok := number(text, 10)
	if !ok || value > math.MaxInt64 {
		return 0, false
	}
	n := int64(value)
	if negative {
		n = -n
	}
	return n, n >= low && n <= high
}

// illegal reports a bad value: what it was to be, and what that may be.
func (p *parser) illegal(w word, what, expected string) {
	p.fail(w.pos, "illegal "+what+" "+named(w.text)+" (expected "+expected+")")
}

// oneOf reports a word that is not on a list. An entry of it may say what follows
// the word.
func (p *parser) oneOf(w word, title string, list []string) {
	expected := listed(list)
	words := make([]string, len(list))
	for i, entry := range list {
		words[i], _, _ = strings.Cut(entry, " ")
	}
	if best := suggest(w.text, words); best != "" {
		expected += "; did you mean '" + best + "'?"
	}
	p.fail(w.pos, "unknown word "+named(w.text)+" after '"+title+"' (expected "+expected+")")
}

func (p *parser) seconds(w word, to *time.Duration) bool {
	n, ok := integer(w.text, 0, math.MaxInt64)
	if !ok {
		p.illegal(w, "interval", "a whole number of seconds")
		return false
	}
	*to = time.Duration(min(n, maxSeconds)) * time.Second
	return true
}

func (p *parser) secondsAbove0(w word, to *time.Duration) bool {
	if n, ok := integer(w.text, 0, 0); ok && n == 0 {
		p.illegal(w, "interval", "a whole number of seconds above 0")
		return false
	}
	return p.seconds(w, to)
}

func (p *parser) signal(w word, to *int) {
	if signal, ok := ParseSignal(w.text); ok {
		*to = signal
		return
	}
	n, ok := integer(w.text, 0, sigRTMax)
	if !ok {
		p.illegal(w, "signal", "a name such as TERM, or a number up to 64")
		return
	}
	*to = int(n)
}

func setExpect(p *parser, args []word) {
	at := slices.Index(expectWords, args[0].text)
	if at < 0 {
		p.oneOf(args[0], "expect", expectAll)
		return
	}
	p.class.Expect, p.class.BusName = Expect(at), ""
}

func setExpectDBus(p *parser, args []word) {
	if !isBusName(args[0].text) {
		p.illegal(args[0], "bus name", "a name such as org.example.Agent1: words of letters, digits, '_' and '-' that begin with no digit, with dots between them")
		return
	}
	p.class.Expect, p.class.BusName = ExpectDBus, args[0].text
}

// maxBusName is how long a name on a bus may be, in bytes.
const maxBusName = 255

// isBusName tells whether a name can be owned on a bus, as the D-Bus
// specification has it ("Valid Names"), by who asks for it.
func isBusName(name string) bool {
	words := strings.Split(name, ".")
	for _, word := range words {
		if word == "" || word[0] >= '0' && word[0] <= '9' {
			return false
		}
		for _, c := range []byte(word) {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
				return false
			}
		}
	}
	return len(words) > 1 && len(name) <= maxBusName
}

// setEnvFile wants a whole path: the daemon reads the file, and where the
// daemon stands says nothing to the author of a job.
func setEnvFile(p *parser, args []word) {
	if args[0].text[0] != '/' {
		p.illegal(args[0], "path", "one that begins with '/'; variables are not expanded here")
		return
	}
	p.class.EnvFiles = append(p.class.EnvFiles, args[0].text)
}

func setKillMode(p *parser, args []word) {
	at := slices.Index(killModeWords, args[0].text)
	if at < 0 {
		p.oneOf(args[0], "kill mode", killModeWords)
		return
	}
	p.class.KillMode = KillMode(at)
}

// setReadyTimeout refuses 0: to be ready takes a moment, and to wait for ever
// is what the stanza is there to prevent.
func setReadyTimeout(p *parser, args []word) {
	p.secondsAbove0(args[0], &p.class.ReadyTimeout)
}

func setWatchdog(p *parser, args []word) {
	var interval time.Duration
	signal := DefaultWatchdogSignal
	ok := p.seconds(args[0], &interval)
	if len(args) > 1 {
		p.signal(args[1], &signal)
	}
	if ok {
		p.class.Watchdog, p.class.WatchdogSignal = interval, signal
	}
}

func setConsole(p *parser, args []word) {
	at := slices.Index(consoleWords, args[0].text)
	if at < 0 {
		p.oneOf(args[0], "console", consoleWords)
		return
	}
	p.class.Console = ConsoleNone + Console(at)
}

func setLogLimit(p *parser, args []word) {
	size, sizeOK := logSize(args[0].text)
	if !sizeOK {
		p.illegal(args[0], "size", "a number of bytes, or of K, M or G as in 10M; 0 is without limit")
	}
	if len(args) < 2 {
		return
	}
	count, countOK := integer(args[1].text, 0, maxLogCount)
	if !countOK {
		p.illegal(args[1], "count", "0 to 1000 older parts")
	}
	if sizeOK && countOK {
		p.class.LogLimit = LogLimit{Size: size, Count: int(count)}
	}
}

// logUnits are the letters behind a size.
const logUnits = "KMG"

// logSize reads a number of bytes with one of logUnits behind it, or none.
func logSize(text string) (size int64, ok bool) {
	shift := 0
	if last := len(text) - 1; last >= 0 {
		if unit := strings.IndexByte(logUnits, text[last]&^0x20); unit >= 0 {
			text, shift = text[:last], 10*(unit+1)
		}
	}
	n, ok := integer(text, 0, maxLogSize>>shift)
	return n << shift, ok
}

func setRespawnLimit(p *parser, args []word) {
	if args[0].text == unlimitedWord {
		p.class.RespawnLimit = 0
		if len(args) > 1 {
			p.fail(args[1].pos, "unexpected "+named(args[1].text)+" (expected nothing more after 'respawn limit unlimited')")
		}
		return
	}
	n, ok := integer(args[0].text, 0, math.MaxInt32)
	if !ok {
		p.illegal(args[0], "limit", "a number or 'unlimited'")
	}
	p.class.RespawnLimit = int(n)
	if len(args) < 2 {
		if !p.cut {
			p.fail(p.pos, "'respawn limit' is not complete (expected a number of seconds after the count)")
		}
		return
	}
	p.seconds(args[1], &p.class.RespawnInterval)
}

func setRespawnDelay(p *parser, args []word) {
	var delay time.Duration
	if !p.seconds(args[0], &delay) {
		return
	}
	p.class.RespawnDelay = delay
	p.lintRespawn(args[0])
}

// setRespawnBackoff refuses what would be no delay at all: a factor or a MAX of
// 0. The factor 1 does not grow, which is how an override takes it back.
func setRespawnBackoff(p *parser, args []word) {
	factor, factorOK := integer(args[0].text, 1, math.MaxInt32)
	if !factorOK {
		p.illegal(args[0], "factor", "a whole number above 0")
	}
	if len(args) < 2 {
		return
	}
	var most time.Duration
	mostOK := p.secondsAbove0(args[1], &most)
	if factorOK && mostOK {
		p.class.RespawnFactor, p.class.RespawnMax = int(factor), most
		p.lintRespawn(args[1])
	}
}

// lintRespawn warns of a delay that 'respawn backoff' never lets come to be.
func (p *parser) lintRespawn(w word) {
	if c := p.class; c.RespawnFactor != 0 && c.RespawnDelay > c.RespawnMax {
		p.warn(w.pos, "'respawn delay' is longer than the MAX of 'respawn backoff' (which holds: "+printSeconds(c.RespawnMax)+")")
	}
}

func setNormalExit(p *parser, args []word) {
	for _, w := range args {
		if p.full() {
			return
		}
		if signal, ok := ParseSignal(w.text); ok {
			p.class.NormalExit = append(p.class.NormalExit, Exit{Signal: signal})
			continue
		}
		n, ok := integer(w.text, 0, math.MaxInt32)
		if !ok {
			p.illegal(w, "exit status", "a number or the name of a signal")
			continue
		}
		p.class.NormalExit = append(p.class.NormalExit, exitOf(int(n)))
	}
}

// exitOf reads a number of "normal exit": beyond the statuses that a process
// can have lie the signals, each as its number times 256.
func exitOf(n int) Exit {
	if signal := n >> 8; n&0xff == 0 && signal >= 1 && signal <= sigRTMax {
		return Exit{Signal: signal}
	}
	return Exit{Status: n}
}

func setUmask(p *parser, args []word) {
	value, negative, ok := number(args[0].text, 8)
	if !ok || negative || value > maxUmask {
		p.illegal(args[0], "file creation mask", "an octal number up to 0777")
		return
	}
	mask := uint32(value)
	p.class.Umask = &mask
}

func setNice(p *parser, args []word) {
	n, ok := integer(args[0].text, minNice, maxNice)
	if !ok {
		p.illegal(args[0], "nice value", "-20 to 19")
		return
	}
	nice := int(n)
	p.class.Nice = &nice
}

func setOOM(p *parser, args []word) {
	if args[0].text == neverWord {
		score := minOOMScore
		p.class.OOMScore = &score
		return
	}
	n, ok := integer(args[0].text, minOOMAdjust, maxOOMAdjust)
	if !ok {
		p.illegal(args[0], "oom adjustment", "-17 to 15, or 'never'")
		return
	}
	score := int(n) * maxOOMScore / maxOOMAdjust
	if n < 0 {
		score = int(n) * minOOMScore / minOOMAdjust
	}
	p.class.OOMScore = &score
}

func setOOMScore(p *parser, args []word) {
	n, ok := int64(minOOMScore), args[0].text == neverWord
	if !ok {
		n, ok = integer(args[0].text, minOOMScore, maxOOMScore)
	}
	if !ok {
		p.illegal(args[0], "oom score", "-1000 to 1000, or 'never'")
		return
	}
	score := int(n)
	p.class.OOMScore = &score
}

func setLimit(p *parser, args []word) {
	resource, known := parseResource(args[0].text)
	if !known {
		p.oneOf(args[0], "limit", resources[:])
	}
	var values [2]uint64
	good := known && len(args) > len(values)
	for i, w := range args[1:] {
		value, ok := p.limitValue(w)
		values[i], good = value, good && ok
	}
	if !good {
		return
	}
	limit := Limit{Resource: resource, Soft: values[0], Hard: values[1]}
	for i := range p.class.Limits {
		if p.class.Limits[i].Resource == resource {
			p.class.Limits[i] = limit
			return
		}
	}
	p.class.Limits = append(p.class.Limits, limit)
}

func (p *parser) limitValue(w word) (uint64, bool) {
	if w.text == unlimitedWord {
		return Unlimited, true
	}
	value, negative, ok := number(w.text, 10)
	if negative && value == 1 {
		return Unlimited, ok
	}
	if !ok || negative {
		p.illegal(w, "limit", "a number or 'unlimited'")
		return 0, false
	}
	return value, true
}
