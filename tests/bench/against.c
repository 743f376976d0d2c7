/* against.c - an installed PyTorch at work beside us: a Python program at the
 * other end of two pipes, which answers "WORK SECONDS" with its times. */
#include "bench.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static FILE *ask, *answer;
static pid_t child;
static char version[64];

/* Starts it with its standard input and output at our pipes. */
static bool start(const int to[2], const int from[2]) {
  posix_spawn_file_actions_t files;
  char python[] = "python3", program[] = BENCH_AGAINST;
  char *argv[] = {python, program, NULL};
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, to[0], 0);
  posix_spawn_file_actions_adddup2(&files, from[1], 1);
  posix_spawn_file_actions_addclose(&files, to[1]);
  posix_spawn_file_actions_addclose(&files, from[0]);
  bool ok = !posix_spawnp(&child, argv[0], &files, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&files);
  return ok;
}

bool torch_begin(void) {
  int to[2], from[2];
  bench_check(!pipe(to) && !pipe(from), "no pipe");
  signal(SIGPIPE, SIG_IGN);
  bool ok = start(to, from);
  close(to[0]);
  close(from[1]);
  ask = fdopen(to[1], "w");
  answer = fdopen(from[0], "r");
  ok = ok && ask && answer && fgets(version, sizeof version, answer) &&
       strncmp(version, "no", 2) != 0;
  version[strcspn(version, "\n")] = 0;
  if (!ok) fprintf(stderr, "bench: there is no PyTorch for python3; going on "
                           "without it\n");
  return ok;
}

void torch_end(void) {
  fclose(ask);
  fclose(answer);
  waitpid(child, NULL, 0);
}

const char *torch_version(void) { return version; }

bool torch_measure(const char *work, double seconds, sample *s) {
  char line[160];
  fprintf(ask, "%g %s\n", seconds, work);
  fflush(ask);
  bench_check(fgets(line, sizeof line, answer), "PyTorch stopped working");
  return sscanf(line, "%lf %lf %lf %lf %zu", &s->best, &s->median, &s->low,
                &s->high, &s->count) == 5;
}
