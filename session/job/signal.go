package job

import (
	"strconv"
	"strings"
)

// signalNames are Linux's signals by number, as every architecture that we
// build for has them; see signal(7).
var signalNames = [...]string{
	1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE",
	9: "KILL", 10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM",
	16: "STKFLT", 17: "CHLD", 18: "CONT", 19: "STOP", 20: "TSTP", 21: "TTIN", 22: "TTOU",
	23: "URG", 24: "XCPU", 25: "XFSZ", 26: "VTALRM", 27: "PROF", 28: "WINCH", 29: "IO",
	30: "PWR", 31: "SYS",
}

const (
	sigRTMin = 34 // as libc has it: 32 and 33 are its own
	sigRTMax = 64
)

// SignalName returns the name of a signal without SIG ("TERM", "RTMIN+3"),
// or its number in digits when it has none.
func SignalName(signal int) string {
	switch {
	case signal > 0 && signal < len(signalNames):
		return signalNames[signal]
	case signal == sigRTMin:
		return "RTMIN"
	case signal > sigRTMin && signal <= sigRTMax:
		return "RTMIN+" + strconv.Itoa(signal-sigRTMin)
	}
	return strconv.Itoa(signal)
}

// ParseSignal returns the number of a signal's name, upper case, with or
// without SIG. IOT, CLD and POLL are known, as are RTMIN, RTMIN+n and
// RTMAX-n. Numbers are not names.
func ParseSignal(name string) (signal int, ok bool) {
	name = strings.TrimPrefix(name, "SIG")
	switch name {
	case "IOT":
		return 6, true
	case "CLD":
		return 17, true
	case "POLL":
		return 29, true
	case "RTMIN":
		return sigRTMin, true
	case "RTMAX":
		return sigRTMax, true
	}
	for n, have := range signalNames {
		if have != "" && have == name {
			return n, true
		}
	}
	if rest, found := strings.CutPrefix(name, "RTMIN+"); found {
		n, err := strconv.ParseUint(rest, 10, 8)
		return sigRTMin + int(n), err == nil && n <= sigRTMax-sigRTMin
	}
	if rest, found := strings.CutPrefix(name, "RTMAX-"); found {
		n, err := strconv.ParseUint(rest, 10, 8)
		return sigRTMax - int(n), err == nil && n <= sigRTMax-sigRTMin
	}
	return 0, false
}
