/* cli.h - what the programs share: one-line errors, options, their values.
 *
 * Each function that can fail prints one line, "<program>: <message>", on
 * stderr and returns false; the program then ends with CLI_BAD.
 */
#ifndef CHRONOGRAD_DEMOS_CLI_H
#define CHRONOGRAD_DEMOS_CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>

/* Exit statuses. */
enum { CLI_OK = 0, CLI_NO = 1, CLI_BAD = 2 };

/* The program's name, defined by the file that has its main. */
extern const char *const cli_program;

/* Prints the line and returns false. Control characters become '?', so that it
 * stays one line whatever a file name or a file holds. */
bool cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Option values: `option` is the name for messages ("--steps"). */
bool cli_int64(const char *option, const char *text, int64_t lo, int64_t hi,
               int64_t *value);
bool cli_uint64(const char *option, const char *text, uint64_t *value);
/* Finite, and lo <= value <= hi. */
bool cli_double(const char *option, const char *text, double lo, double hi,
                double *value);
/* One of `count` words; *value becomes its index. */
bool cli_choice(const char *option, const char *text, const char *const *words,
                int count, int *value);

/* Refuses a file to write that is `other`, a file to read or to write as well,
 * under the same name or another, and one without a name. Devices and pipes may
 * be written twice: nothing is lost. NULL stands for no file. */
bool cli_may_write(const char *option, const char *path, const char *other);

/* Explains what getopt_long refused: call it for '?' and ':', with opterr 0, a
 * `:` in front of the short options and long options' `val` above 255. */
bool cli_refused(int result, char *const *argv, const struct option *options);

/* The `val` of --help; those of other options are above it. */
enum { CLI_HELP = 256 };

/* Reads all long options, each through set(command, val), which finds its value
 * in optarg and may complain. --help ends that: *help becomes true. Operands
 * are then argv[optind] and what follows. */
bool cli_options(int argc, char **argv, const struct option *options,
                 bool (*set)(void *command, int val), void *command,
                 bool *help);
/* Refuses operands. */
bool cli_no_operands(int argc, char **argv);

/* Seconds since some time in the past, for differences. */
double cli_seconds(void);

/* Flushes and closes stdout; what was printed must have arrived. */
bool cli_close_stdout(void);

#endif
