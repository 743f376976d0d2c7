/* status.h - error codes, and the record that describes one failure.
 *
 * Nothing in chronograd aborts, exits or prints. A function that makes a
 * tensor on a tape leaves its error on the tape (tape.h); every other function
 * that can fail returns a cg_status and, where it takes a `cg_error *`,
 * describes the failure there. A `cg_error *` may always be NULL.
 */
#ifndef CHRONOGRAD_STATUS_H
#define CHRONOGRAD_STATUS_H

#if defined(__GNUC__)
#define CG_API __attribute__((visibility("default")))
#define CG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CG_API
#define CG_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The one list of error codes: name, sentence. */
#define CG_STATUS_LIST(X)                                                      \
  X(OK, "no error")                                                            \
  X(NOMEM, "out of memory")                                                    \
  X(LIMIT, "the tape's byte limit would be exceeded")                          \
  X(SHAPE, "shapes do not fit the operation")                                  \
  X(DTYPE, "element types do not fit the operation")                           \
  X(ARG, "an argument is out of its range")                                    \
  X(STALE, "a tensor is no longer what it was when it was recorded")           \
  X(STATE, "the call does not fit the state of the object")                    \
  X(NONFINITE, "a value is NaN or infinite")                                   \
  X(IO, "reading or writing a file failed")                                    \
  X(FORMAT, "a file does not have the expected format")

/* What went wrong, or CG_OK. */
typedef enum cg_status {
#define CG_STATUS_ENUM(name, sentence) CG_ERR_##name,
  CG_STATUS_LIST(CG_STATUS_ENUM)
#undef CG_STATUS_ENUM
  CG_STATUS_COUNT
} cg_status;

/* The code of success, under the name that reads better. */
#define CG_OK CG_ERR_OK

/* One failure: what failed (`op`: an operation or a function), in which scope
 * ("rnn/t=3", empty outside any), and one sentence with the sizes involved. */
typedef struct cg_error {
  cg_status status;  /* its code; CG_OK: none */
  char op[32];       /* the operation or function; cut if longer, as is */
  char scope[96];    /* the path of the scope, */
  char message[320]; /* and the sentence */
} cg_error;

/* The name of a code ("SHAPE"), or "UNKNOWN". Never NULL. */
CG_API const char *cg_status_name(cg_status status);

/* The general sentence of a code ("out of memory"). Never NULL. */
CG_API const char *cg_status_sentence(cg_status status);

/* Fills *err (if not NULL) and returns `status`. Text that does not fit is cut.
 * A NULL `fmt` stands for the code's general sentence. */
CG_API cg_status cg_error_set(cg_error *err, cg_status status, const char *op,
                              const char *fmt, ...) CG_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif
#endif
