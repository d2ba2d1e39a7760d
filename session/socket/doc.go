// Package socket holds descriptors for jobs: the sockets of "start on socket",
// at which the daemon listens before the job runs and while it does not, what
// came with events (EmitEventWithFile), and what jobs have laid aside (FDSTORE=1
// of sd_notify(3)).
//
// A socket is made when a job is loaded and stays until no job asks for its
// address any more: over starts, stops and restarts of the job, changes of its
// definition, and, since the keeper holds a copy, the next daemon. What calls
// meanwhile waits in the kernel's queue, so that nobody is refused. Nothing is
// ever accepted here, and nothing read.
//
// Whether somebody waits is looked for only when it is asked for, once
// (EPOLLONESHOT), in one epoll set that one goroutine of the runtime's poller
// waits for. To make a socket looks at paths, which may hang: a goroutine of its
// own does that, one for a job at a time.
//
// It does not know states or events: who is started, and when to look, is
// decided above. Files gives copies, which are the receiver's.
package socket
