/* rows_startup.c - a process from its start to its end with one train step in
 * between, the memory it had, and the size of the library. */
#include "bench.h"
#include "groups.h"

#include <spawn.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Runs the program; *mb becomes what it prints. */
static void run(void *mb) {
  int from[2], status = 1;
  char line[64] = "", program[] = BENCH_STARTUP;
  char *argv[] = {program, NULL};
  pid_t child;
  posix_spawn_file_actions_t files;
  bench_check(!pipe(from), "no pipe");
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, from[1], 1);
  posix_spawn_file_actions_addclose(&files, from[0]);
  bool ok = !posix_spawn(&child, argv[0], &files, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&files);
  close(from[1]);
  ok = ok && read(from[0], line, sizeof line - 1) > 0;
  ok = ok && waitpid(child, &status, 0) == child && status == 0;
  bench_check(ok && sscanf(line, "%lf", (double *)mb) == 1,
              "the program " BENCH_STARTUP " failed");
  close(from[0]);
}

void rows_startup(void) {
  const char *name = "start-up to one train step";
  double mb = 0;
  if (bench_wanted(name))
    bench_measure(&(bench_case){.row = name, .unit = "ms", .scale = 1e3,
                                .run = run, .state = &mb});
  name = "start-up, resident memory";
  if (bench_wanted(name)) {
    run(&mb);
    bench_value(name, mb, "MB");
  }
  struct stat library;
  name = "size of the shared library";
  if (bench_wanted(name) && !stat(BENCH_LIBRARY, &library))
    bench_value(name, (double)library.st_size / 1e6, "MB");
}
