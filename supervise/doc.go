// Package supervise makes processes, reaps them, signals them and says where
// their output goes. It does not know jobs, goals or events of the session:
// a Spec comes in, Events go out, and both are plain data.
//
// # One thread
//
// All that touches a process (clone, wait, kill, ptrace) is done by one
// goroutine that is locked to its operating system thread: only the tracing
// thread may make a ptrace request, yet wait gives any thread the stops of what
// is traced, so that reaper and tracer must be one. That thread never blocks on
// a child: whatever may block (opening a log, a terminal or a directory, the
// exec itself) is done in the child. It sleeps in epoll and is woken by four
// things only: a command, the death or a stop of a child, the outcome of a
// spawn, the end of what a pidfd watches. Nothing is polled but what listens,
// while that is waited for. Its owner takes turns on it (Options.Turn), so that
// news and what follows from them need no other thread.
//
//	Start, Kill, Sweep ... --> mailbox --\
//	SIGCHLD (death.go)  ------ eventfd ----> epoll --> commands --> reap --> report --> turn
//	spawn pipe: hang-up  ----------------/
//	pidfd: end           ---------------/
//
// # Making a process
//
// A child gets a slot in shared memory and the write end of a pipe that
// closes at exec. The kernel writes the child's pid into the slot before the
// child can run (CLONE_PARENT_SETTID); the child writes the step that it is
// at, and the errno when a step fails. The pipe carries nothing: its hang-up
// says that the set-up is over, and the slot says how it went.
//
//	daemon           first child          second child
//	clone ----------> setsid
//	                  clone(PARENT) -----> descriptors, umask, nice, limits,
//	                  exit                 identity, directory, exec
//	hang-up <------------------------------/
//
// The second clone is what puts a process into a session and group of its own
// that it does not lead; CLONE_PARENT makes it our child all the same. A
// process that shall lead is the first child itself.
//
// A child shares our memory until its exec, on a small stack of its own, where
// it may and the architecture has the few lines of assembly for it; else it
// gets a copy (fork.go says when). Either way the thread goes on at once, and
// no child that hangs holds the collection of garbage. The slots stand in a
// file when the caller names one, so that no child ever exists that is not
// recorded (slotfile.go).
//
// A daemon that takes over reads the file and adopts what it finds; a start time
// beside each pid tells the process from another that got its number (adopt.go).
//
// What fails because processes, memory or descriptors have run out is tried
// again for a while (retry.go); the thread's sleep ends for that, and for nothing
// else that nobody announces.
//
// # Following
//
// A process may declare that it forks before it is ready (Spec.Follow). It is
// traced until then, and its ProcID moves with the forks that were declared;
// see trace.go. Such a child asks for the trace before its exec, so its pipe is
// a socket. What cannot be traced, and what was given up by Settle, is followed
// to what it leaves to us when it ends well. One that is followed while its own
// parent lives on is not ours to wait for: a pidfd tells its end. One that is to
// listen on a socket is not traced: while it is waited for, the thread looks which
// sockets listen, and who holds them; see listen.go.
//
// # Dying at any moment
//
// A daemon that is killed loses nothing of this. The slot is there before the
// clone, the pid before the child can run, the status before the kernel forgets
// it (it is looked at with WNOWAIT, noted, then taken). The daemon that takes
// over reads the slots of the one before (AwaitSlots), hands them to Adopt and
// says Adopted: only then its own file of slots takes the place of the old one,
// so that it may itself be killed on the way, and only then it waits for
// children. A build with the tag failpoints can be made to die at each step of
// this (FailPoints).
//
// # Belonging
//
// A process may leave others behind when it ends. They come to us, since we are
// a subreaper, and belong to the Spec.Owner of the process that they descend
// from; belong.go says how that is known. Exited tells whether something was
// left, and Sweep ends it. Where cgroups are delegated to us each owner has one,
// which tells before all else; see cgroup.go. The thread is never that of the thread group's leader,
// whose children are then those that came to us, and no others.
//
// # Output
//
// A process holds its log itself; a log that cannot be opened keeps none from
// running. One goroutine keeps logs within their limits, under the writers and
// without their help (see capper and cutLog). A terminal in front of a log
// (OutputPTY) is read by a goroutine of its own, and ends with the daemon: what
// the process writes after that fails. None of this is work of the thread.
//
// # Promises
//
// The events of one process come in the order that Event describes. A pid is
// signalled only as long as it has not been waited for, by the thread that
// waits, so no signal can hit a stranger who got the number later. Commands
// are carried out in the order in which they were given.
package supervise
