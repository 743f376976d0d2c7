/* watch.c - what happens around an op on a tape that is watched. */
#include "watch.h"

static bool profiling(const cg_tape *tape) {
  return tape->watch & WATCH_PROFILE;
}

uint64_t watch_begin(const cg_tape *tape) {
  return profiling(tape) ? profile_now() : 0;
}

cg_tensor *watch_result(const cg_call *call, cg_tensor *y, uint64_t start) {
  cg_tape *tape = call->tape;
  if (profiling(tape)) profile_result(call, y, start);
  if (tracing(tape) && !tape->walking) trace_result(call, y);
  return tape->error.status ? NULL : y;
}

void watch_rule(cg_vjp *v) {
  if (tracing(v->tape)) trace_arrived(v);
  if (v->tape->error.status) return;
  if (profiling(v->tape))
    profile_rule(v);
  else
    v->node->op->vjp(v);
}
