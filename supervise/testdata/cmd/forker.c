/* forker FORKS METHOD ORDER EXEC FILE [stop]
 *
 * A daemon that forks FORKS times, each parent exiting, and then stays.
 * METHOD  fork, vfork, clone (a process without an exit signal), spawn
 *         (posix_spawn), thread (fork from a second thread); the child of
 *         vfork and spawn is an exec of this program
 * ORDER   parent  each child waits until its parent is gone
 *         child   each parent waits until the last process has come to rest
 *         both    nobody waits
 * EXEC    none, main (an exec before the first fork), child (the last process
 *         is an exec)
 * FILE    in which the last process leaves its pid
 * stop    the last process raises SIGSTOP before it comes to rest
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;
static char **args;

static int is(int arg, const char *value)
{
	return !strcmp(args[arg], value);
}

static void again(const char *forks, const char *exec)
{
	char *argv[] = { args[0], (char *)forks, args[2], args[3], (char *)exec, args[5], args[6], NULL };

	execv("/proc/self/exe", argv);
	_exit(126);
}

static void rest(void)
{
	char name[4096];
	FILE *file;

	if (args[6] && is(6, "stop"))
		raise(SIGSTOP);
	snprintf(name, sizeof name, "%s.%d", args[5], (int)getpid());
	file = fopen(name, "w");
	fprintf(file, "%d", (int)getpid());
	fclose(file);
	rename(name, args[5]);
	for (;;)
		pause();
}

static void await_parent(void)
{
	const char *parent = getenv("FORKER_PARENT");

	if (is(3, "parent") && parent)
		while (getppid() == atoi(parent))
			usleep(1000);
}

static void leave(pid_t child)
{
	if (child < 0)
		_exit(4);
	if (is(3, "child"))
		while (access(args[5], F_OK))
			usleep(1000);
	_exit(0);
}

static void chain(int forks);

static void *in_thread(void *forks)
{
	pid_t pid = fork();

	if (pid == 0)
		chain(*(int *)forks - 1);
	leave(pid);
	return NULL;
}

static void chain(int forks)
{
	char left[16], parent[16];
	char *next[] = { args[0], left, args[2], args[3], args[4], args[5], args[6], NULL };
	pthread_t thread;
	pid_t pid = 0;

	for (; forks > 0; forks--) {
		snprintf(left, sizeof left, "%d", forks - 1);
		snprintf(parent, sizeof parent, "%d", (int)getpid());
		setenv("FORKER_PARENT", parent, 1);
		if (is(2, "vfork")) {
			pid = vfork();
			if (pid == 0)
				again(left, args[4]);
		} else if (is(2, "spawn")) {
			if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, next, environ))
				_exit(3);
		} else if (is(2, "clone")) {
			pid = syscall(SYS_clone, 0, 0, 0, 0, 0);
		} else if (is(2, "thread")) {
			if (pthread_create(&thread, NULL, in_thread, &forks))
				_exit(5);
			for (;;)
				pause();
		} else {
			pid = fork();
		}
		if (pid != 0)
			leave(pid);
		await_parent();
	}
	if (is(4, "child"))
		again("0", "none");
	rest();
}

int main(int argc, char **argv)
{
	args = argv;
	if (argc < 6)
		return 2;
	if (is(4, "main"))
		again(argv[1], "none");
	await_parent();
	chain(atoi(argv[1]));
}
