/* rnn_jacobian.c - the Jacobian of a net's state by an earlier one, from the
 * tape. */
#include <chronograd/rnn_study.h>

#include <inttypes.h>
#include <string.h>

#include "rnn_impl.h"
#include "tape_end.h"

/* The sizes of one sequence's state: those of h, and c or 0. */
typedef struct sizes {
  int64_t L, width[2];
  int states;
} sizes;

static int64_t numel(sizes n, int s) { return n.L * n.width[s]; }
static int64_t total(sizes n) { return numel(n, 0) + numel(n, 1); }

static cg_tensor *refuse(cg_tape *tape, cg_status status, const char *why) {
  return cg_tape_fail(tape, status, "rnn_jacobian", "%s", why);
}

static bool check(cg_tape *tape, const cg_rnn *rnn, const cg_tensor *x,
                  cg_rnn_state from) {
  if (cg_tape_status(tape)) return false;
  if (!rnn || !x)
    return refuse(tape, CG_ERR_ARG, "there is no net or no input");
  cg_rnn_config c = cg_rnn_get_config(rnn);
  if (cg_tensor_rank(x) != 3 || cg_tensor_dim(x, !c.batch_first) != 1)
    return refuse(tape, CG_ERR_SHAPE,
                  "the input must have rank 3 and hold one sequence");
  if (!from.h && c.learned_h0)
    return refuse(tape, CG_ERR_ARG,
                  "the first state is learned: it has to be given");
  return !cg_rnn_state_check(tape, rnn, from, 1);
}

/* The state as a leaf [S] with a gradient. */
static cg_tensor *state_leaf(cg_tape *tape, sizes n, cg_dtype dtype,
                             cg_rnn_state from) {
  cg_error err = {0};
  cg_tensor *s =
      cg_leaf_new(NULL, dtype, CG_DIMS(total(n)), &err);
  if (!s) return cg_tape_fail(tape, err.status, "rnn_jacobian", "%s",
                              err.message);
  const cg_tensor *const parts[2] = {from.h, from.c};
  char *to = cg_leaf_data(s);
  for (int i = 0; i < n.states; i++) {
    size_t bytes = (size_t)numel(n, i) * cg_dtype_size(dtype);
    if (parts[i] && cg_tensor_read(parts[i], to, bytes))
      refuse(tape, CG_ERR_DTYPE, "the state is not of the net's type");
    to += bytes;
  }
  cg_leaf_set_requires_grad(s, true);
  return s;
}

static cg_tensor *part(cg_tape *tape, sizes n, cg_tensor *s, int i) {
  cg_tensor *flat = cg_narrow(tape, s, 0, i * numel(n, 0), numel(n, i));
  return cg_reshape(tape, flat, CG_DIMS(n.L, 1, n.width[i]));
}

/* [L, 1, width] each -> [S] */
static cg_tensor *join(cg_tape *tape, sizes n, cg_rnn_result r) {
  cg_tensor *h = cg_reshape(tape, r.h_last, CG_DIMS(numel(n, 0)));
  if (n.states == 1) return h;
  cg_tensor *c = cg_reshape(tape, r.c_last, CG_DIMS(numel(n, 1)));
  return cg_concat(tape, (cg_tensor *[]){h, c}, 2, 0);
}

cg_tensor *cg_rnn_jacobian(cg_tape *tape, const cg_rnn *rnn, cg_tensor *x,
                           cg_rnn_state from) {
  if (!check(tape, rnn, x, from)) return NULL;
  const int states = rnn->cell->n_states;
  const sizes n = {cg_rnn_parts(rnn),
                   {cg_rnn_width(rnn, 0),
                    states > 1 ? cg_rnn_width(rnn, 1) : 0},
                   states};
  const cg_mark begin = cg_tape_mark(tape);
  bool recording = cg_tape_set_recording(tape, true);
  cg_tensor *s = state_leaf(tape, n, cg_tensor_dtype(x), from), *J = NULL;
  if (!cg_tape_status(tape)) {
    cg_rnn_state state = {part(tape, n, s, 0),
                          n.states > 1 ? part(tape, n, s, 1) : NULL};
    cg_rnn_result r = cg_rnn_forward_from(tape, rnn, x, state, NULL);
    cg_tensor *last = join(tape, n, r);
    if (!cg_tape_status(tape)) cg_jacobian(tape, last, s, &J, 0);
  }
  if (!cg_tape_status(tape))
    cg_tape_rewind_keep(tape, begin, &J, 1);
  else
    cg_tape_end(tape, begin);
  cg_tape_set_recording(tape, recording);
  cg_leaf_free(s);
  return cg_tape_status(tape) ? NULL : J;
}
