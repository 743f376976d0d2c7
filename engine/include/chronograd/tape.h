/* tape.h - the tape: records every op, owns every result.
 *
 * A tape is an arena plus the list of what was recorded on it, in order. One
 * thread uses a tape at a time; two threads with a tape each never meet, also
 * when they read the same leaves.
 *
 * Errors stick: the first op that fails stores its error on the tape and
 * returns NULL; every later op returns NULL and keeps that first error. So
 *
 *     cg_tensor *y = cg_tanh(tape, cg_linear(tape, x, W, b));
 *     if (cg_tape_status(tape)) puts(cg_tape_error(tape)->message);
 *
 * needs one check, before the result is used. Rewinding clears the error.
 */
#ifndef CHRONOGRAD_TAPE_H
#define CHRONOGRAD_TAPE_H

#include <stdarg.h>
#include <stdio.h>

#include <chronograd/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A tape; its members are the library's own. */
typedef struct cg_tape cg_tape;

/* ---- life ---- */

/* How a tape gets its memory; all zero is a fine beginning. */
typedef struct cg_tape_options {
  const cg_allocator *allocator; /* NULL: the C library's heap */
  size_t byte_limit;             /* ceiling of bytes held; 0: none */
} cg_tape_options;

/* An empty tape, recording. NULL only when out of memory. `options` may be
 * NULL. */
CG_API cg_tape *cg_tape_new(const cg_tape_options *options);
/* Frees the tape and every tensor on it; leaves stay. NULL is fine. */
CG_API void cg_tape_free(cg_tape *tape);

/* A position on the tape. */
typedef struct cg_mark {
  uint64_t opaque[12]; /* the library's own */
} cg_mark;

/* Remembers the current end of the tape. What the tape knows of leaves that
 * were used before outlives a rewind to the mark: a loop that rewinds after
 * every step is fastest with a mark made behind a first step. */
CG_API cg_mark cg_tape_mark(const cg_tape *tape);
/* Drops everything recorded after `mark`, including scopes opened since, and
 * clears the error. Costs the same however much is dropped; the memory is kept
 * for what comes next. Using a dropped tensor afterwards is an error (STALE).
 * A mark that was itself dropped is refused (STATE), and so is one that lies
 * before the start of a backward walk from inside that walk (a derivative rule
 * or a hook). */
CG_API cg_status cg_tape_rewind(cg_tape *tape, cg_mark mark);
/* Rewinds to `mark`, but carries the values of `count` tensors over: each
 * tensors[i] is replaced by a constant with the same value, recorded after the
 * mark, with no history. This is how state passes from one window of truncated
 * BPTT to the next without the tape growing. On an error, also one that was on
 * the tape before, the tape is rewound, the error is on it, and all tensors[i]
 * are NULL. */
CG_API cg_status cg_tape_rewind_keep(cg_tape *tape, cg_mark mark,
                                     cg_tensor **tensors, int count);
/* Drops everything, clears the error, and starts recording again. Refused
 * (STATE, on the tape) inside a backward walk. */
CG_API void cg_tape_reset(cg_tape *tape);

/* ---- errors ---- */

/* CG_OK, or the code of the first failure since the last rewind. A NULL tape
 * answers CG_ERR_ARG. */
CG_API cg_status cg_tape_status(const cg_tape *tape);
/* The first failure; its status is CG_OK if there was none. Owned by the
 * tape; never NULL. */
CG_API const cg_error *cg_tape_error(const cg_tape *tape);
/* Forgets the failure, so that ops can be recorded again. NULL is fine. */
CG_API void cg_tape_clear_error(cg_tape *tape);
/* For those who write ops or layers of their own: stores a failure of `op`
 * (unless one is there already) with the current scope, and returns NULL. */
CG_API cg_tensor *cg_tape_fail(cg_tape *tape, cg_status status, const char *op,
                               const char *fmt, ...) CG_PRINTF(4, 5);

/* ---- recording ---- */

/* Switches recording on or off and returns what it was. While it is off, ops
 * compute values only: results need no gradient and keep no history. */
CG_API bool cg_tape_set_recording(cg_tape *tape, bool on);
/* Is recording on? */
CG_API bool cg_tape_recording(const cg_tape *tape);

/* ---- replay: the recording runs again ---- */

/* Computes everything that was recorded on the tape once more, in its order and
 * where it lies, with the values that leaves and borrowed memory (cg_borrow)
 * have now: results are what recording the same ops again would give, bit for
 * bit, at the cost of the arithmetic alone. For work of which only the numbers
 * change, such as training on windows of one length or inference symbol by
 * symbol:
 *
 *     cg_tensor *loss = window_loss(tape, x);     // recorded once
 *     for (;;) {
 *       cg_params_zero_grad(params);
 *       cg_backward(tape, loss);
 *       cg_optimizer_step(sgd, NULL);
 *       next_window(x);                           // the borrowed memory
 *       cg_tape_replay(tape);
 *     }
 *
 * What is not computed again: constants (cg_input, cg_full, random numbers, a
 * value carried over a rewind, a gradient of cg_grad without CG_CREATE_GRAPH),
 * what was computed with recording off, and what the program decided as it
 * recorded (shapes, lengths, branches). A gradient recorded with
 * CG_CREATE_GRAPH is part of the recording; retained gradients of results begin
 * at 0 again. Hooks are not called.
 *
 * Refused (STATE) from inside of a walk, where a leaf came to require a
 * gradient or ceased to, and where an op cannot run again (cg_op's `once`):
 * dropout would repeat its mask, and the functions of cg_checkpoint and
 * cg_custom were called when they were recorded. An op that fails, such as one
 * whose index is now out of range, leaves its error on the tape; what comes
 * behind it is not computed, and cannot be walked back (STATE) before a replay
 * that succeeds or a rewind past that op. NOMEM or LIMIT, at the first replay
 * as a rule. */
CG_API cg_status cg_tape_replay(cg_tape *tape);

/* ---- scopes: names for parts of the graph ---- */

/* Opens a scope inside the current one. Scopes name ops in errors, drawings
 * and profiles. The name is copied (at most 63 bytes). */
CG_API cg_status cg_scope_push(cg_tape *tape, const char *name);
/* Opens the scope "name=index", such as "t=3", cheaply. */
CG_API cg_status cg_scope_push_index(cg_tape *tape, const char *name,
                                     int64_t index);
/* Closes the innermost scope; STATE if none is open. */
CG_API cg_status cg_scope_pop(cg_tape *tape);
/* Writes the path of a tensor's scope ("rnn/t=3", "" at top level); returns
 * buf. */
CG_API const char *cg_scope_path(const cg_tape *tape, const cg_tensor *x,
                                 char *buf, size_t size);

/* ---- constants on the tape ---- */

/* A copy of `data` (row-major; NULL for zeros), owned by the tape. */
CG_API cg_tensor *cg_input(cg_tape *tape, cg_dtype dtype, int rank,
                           const int64_t *shape, const void *data);
/* The caller's row-major memory, not copied: it must stay unchanged until the
 * tape is rewound past this point, or until cg_tape_replay. */
CG_API cg_tensor *cg_borrow(cg_tape *tape, cg_dtype dtype, int rank,
                            const int64_t *shape, const void *data);
/* Every element `value`, rounded to the element type; for an integer type cut
 * to a whole number, then to the nearest in its range, and 0 for NaN. */
CG_API cg_tensor *cg_full(cg_tape *tape, cg_dtype dtype, int rank,
                          const int64_t *shape, double value);
/* A rank-0 constant. */
CG_API cg_tensor *cg_scalar(cg_tape *tape, cg_dtype dtype, double value);

/* ---- memory ---- */

/* For those who write layers: `bytes` of uninitialised memory that lives until
 * the tape is rewound past this point, such as a list of operands. NULL after
 * an error. */
CG_API void *cg_tape_alloc(cg_tape *tape, size_t bytes);

/* For those who write time loops: has the elements of the results that come
 * next lie one behind the other, up to `bytes` of them altogether, if those of
 * each fill a multiple of 64 bytes. cg_stack of results that do is a view,
 * without a copy. An allocation that fails is an error, here and on the
 * tape. */
CG_API cg_status cg_tape_reserve(cg_tape *tape, size_t bytes);

/* ---- figures ---- */

/* What a tape holds. */
typedef struct cg_tape_stats {
  size_t nodes;         /* recorded ops and constants alive */
  size_t bytes_used;    /* bytes of them */
  size_t bytes_held;    /* bytes obtained from the allocator and not returned */
  size_t bytes_peak;    /* largest bytes_held so far */
  size_t system_allocs; /* calls of the allocator so far */
} cg_tape_stats;

/* The figures of now; all 0 for NULL. */
CG_API cg_tape_stats cg_tape_get_stats(const cg_tape *tape);

/* What one top-level scope holds, with all scopes inside it. */
typedef struct cg_scope_stats {
  char name[96]; /* "rnn", "t=3"; "" for what is outside of any scope */
  size_t nodes;  /* recorded ops alive */
  size_t bytes;  /* of their headers, operand lists and elements */
} cg_scope_stats;

/* Walks the recording and writes the figures of the top-level scopes, in order
 * of their first opening, "" always first, to stats[0..capacity), and to *count
 * how many there are, which may be more. Scopes of one name count together. A
 * tape only grows between rewinds, so just before one these are the scopes'
 * high water. Constants, and ops applied with recording off, are not in the
 * recording: cg_tape_get_stats counts them too. ARG, NOMEM
 * or LIMIT. */
CG_API cg_status cg_tape_scope_stats(cg_tape *tape, cg_scope_stats *stats,
                                     int capacity, int *count);

#ifdef __cplusplus
}
#endif
#endif
