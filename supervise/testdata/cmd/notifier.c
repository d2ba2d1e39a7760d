/* notifier FORKS ORDER WHAT FILE
 *
 * A daemon that forks FORKS times, each parent exiting with status 0; the last
 * process leaves its pid in FILE, says of itself that it is ready, as
 * sd_notify(3) does, and stays.
 * ORDER   parent  each child waits until its parent is gone
 *         child   each parent waits until the last process has left its pid
 *         both    nobody waits
 * WHAT    early   it says so before it leaves its pid
 *         late    and when all others are gone, after a while
 *         child   a child of its says so, and stays as well
 *         flash   a child of its says so, and ends when that was heard
 *         mainpid it says so with its pid as MAINPID
 *         never   it says something else
 *         dies    it ends with status 3 instead
 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char **args;

static int is(int arg, const char *value)
{
	return !strcmp(args[arg], value);
}

static void say(const char *text, int with)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct iovec part = { .iov_base = (char *)text, .iov_len = strlen(text) };
	char room[CMSG_SPACE(sizeof with)] = { 0 };
	struct msghdr message = { .msg_name = &to, .msg_iov = &part, .msg_iovlen = 1 };

	memcpy(to.sun_path, path, strlen(path));
	if (*path == '@')
		to.sun_path[0] = 0;
	message.msg_namelen = offsetof(struct sockaddr_un, sun_path) + strlen(path) + (*path != '@');
	if (with >= 0) {
		struct cmsghdr *head;

		message.msg_control = room;
		message.msg_controllen = sizeof room;
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof with);
		memcpy(CMSG_DATA(head), &with, sizeof with);
	}
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		_exit(5);
	close(fd);
}

static void barrier(void)
{
	int ends[2];
	char c;

	if (pipe(ends))
		_exit(6);
	say("BARRIER=1", ends[1]);
	close(ends[1]);
	while (read(ends[0], &c, 1) > 0)
		;
	close(ends[0]);
}

static void leave_pid(void)
{
	char name[4096];
	FILE *file;

	snprintf(name, sizeof name, "%s.%d", args[4], (int)getpid());
	file = fopen(name, "w");
	fprintf(file, "%d", (int)getpid());
	fclose(file);
	rename(name, args[4]);
}

static void rest(void)
{
	char text[64];

	if (is(3, "dies"))
		_exit(3);
	if (is(3, "early"))
		say("READY=1", -1);
	if (is(3, "mainpid")) {
		snprintf(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
		say(text, -1);
	}
	if (is(3, "never"))
		say("STATUS=not ready", -1);
	if (is(3, "child") || is(3, "flash")) {
		pid_t child = fork();

		if (!child) {
			say("READY=1", -1);
			if (is(3, "flash")) {
				barrier();
				_exit(0);
			}
			for (;;)
				pause();
		}
		if (is(3, "flash"))
			waitpid(child, NULL, 0);
	}
	leave_pid();
	if (is(3, "late")) {
		usleep(30000);
		say("READY=1", -1);
	}
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int forks = atoi(argv[1]);

	args = argv;
	for (; forks > 0; forks--) {
		pid_t parent = getpid(), child = fork();

		if (child < 0)
			_exit(4);
		if (child) {
			if (is(2, "child") && !is(3, "dies"))
				while (access(args[4], F_OK))
					usleep(1000);
			_exit(0);
		}
		if (is(2, "parent"))
			while (getppid() == parent)
				usleep(1000);
	}
	rest();
}
