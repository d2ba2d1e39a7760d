// Package keeper is the process above the daemon, and the daemon's link to
// it. What the login path or the kernel starts is the keeper: it starts the
// daemon as its child, passes signals on to it, and starts it again should it
// die. It is a subreaper above the daemon, so that the jobs of a dead daemon
// fall to it, and it tells the next daemon how they ended. It holds
// descriptors for the daemon, such as the listening socket, so that clients
// that call while there is no daemon wait for the next one.
//
// It does not end of a panic: see fault.go.
//
// It knows nothing of jobs, configuration or the bus, and keeps nothing but
// what must outlive the daemon: the less there is, the less can fail.
//
// # The link
//
// A pair of SOCK_SEQPACKET sockets, a message each:
//
//	daemon -> keeper   "ready"            the daemon has started
//	                   "hold NAME" + fd   keep this, for the next daemon
//	                   "drop NAME"        close it
//	                   "seen PID"         the end of PID is on record
//	                   "again"            tell all again that was not seen
//	                   "anew"             execute yourself anew, as the daemon
//	                                      has done
//	                   "sync"             say "done" after all that ended
//	                                      before this came
//	                   "finish HOW"       when the daemon has ended: halt,
//	                                      poweroff or reboot; see First
//	keeper -> daemon   "exit PID STATUS"  a process that fell to the keeper
//	                                      ended, STATUS as wait4(2) gives it;
//	                                      said to each daemon until one has
//	                                      seen it
//	                   "signal N"         the first process got a signal; said
//	                                      again until "seen -N"
//	                   "done"             the answer to "sync"
//	                   "away", "back"     it executes itself anew, and has
//
// The daemon finds its end, and what was held, by the environment variable
// SESSION_INIT_KEEPER: "UNREADY SESSION NAME=FD NAME=FD ...", the link's name
// being "keeper". UNREADY counts the daemons that died one after the other before
// they were ready; SESSION is the pid by which the session goes. A daemon that
// executes itself anew hands its descriptors over in the same way, also when
// there is no keeper.
package keeper
