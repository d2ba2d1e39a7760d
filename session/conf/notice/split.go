package notice

import (
	"encoding/binary"
	"strings"
)

// head is the size in bytes of what stands before the name in an inotify_event;
// see inotify(7).
const head = 16

// RoomFor returns how many bytes so many notices of the kernel may take.
func RoomFor(notices int) int {
	const longest = 255 + 1 // NAME_MAX and its end
	return notices * (head + longest)
}

// Split hands on, in their order, the notices that were read from the kernel:
// the number of the watch, what happened (IN_CREATE and so on), and the name in
// the directory, which is empty when it is the directory itself.
func Split(read []byte, take func(watch int, mask uint32, name string)) {
	for len(read) >= head {
		size := head + int(binary.NativeEndian.Uint32(read[12:]))
		if size > len(read) {
			return // the kernel gives whole ones only
		}
		name, _, _ := strings.Cut(string(read[head:size]), "\x00")
		take(int(int32(binary.NativeEndian.Uint32(read))), binary.NativeEndian.Uint32(read[4:]), name)
		read = read[size:]
	}
}
