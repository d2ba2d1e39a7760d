// Package lint looks at a set of job files together and finds what is right
// by the rules of each file and most likely not what its author meant: events
// that nothing emits, jobs that do not exist, conditions that never come true,
// cycles of them, variables that an event does not carry, programs, users and
// directories that are not there, limits that cannot be had. What is wrong with
// one text alone is package job's to say.
//
// It touches nothing: the texts are handed in, and what it asks of the machine
// it asks through World. What can be said of the others' answers is a warning,
// never an error, for an event may come from a program that nobody has told of
// and a file may be there when the job starts. The same set and the same World
// give the same findings in the same order.
//
// How a condition is judged: an event can come if session-init emits it by
// itself, if somebody is known to (World.Events), or if a job does that can
// start; a job can start by itself if its condition can come true, and by hand
// if it has none. That is worked out from the bottom up, so what is left waits
// for something that never comes, or for itself.
package lint
