/* profile.h - where the time of a tape goes: a row per op name. */
#ifndef CHRONOGRAD_PROFILE_H
#define CHRONOGRAD_PROFILE_H

#include <chronograd/tape.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One direction of an op.
 *   forward   calls: how often it was applied. Time: shape rule, memory, kernel
 *             and recording. Bytes: of the results' elements; views have none.
 *   backward  calls: how often its derivative rule ran. Time: of the whole
 *             rule, with the ops that it applies and the adding up. Bytes: of
 *             the elements of what these ops made.
 * Ops that derivative rules apply count for the rule, not as forward calls,
 * also in a recorded walk; what adds up the contributions of several rules
 * outside of any is in no row. */
typedef struct cg_profile_part {
  uint64_t calls, nanoseconds, bytes; /* see above */
} cg_profile_part;

/* The figures of the ops of one name. */
typedef struct cg_profile_row {
  char name[32]; /* of the op; longer names are cut */
  cg_profile_part forward, backward; /* the two directions */
} cg_profile_row;

/* Begins to count, from zero. A tape that is not profiled pays nothing. While
 * it is counting, rewinding changes nothing about that. NOMEM, described on the
 * tape, if there is no room for the rows. */
CG_API cg_status cg_profile_begin(cg_tape *tape);
/* Stops counting; the rows stay until the next begin. STATE if it was not
 * counting. */
CG_API cg_status cg_profile_end(cg_tape *tape);
/* The rows, those with most time (forward + backward) first after
 * cg_profile_end, and their number. They belong to the tape: valid until its
 * next op, walk, cg_profile_begin or cg_profile_end. NULL and 0 without any. */
CG_API const cg_profile_row *cg_profile_rows(const cg_tape *tape, int *count);

/* What cg_profile_write writes. */
typedef enum cg_profile_format {
  CG_PROFILE_TSV,  /* a head line, then a line per row: op and six integers */
  CG_PROFILE_TABLE /* aligned columns for people: times in ms, their share */
} cg_profile_format;

/* Writes the rows to the file `path` (through a temporary file that is renamed;
 * a failure leaves no part of it). IO or ARG, described in *err. */
CG_API cg_status cg_profile_write(const cg_tape *tape, const char *path,
                                  cg_profile_format format, cg_error *err);

#ifdef __cplusplus
}
#endif
#endif
