package supervise

// The process holds its log itself, opened for appending: what it writes
// costs the daemon nothing and survives the daemon. The child opens the file,
// since that may hang with the file system.

// logDirs returns the directories above a log file, the outermost first. The
// child makes those that are missing (0700), so that jobs go on starting when
// someone has cleaned up below the daemon.
func logDirs(path string) []string {
	var dirs []string
	for i := 1; i < len(path); i++ {
		if path[i] == '/' && path[i-1] != '/' {
			dirs = append(dirs, path[:i])
		}
	}
	return dirs
}
