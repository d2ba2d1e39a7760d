// Package conf knows where job files are: which directories, which files in
// them, which of several files of one name counts, which override goes over
// it, and what changes while the daemon runs.
//
// It does not know what stands in a job file: that is package job, whose two
// functions are handed in. It does not know what a change means for the
// instances that run: it reports each job whose definition is another one,
// and no more.
//
// It promises that no file is read on the caller's goroutine, that a file is
// opened only if it is a regular one, that a file whose text is the same is
// no change, that a broken file never takes away a definition that was good,
// that a file which somebody is writing goes on to count as it did until it is
// closed, for some seconds at most, and that nothing is lost when the kernel
// drops notices: then everything is read again. When idle it runs no timer and
// reads nothing. A change of one file reads that file. Of the directories above
// a search directory, such as the home directory, only that names come and go
// is heard, and where they do so all the time, not more than a few times a
// second.
//
// A search directory is read by a goroutine of its own, one at a time, so
// that one on a file system that hangs leaves the others alone:
//
//	notices -> dirt -> (quiet for a moment) -> trees read -> resolve -> apply
//
// The parts: dirs.go and name.go say what the specification says of
// directories and names; follow.go walks symbolic links; watch.go keeps the
// notices of the kernel in step with what was looked up; outlook.go watches
// the directories of which only some names matter; tree.go reads one
// search directory; dirt.go collects what has to be looked at; resolve.go
// decides between files; watcher.go is the goroutine that ties them.
package conf
