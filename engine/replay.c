/* replay.c - a recording runs again: the same ops on the same memory, in the
 * same order, with what leaves and borrowed memory hold now. */
#include "gemm_operand.h"
#include "kernel.h"
#include "watch.h"

static const char name[] = "tape_replay";

/* ---- what is to run ---- */

/* Can x be computed again from its operands? */
static bool can_run(cg_tape *tape, const cg_tensor *x) {
  if (!x->op->once) return true;
  char scope[128];
  cg_tape_fail(tape, CG_ERR_STATE, name,
               "%s (scope \"%s\") is only what it was when it was recorded: it "
               "cannot run again",
               x->op->name, cg_scope_path(tape, x, scope, sizeof scope));
  return false;
}

/* Lists the recording, oldest first. It stays valid until something is
 * recorded or dropped. */
static bool list(cg_tape *tape) {
  replay *r = &tape->replay;
  if (r->last == tape->last && r->epoch == tape->epoch) return true;
  size_t n = 0;
  for (const cg_tensor *x = tape->last; x; x = x->prev) {
    if (!can_run(tape, x)) return false;
    n++;
  }
  cg_status status = mem_grow(&tape->mem, (void **)&r->nodes, &r->cap, 0, n,
                              sizeof *r->nodes);
  if (status) {
    tape_fail_mem(tape, status, name);
    return false;
  }
  r->n = n;
  for (cg_tensor *x = tape->last; x; x = x->prev) r->nodes[--n] = x;
  r->last = tape->last;
  r->epoch = tape->epoch;
  return true;
}

/* ---- leaves ---- */

/* Does the leaf want what it wanted when it was recorded? */
static bool needs_as_before(cg_tape *tape, const cg_tensor *proxy) {
  const cg_tensor *leaf = t_proxied(proxy);
  return !((proxy->flags ^ leaf->flags) & T_GRAD) ||
         cg_tape_fail(tape, CG_ERR_STATE, name,
                      "leaf %s %s a gradient now and did not when it was "
                      "recorded, or the other way round: record anew",
                      t_label(leaf),
                      leaf->flags & T_GRAD ? "requires" : "requires not");
}

/* What the tape remembers of leaves is brought up to date: of all of them, or
 * of none after an error. */
static bool refresh_all(cg_tape *tape) {
  for (size_t i = 0; i < tape->n_proxies; i++)
    if (!needs_as_before(tape, tape->proxies[i])) return false;
  for (size_t i = 0; i < tape->n_proxies; i++) {
    cg_tensor *proxy = tape->proxies[i];
    const uint32_t version = t_proxied(proxy)->version;
    if (proxy->version == version) continue;
    if (proxy->forms) gemm_drop_forms(tape, proxy);
    proxy->version = version;
  }
  return true;
}

/* ---- running ---- */

/* The retained gradient is that of values which are no more. */
static void clear_kept(const cg_tensor *x) {
  const cg_tensor *g = cg_tensor_grad(x);
  if (g) kernel_fill(g->dtype, t_numel(g), g->data, 0);
}

static inline bool run(cg_tape *tape, cg_tensor *x) {
  const cg_op *op = x->op;
  if (x->flags & T_RETAIN) clear_kept(x);
  if (x->flags & T_VIEW) return true;
  const cg_call call = {tape, op, t_in(x), (int)x->n_in, t_attr(x)};
  const uint64_t start = tape->watch ? watch_begin(tape) : 0;
  tape->scope = x->scope;
  cg_status status = op->forward(&call, x);
  if (tape->scratch) tape_drop_scratch(tape);
  if (status) return cg_tape_fail(tape, status, op->name, NULL);
  return !tape->watch || watch_result(&call, x, start);
}

/* An op's own `forward` must neither drop the list nor begin again. */
static void run_all(cg_tape *tape) {
  replay *r = &tape->replay;
  const uint32_t scope = tape->scope;
  const uint64_t guard = tape->guard;
  size_t i = 0;
  tape->guard = tape->position;
  tape->busy++;
  while (i < r->n && run(tape, r->nodes[i])) i++;
  tape->busy--;
  tape->guard = guard;
  tape->scope = scope;
  r->old = i < r->n ? r->nodes[i]->serial + 1 : 0;
}

cg_status cg_tape_replay(cg_tape *tape) {
  if (!tape) return CG_ERR_ARG;
  if (tape->error.status) return tape->error.status;
  if (tape->busy)
    cg_tape_fail(tape, CG_ERR_STATE, name,
                 "a walk, or a replay, is running over what would be "
                 "computed again");
  else if (list(tape) && refresh_all(tape))
    run_all(tape);
  return tape->error.status;
}
