/* stamp.c: what the benchmarks run as services, and the floor beside each:
 * the same work by a loop of posix_spawn(3), with nobody to manage it.
 *
 *   stamp pause|exit|daemon PATH     write a stamp (CLOCK_MONOTONIC, 8 bytes) to
 *                                    PATH; then wait for a signal, or exit; daemon
 *                                    forks twice before
 *   stamp orphans PATH N             leave N children behind that have ended
 *   stamp floor-WORK N               print what N of that take, in numbers
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *self;
static int ends[2];

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int64_t used(int who) {
  struct rusage u;
  getrusage(who, &u);
  return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000000LL + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000LL;
}

static void stamp(const char *path) {
  int fd = open(path, O_WRONLY);
  int64_t t = now();
  if (fd < 0 || write(fd, &t, sizeof t) != sizeof t) exit(9);
  close(fd);
}

static pid_t spawn(char *mode, char *number) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
  char *argv[] = {self, mode, path, number, NULL}, *envp[] = {NULL};
  pid_t pid;
  if (posix_spawn(&pid, self, NULL, NULL, argv, envp)) exit(8);
  return pid;
}

static int64_t heard(void) {
  int64_t t;
  if (read(ends[0], &t, sizeof t) != sizeof t) exit(7);
  return t;
}

static void killchildren(void) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
  FILE *f = fopen(path, "r");
  int child;
  while (f && fscanf(f, "%d", &child) == 1) kill(child, SIGKILL);
  if (f) fclose(f);
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static int floor_of(const char *work, int n) {
  int64_t began = now(), last = began, *took = calloc(n, sizeof *took);
  pid_t *pids = calloc(n, sizeof *pids);
  if (pipe(ends)) return 1;
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
  if (!strcmp(work, "boot") || !strcmp(work, "chain")) {
    for (int i = 0; i < n; i++) {
      pids[i] = spawn("pause", NULL);
      if (*work == 'c') last = heard();
    }
    for (int i = 0; i < n && *work == 'b'; i++) {
      int64_t t = heard();
      if (t > last) last = t;
    }
    int64_t stopping = now();
    for (int i = 0; i < n; i++) kill(pids[i], SIGTERM);
    while (wait(NULL) > 0) {
    }
    printf("%lld %lld %lld\n", (long long)(last - began), (long long)(used(RUSAGE_SELF) + used(RUSAGE_CHILDREN)), (long long)(now() - stopping));
  } else if (!strcmp(work, "respawn")) {
    for (int i = 0; i < n; i++) {
      waitpid(spawn("exit", NULL), NULL, 0);
      heard();
    }
    printf("%lld %lld 0\n", (long long)(now() - began), (long long)(used(RUSAGE_SELF) + used(RUSAGE_CHILDREN)));
  } else if (!strcmp(work, "daemon") || !strcmp(work, "plain")) {
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    for (int i = 0; i < n; i++) {
      int64_t t = now();
      pid_t pid = spawn(*work == 'd' ? "daemon" : "pause", NULL);
      if (*work == 'd') waitpid(pid, NULL, 0);
      heard();
      took[i] = now() - t;
      /* The last may come to us only when its parent has ended. */
      while (waitpid(-1, NULL, WNOHANG) >= 0) killchildren();
    }
    qsort(took, n, sizeof *took, ascending);
    printf("%lld 0 0\n", (long long)took[n / 2]);
  } else if (!strcmp(work, "orphans")) {
    char number[16];
    snprintf(number, sizeof number, "%d", n);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    spawn("orphans", number);
    while (wait(NULL) > 0) {
    }
    printf("%lld %lld 0\n", (long long)(now() - began), (long long)used(RUSAGE_SELF));
  } else {
    return 2;
  }
  return 0;
}

int main(int argc, char **argv) {
  self = "/proc/self/exe";
  if (argc < 3) return 2;
  char *mode = argv[1];
  if (!strncmp(mode, "floor-", 6)) {
    char path[4096];
    ssize_t size = readlink(self, path, sizeof path - 1);
    if (size < 0) return 1;
    path[size] = 0;
    self = path;
    return floor_of(mode + 6, atoi(argv[2]));
  }
  if (!strcmp(mode, "orphans")) {
    stamp(argv[2]);
    for (int n = argc > 3 ? atoi(argv[3]) : 0; n > 0; n--) {
      pid_t pid = fork();
      if (pid < 0) return 3;
      if (pid == 0) _exit(3);
    }
    stamp(argv[2]);
    return 0;
  }
  for (int forks = strcmp(mode, "daemon") ? 0 : 2; forks > 0; forks--)
    if (fork()) _exit(0);
  stamp(argv[2]);
  if (strcmp(mode, "exit")) pause();
  return 0;
}
