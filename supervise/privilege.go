package supervise

import (
	"encoding/binary"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A program that gains privileges by its exec (set-user-ID, set-group-ID, file
// capabilities) runs without them when it is traced by somebody without
// CAP_SYS_PTRACE, and is not told; see execve(2). So the child looks at what it
// is about to run before it asks for the trace (childGains), and, where that is
// a shell, also at what the shell's text says that it will run in its place.
// What is found in another way, as by a variable, is noticed when it has
// happened, and said.

// Unprivileged: a process that is traced ran a program that gains privileges by
// its exec, without them, because it is traced.
type Unprivileged struct {
	ID    ProcID
	Label string // Spec.Label
	Pid   int
}

func (Unprivileged) event() {}

// Error gives the sentence.
func (u Unprivileged) Error() string {
	return "process " + strconv.Itoa(u.Pid) + " ran a program that gains privileges by its exec, and it got none, because its forks are followed: " +
		"name the program itself after 'exec', or declare no 'expect fork' or 'expect daemon'"
}

// shellText returns what a shell is given to run; empty when it is no shell, or
// nobody knows its text.
func shellText(spec *Spec) string {
	if spec.Script != "" {
		return spec.Script
	}
	given := func(word string) bool { return strings.HasPrefix(word, "-") && strings.HasSuffix(word, "c") }
	if at := slices.IndexFunc(spec.Argv, given); strings.HasSuffix(spec.Path, "sh") && at > 0 && at+1 < len(spec.Argv) {
		return spec.Argv[at+1]
	}
	return ""
}

// execsOf lists the programs that a shell's text runs in place of the shell, as
// far as they stand there as plain words.
func execsOf(text string) (programs []string) {
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		begins := true // a command begins here
		for i, word := range words {
			if begins && word == "exec" && i+1 < len(words) {
				program := words[i+1]
				if len(program) > 1 && (program[0] == '"' || program[0] == '\'') && program[len(program)-1] == program[0] {
					program = program[1 : len(program)-1]
				}
				program = strings.TrimRight(program, ";&")
				if program != "" && !strings.ContainsAny(program, "$`\"'\\*?[]<>|&;(){}~=") && program[0] != '-' {
					programs = append(programs, program)
				}
			}
			switch word {
			case "&&", "||", "then", "else", "do", "{", "(", "!", ";":
				begins = true
			default:
				begins = strings.HasSuffix(word, ";")
			}
		}
	}
	return programs
}

// What auxv says, see getauxval(3).
const (
	auxPage   = 6
	auxUID    = 11
	auxEUID   = 12
	auxGID    = 13
	auxEGID   = 14
	auxSecure = 23
)

// lostPrivileges tells of a process that is stopped after its exec, and traced
// by somebody without CAP_SYS_PTRACE, whether its program was to gain privileges:
// then the kernel marks the exec as one to be careful in, and gives nothing.
func lostPrivileges(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/auxv")
	if err != nil {
		return false
	}
	aux := parseAuxv(data)
	return aux[auxSecure] != 0 && aux[auxUID] == aux[auxEUID] && aux[auxGID] == aux[auxEGID]
}

// parseAuxv reads pairs of words, of 64 or of 32 bits.
func parseAuxv(data []byte) map[uint64]uint64 {
	order := binary.NativeEndian
	wide := make(map[uint64]uint64)
	for pair := range slices.Chunk(data, 16) {
		if len(pair) == 16 {
			wide[order.Uint64(pair)] = order.Uint64(pair[8:])
		}
	}
	if _, is := wide[auxPage]; is {
		return wide
	}
	narrow := make(map[uint64]uint64)
	for pair := range slices.Chunk(data, 8) {
		if len(pair) == 8 {
			narrow[uint64(order.Uint32(pair))] = uint64(order.Uint32(pair[4:]))
		}
	}
	return narrow
}
