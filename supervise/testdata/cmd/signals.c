/* signals FILE [child]
 *
 * A daemon that forks once, and whose child (with "child": the process itself,
 * before it forks) counts in FILE the signals that it gets: a line for each,
 * with its number. SIGUSR2 makes it fork when it has not. Its parent lives on
 * and waits for it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fd;
static volatile sig_atomic_t go;

static void note(int sig)
{
	char line[8];

	if (write(fd, line, snprintf(line, sizeof line, "%d\n", sig)) < 0)
		_exit(5);
	if (sig == SIGUSR2)
		go = 1;
}

int main(int argc, char **argv)
{
	static const int list[] = { SIGHUP, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH };
	struct sigaction action = { .sa_handler = note, .sa_flags = SA_RESTART };
	sigset_t all, none;
	unsigned i;
	pid_t pid;

	fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	sigemptyset(&none);
	for (i = 0; i < sizeof list / sizeof *list; i++)
		sigaction(list[i], &action, NULL);
	if (argc > 2) {
		note(0);
		while (!go)
			sigsuspend(&none);
	}
	pid = fork();
	if (pid > 0) {
		sigprocmask(SIG_SETMASK, &none, NULL);
		while (waitpid(pid, NULL, 0) < 0)
			;
		for (;;)
			pause();
	}
	if (argc <= 2)
		note(0);
	for (;;)
		sigsuspend(&none);
}
