//go:build failpoints

package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// FailPoints returns what a build for tests does at each named point of the
// daemon (Options.Fail). SESSION_INIT_FAILPOINTS names a directory. A file in
// it with the name of the point, or "any" for all of the daemon's, holds "kill N",
// "panic N" or "panic-always": at the Nth passage from then on the file is
// removed and the daemon dies so. The file "passed" gets the name of the point.
func FailPoints(environ []string) func(point string) {
	var dir string
	for _, entry := range environ {
		if value, found := strings.CutPrefix(entry, "SESSION_INIT_FAILPOINTS="); found {
			dir = value
		}
	}
	if dir == "" {
		return nil
	}
	var mu sync.Mutex
	passages := make(map[string]int)
	return func(point string) {
		mu.Lock()
		defer mu.Unlock()
		names := []string{point, "any"}
		if strings.HasPrefix(point, "keeper-") {
			// It is not the daemon's.
			names = names[:1]
		}
		for _, name := range names {
			path := filepath.Join(dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				delete(passages, name)
				continue
			}
			var how string
			count := 1
			fmt.Sscan(string(text), &how, &count)
			if passages[name]++; passages[name] < count {
				continue
			}
			if how != "panic-always" {
				os.Remove(path)
			}
			os.WriteFile(filepath.Join(dir, "passed"), []byte(point), 0o600)
			if how == "kill" {
				unix.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			panic("fail point " + point)
		}
	}
}
