// Package desktop reads desktop entry files as the Desktop Entry and the
// Desktop Application Autostart specifications have them
// (https://specifications.freedesktop.org), says whether an entry starts with
// a session and which of its keys decides that, and makes the text of a job
// file of it.
//
// It opens no files and asks nobody: what is to be known of the world, such as
// whether a program exists, is handed in as a Lookup. It does not know when a
// session begins: that stands as "start on" in the text that it makes.
//
// It promises that the job file says the same as the verdict: for every
// desktop, the condition is true if and only if Verdict says that the entry
// starts there, but for what is found out when the job starts (TryExec and the
// two kinds of conditions), which its pre-start process looks at.
package desktop
