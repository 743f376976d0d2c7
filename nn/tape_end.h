/* tape_end.h - leaving a tape as it was found. Private to nn. */
#ifndef CHRONOGRAD_NN_TAPE_END_H
#define CHRONOGRAD_NN_TAPE_END_H

#include <chronograd/tape.h>

/* Rewinds to `mark`, but leaves an error that is on the tape there. Returns it.
 */
static inline cg_status cg_tape_end(cg_tape *tape, cg_mark mark) {
  cg_error error = *cg_tape_error(tape);
  cg_tape_rewind(tape, mark);
  if (error.status)
    cg_tape_fail(tape, error.status, error.op, "%s", error.message);
  return cg_tape_status(tape);
}

#endif
