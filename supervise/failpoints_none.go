//go:build !failpoints

package supervise

// FailPoints returns what is done at each named point of the daemon: nothing.
// Only a build for tests, with the tag failpoints, has something to do there.
func FailPoints(environ []string) func(point string) { return nil }
