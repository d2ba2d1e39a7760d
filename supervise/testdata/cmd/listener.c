/* listener KIND FORKS ADDRESS FILE
 *
 * A daemon that forks FORKS times, each parent exiting, and then stays.
 * KIND    comes   the last process listens at once
 *         late    it does so after a while
 *         child   a child of it does
 *         first   the first one does, before it forks
 *         never   nobody does, and neither with
 *         dies    where the last one ends with status 3 once FILE.go is there
 *         hides   the last one listens, and hides its descriptors
 * ADDRESS /path, @abstract, tcp or tcp6 for a port of the kernel's choice; some
 *         of them with commas between
 * FILE    in which the last process leaves its pid, and FILE.listens, in which
 *         the one that listens does
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void leave(const char *file, const char *suffix)
{
	char name[4096], other[4096];
	FILE *f;

	snprintf(name, sizeof name, "%s%s", file, suffix);
	snprintf(other, sizeof other, "%s%s.%d", file, suffix, (int)getpid());
	f = fopen(other, "w");
	fprintf(f, "%d", (int)getpid());
	fclose(f);
	rename(other, name);
}

static void listen_on(const char *address)
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a;
	socklen_t size;
	int fd;

	memset(&a, 0, sizeof a);
	if (!strcmp(address, "tcp")) {
		a.in.sin_family = AF_INET;
		a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		size = sizeof a.in;
	} else if (!strcmp(address, "tcp6")) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_addr = in6addr_loopback;
		size = sizeof a.in6;
	} else if (*address != '/' && *address != '@') {
		/* What is left of a name with a comma would be a file where we are. */
		fprintf(stderr, "%s: no address\n", address);
		_exit(4);
	} else {
		a.un.sun_family = AF_UNIX;
		strncpy(a.un.sun_path, address, sizeof a.un.sun_path - 1);
		size = offsetof(struct sockaddr_un, sun_path) + strlen(address) + (*address == '/');
		if (*address == '@')
			a.un.sun_path[0] = 0;
	}
	fd = socket(a.any.sa_family, SOCK_STREAM, 0);
	if (fd < 0 || bind(fd, &a.any, size) || listen(fd, 8)) {
		perror(address);
		_exit(4);
	}
}

static void listen_all(char *addresses, const char *file)
{
	char *one;

	for (one = strtok(addresses, ","); one; one = strtok(NULL, ","))
		listen_on(one);
	leave(file, ".listens");
}

int main(int argc, char **argv)
{
	const char *kind = argv[1], *file = argv[4];
	int forks = atoi(argv[2]);
	char go[4096];

	if (!strcmp(kind, "first"))
		listen_all(argv[3], file);
	while (forks-- > 0)
		if (fork())
			_exit(0);
	if (!strcmp(kind, "late"))
		usleep(300000);
	if (!strcmp(kind, "hides"))
		prctl(PR_SET_DUMPABLE, 0);
	if (!strcmp(kind, "comes") || !strcmp(kind, "late") || !strcmp(kind, "hides"))
		listen_all(argv[3], file);
	if (!strcmp(kind, "child") && !fork()) {
		listen_all(argv[3], file);
		for (;;)
			pause();
	}
	leave(file, "");
	snprintf(go, sizeof go, "%s.go", file);
	while (!strcmp(kind, "dies")) {
		if (!access(go, F_OK))
			_exit(3);
		usleep(1000);
	}
	for (;;)
		pause();
}
