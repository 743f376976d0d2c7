/* grad.c - cg_grad: gradients as tensors, leaving leaves alone. */
#include <string.h>

#include <chronograd/ops.h>

#include "segment.h"

/* What one call was asked for, resolved. */
typedef struct request {
  walk walk;
  cg_tensor **outputs, **inputs; /* inputs: NULL where a leaf was not used */
  cg_tensor **reached; /* for each input, what of it the outputs depend on */
  cg_tensor *const *seeds;
  int n_outputs, n_inputs;
  bool allow_unused;
} request;

/* ---- inputs ---- */

/* The tensor of the tape that input j is: itself, or the leaf's newest proxy.
 * False after an error. */
static bool resolve_input(request *r, cg_tensor *x, int j) {
  cg_tape *tape = r->walk.tape;
  const char *fn = r->walk.name;
  r->inputs[j] = NULL;
  bool leaf = x && x->check == LEAF_CHECK;
  r->inputs[j] = leaf ? tape_find_proxy(tape, x) : tape_resolve(tape, x, fn, j);
  if (!leaf && !r->inputs[j]) return false;
  if ((leaf ? x : r->inputs[j])->flags & T_GRAD) return true;
  return cg_tape_fail(tape, CG_ERR_STATE, fn,
                      "input %d (%s) does not require a gradient", j,
                      t_label(x));
}

static bool resolve_inputs(request *r, cg_tensor *const *inputs) {
  cg_tape *tape = r->walk.tape;
  if (r->n_inputs < 1 || !inputs)
    return cg_tape_fail(tape, CG_ERR_ARG, r->walk.name, "no input is given");
  r->inputs = tape_scratch(tape, sizeof(cg_tensor *) * (size_t)r->n_inputs,
                           r->walk.name);
  r->reached = tape_scratch(tape, sizeof(cg_tensor *) * (size_t)r->n_inputs,
                            r->walk.name);
  if (!r->inputs || !r->reached) return false;
  for (int j = 0; j < r->n_inputs; j++)
    if (!resolve_input(r, inputs[j], j)) return false;
  return true;
}

/* ---- what lies between inputs and outputs ---- */

/* The next older proxy of the same leaf; NULL for other tensors. */
static cg_tensor *older(const cg_tensor *x) {
  return x->flags & T_PROXY ? x->prev : NULL;
}

static void mark_inputs(const request *r, bool on) {
  const uint16_t bits = T_TARGET | T_PATH;
  for (int j = 0; j < r->n_inputs; j++)
    for (cg_tensor *x = r->inputs[j]; x; x = older(x))
      x->flags = (uint16_t)(on ? x->flags | bits : x->flags & ~bits);
}

/* Notes which inputs the sort met; a derivative rule may sort again. */
static void note_reached(request *r) {
  for (int j = 0; j < r->n_inputs; j++) {
    cg_tensor *x = r->inputs[j];
    while (x && x->stamp != r->walk.tape->stamp) x = older(x);
    r->reached[j] = x;
  }
}

void walk_mark_path(const walk *w) {
  for (size_t i = w->sort.count; i-- > 0;) {
    cg_tensor *x = walk_node(w, i);
    cg_tensor **in = t_in(x);
    for (uint32_t k = 0; k < x->n_in && !(x->flags & T_PATH); k++)
      if (in[k]->flags & T_PATH) x->flags |= T_PATH;
  }
}

/* Marks every sorted node that depends on an input. Inside of its segment an
 * output may be used for others. */
static void mark_path(const request *r) {
  mark_inputs(r, true);
  for (int j = 0; j < r->n_inputs; j++)
    if (r->reached[j] && r->reached[j]->flags & T_OUTPUT)
      segment_node(r->reached[j])->flags |= T_PATH;
  walk_mark_path(&r->walk);
}

static void unmark_path(const request *r) {
  for (size_t i = 0; i < r->walk.sort.count; i++)
    walk_node(&r->walk, i)->flags &= (uint16_t)~T_PATH;
  mark_inputs(r, false);
}

/* ---- results ---- */

/* A gradient that outlives the walk, and does not change with a leaf that was
 * given as a seed. */
static cg_tensor *keep(request *r, cg_tensor *g) {
  if (r->walk.recorded || (!(g->flags & T_TEMP) && !t_source_proxy(g)))
    return g;
  return tape_copy(r->walk.tape, g);
}

/* The sum of what all proxies of one leaf received; NULL if nothing. */
static cg_tensor *collect(request *r, cg_tensor *x) {
  cg_tensor *sum = NULL;
  for (; x; x = older(x)) {
    slot_finish(&r->walk, x);
    cg_tensor *g = x->slot ? keep(r, x->slot) : NULL;
    if (g) sum = sum ? cg_add(r->walk.tape, sum, g) : g;
  }
  return sum;
}

/* The gradient of input j to which no rule gave anything: zeros if outputs
 * depend on it (relu's second derivative), else NULL. */
static cg_tensor *nothing(request *r, int j) {
  cg_tape *tape = r->walk.tape;
  cg_tensor *x = r->reached[j];
  if (x) return cg_full(tape, x->dtype, x->rank, t_shape(x), 0);
  if (r->allow_unused) return NULL;
  return cg_tape_fail(tape, CG_ERR_STATE, r->walk.name,
                      "no output depends on input %d; CG_ALLOW_UNUSED gives "
                      "NULL for such inputs",
                      j);
}

static void collect_all(request *r, cg_tensor **grads) {
  cg_tape *tape = r->walk.tape;
  tape_mode was = tape->mode;
  bool walking = tape->walking;
  tape->walking = true; /* adding up is a part of the walk */
  if (r->walk.recorded)
    tape->mode = MODE_RECORD;
  else if (was == MODE_RECORD)
    tape->mode = MODE_VALUE;
  for (int j = 0; j < r->n_inputs && !tape->error.status; j++) {
    grads[j] = collect(r, r->inputs[j]);
    if (!grads[j] && !tape->error.status) grads[j] = nothing(r, j);
  }
  tape->walking = walking;
  tape->mode = was;
}

/* ---- the call ---- */

static void perform(request *r, cg_tensor **grads) {
  walk *w = &r->walk;
  if (walk_sort(w, r->outputs, r->n_outputs)) return;
  note_reached(r);
  if (!walk_begin(w, r->inputs, r->n_inputs)) {
    mark_path(r);
    walk_run(w, r->outputs, r->seeds, r->n_outputs);
    collect_all(r, grads);
    unmark_path(r);
    walk_clean(w);
  }
  walk_end(w);
}

cg_status grad_for(cg_tape *tape, const char *name, cg_tensor *const *outputs,
                   int n_outputs, cg_tensor *const *grad_outputs,
                   cg_tensor *const *inputs, int n_inputs, cg_tensor **grads,
                   int options) {
  if (!tape || !grads) return CG_ERR_ARG;
  for (int j = 0; j < n_inputs; j++) grads[j] = NULL;
  if (tape->error.status) return tape->error.status;
  request r = {
      .walk = {.tape = tape,
               .name = name,
               .recorded = options & CG_CREATE_GRAPH,
               .functional = true},
      .seeds = grad_outputs,
      .n_outputs = n_outputs,
      .n_inputs = n_inputs,
      .allow_unused = options & CG_ALLOW_UNUSED,
  };
  struct scratch_block *outer = tape_scratch_begin(tape);
  r.outputs = walk_roots(tape, outputs, n_outputs, r.walk.name);
  bool ok = r.outputs && resolve_inputs(&r, inputs);
  struct scratch_block *mine = tape_scratch_begin(tape);
  if (ok) perform(&r, grads);
  tape_scratch_end(tape, mine);
  tape_scratch_end(tape, outer);
  if (tape->error.status)
    for (int j = 0; j < n_inputs; j++) grads[j] = NULL;
  return tape->error.status;
}

cg_status cg_grad(cg_tape *tape, cg_tensor *const *outputs, int n_outputs,
                  cg_tensor *const *grad_outputs, cg_tensor *const *inputs,
                  int n_inputs, cg_tensor **grads, int options) {
  return grad_for(tape, "grad", outputs, n_outputs, grad_outputs, inputs,
                  n_inputs, grads, options);
}
