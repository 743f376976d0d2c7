/* char_rnn.c - a character-level language model: which command it is. */
#include "char_rnn.h"

#include <string.h>

#include "cli.h"
#include "demo.h"

const char *const cli_program = "char_rnn";

static int run(int argc, char **argv) {
  static const char *const words[] = {"train", "sample", "eval"};
  static int (*const commands[])(const char_options *) = {
      char_train, char_sample, char_eval};
  char_options options;
  bool help = false;
  if (argc < 2)
    return demo_fail(DEMO_USAGE, "which of train, sample, eval? See --help");
  if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
    char_options_help();
    return DEMO_OK;
  }
  int command;
  if (!cli_choice("command", argv[1], words, 3, &command)) return DEMO_USAGE;
  int status = char_options_parse(&options, (char_command)command, argc, argv,
                                  &help);
  if (status) return status;
  if (!help) return commands[command](&options);
  char_options_help();
  return DEMO_OK;
}

int main(int argc, char **argv) {
  int status = run(argc, argv);
  if (!cli_close_stdout() && !status) status = DEMO_FAILED;
  return status;
}
