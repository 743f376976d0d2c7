/* watch.c - what happens around an op on a tape that is watched. */
#include "watch.h"

cg_tensor *watch_result(const cg_call *call, cg_tensor *y) {
  cg_tape *tape = call->tape;
  if (tracing(tape) && !tape->walking) trace_result(call, y);
  return tape->error.status ? NULL : y;
}

void watch_rule(cg_vjp *v) {
  if (tracing(v->tape)) trace_arrived(v);
  if (!v->tape->error.status) v->node->op->vjp(v);
}
