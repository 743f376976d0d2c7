/* watch.h - those who look at every op as it runs: the tracer of non-finite
 * values and the profiler. A tape that nobody watches (tape->watch == 0) calls
 * none of these. */
#ifndef CG_ENGINE_WATCH_H
#define CG_ENGINE_WATCH_H

#include "backward_impl.h"

enum { WATCH_TRACE = 1 << 0, WATCH_PROFILE = 1 << 1 };

/* Before an op: when it began, for watch_result. */
uint64_t watch_begin(const cg_tape *tape);
/* After it made y: y itself, or NULL and an error. */
cg_tensor *watch_result(const cg_call *call, cg_tensor *y, uint64_t start);
/* Runs the derivative rule of a visit. */
void watch_rule(cg_vjp *v);

/* Does anyone trace? */
static inline bool tracing(const cg_tape *tape) {
  return tape->watch & WATCH_TRACE;
}

/* ---- the tracer's questions (trace.c) ----
 * Each leaves an error on the tape if the answer is not finite. */

/* The result of an op outside of walks. */
void trace_result(const cg_call *call, const cg_tensor *y);
/* What a walk starts from at root i. */
void trace_seed(const walk *w, const cg_tensor *seed, int i);
/* gy when its node is visited. */
void trace_arrived(const cg_vjp *v);
/* What the rule gave to operand i. */
void trace_given(const cg_vjp *v, int i, const cg_tensor *g);
/* The gradients of the leaves that the walk with this stamp reached. */
void trace_leaves(const walk *w, uint32_t stamp);

/* ---- the profiler's counts (profile.c) ---- */

uint64_t profile_now(void);
/* Counts an op that was begun at `start` and made y. */
void profile_result(const cg_call *call, const cg_tensor *y, uint64_t start);
/* Runs the rule and counts it. */
void profile_rule(cg_vjp *v);
/* Frees the rows of a tape. */
void profile_free(cg_tape *tape);

#endif
