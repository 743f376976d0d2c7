/* sequence_loss.c - the loss of a whole sequence, stretch by stretch. */
#include <chronograd/loss.h>
#include <chronograd/sequence.h>

#include "rnn_impl.h"

/* Of one stretch: products of so many rows are as fast as any, and the
 * gradients of so many hidden states and logits are soon used again. */
enum { ROWS = 2048 };

/* T and B of x, and which of its axes are these. */
typedef struct extent {
  int64_t T, B;
  int steps;
} extent;

static extent extent_of(const cg_rnn *rnn, const cg_tensor *x) {
  int steps = rnn->config.batch_first;
  return (extent){cg_tensor_dim(x, steps), cg_tensor_dim(x, !steps), steps};
}

/* Stretches need a state to go on from, and nothing that belongs to the whole
 * sequence. */
static int64_t stretch_of(const cg_rnn *rnn, const cg_rnn_run *run, extent e) {
  bool whole = cg_rnn_directions(rnn) == 2 || run->rng || run->trace;
  if (whole || e.T * e.B <= 2 * ROWS) return e.T;
  return e.B < ROWS ? ROWS / e.B : 1;
}

static bool check_targets(cg_tape *tape, const char *fn, const cg_tensor *x,
                          const cg_tensor *y, const cg_rnn_run *run) {
  if (run->lengths) {
    cg_tape_fail(tape, CG_ERR_ARG, fn,
                 "with lengths, only a mask says which losses count: use "
                 "cg_many_to_many and cg_masked_loss");
    return false;
  }
  if (y && cg_tensor_rank(y) == 2 &&
      cg_tensor_dim(y, 0) == cg_tensor_dim(x, 0) &&
      cg_tensor_dim(y, 1) == cg_tensor_dim(x, 1))
    return true;
  char xs[96], ys[96];
  cg_tape_fail(tape, y ? CG_ERR_SHAPE : CG_ERR_ARG, fn,
               "targets %s do not fit the input %s: one for each step of each "
               "sequence is needed",
               y ? cg_tensor_shape_text(y, ys, sizeof ys) : "NULL",
               cg_tensor_shape_text(x, xs, sizeof xs));
  return false;
}

/* The sum of the losses of steps [begin, begin + n); `run` goes on from the
 * state after them. */
static cg_tensor *sum_over(cg_tape *tape, const cg_rnn *rnn,
                           const cg_linear_layer *fc, cg_tensor *x,
                           cg_tensor *y, int steps, int64_t begin, int64_t n,
                           cg_rnn_run *run) {
  if (n < cg_tensor_dim(x, steps)) {
    x = cg_narrow(tape, x, steps, begin, n);
    y = cg_narrow(tape, y, steps, begin, n);
  }
  cg_rnn_result r = cg_rnn_forward_with(tape, rnn, x, run);
  if (!r.h) return NULL;
  run->state = (cg_rnn_state){.h = r.h_last, .c = r.c_last};
  run->first_step += n;
  cg_tensor *o = cg_linear_layer_forward(tape, fc, r.h);
  return cg_cross_entropy_loss(tape, o, y, CG_REDUCE_SUM, CG_REDUCE_SUM);
}

static cg_tensor *sum_of_all(cg_tape *tape, const cg_rnn *rnn,
                             const cg_linear_layer *fc, cg_tensor *x,
                             cg_tensor *y, extent e, cg_rnn_run *run) {
  const int64_t n = stretch_of(rnn, run, e);
  cg_tensor *sum = NULL;
  for (int64_t t = 0; t < e.T && !cg_tape_status(tape); t += n) {
    int64_t length = e.T - t < n ? e.T - t : n;
    cg_tensor *part =
        sum_over(tape, rnn, fc, x, y, e.steps, t, length, run);
    sum = sum ? cg_add(tape, sum, part) : part;
  }
  return sum;
}

static bool is_reduction(cg_tape *tape, const char *fn, cg_reduction r) {
  return r == CG_REDUCE_SUM || r == CG_REDUCE_MEAN ||
         cg_tape_fail(tape, CG_ERR_ARG, fn, "%d is no reduction to one loss",
                      (int)r);
}

cg_tensor *cg_many_to_many_loss(cg_tape *tape, const cg_rnn *rnn,
                                const cg_linear_layer *fc, cg_tensor *x,
                                const cg_rnn_run *run, cg_tensor *targets,
                                cg_reduction over_steps,
                                cg_reduction over_batch, cg_rnn_state *last) {
  const char *fn = "many_to_many_loss";
  cg_rnn_run now = run ? *run : (cg_rnn_run){0};
  if (last) *last = (cg_rnn_state){0};
  if (!cg_rnn_check_head(tape, fn, rnn, fc) ||
      !cg_rnn_check_input(tape, rnn, x, 3) ||
      !cg_rnn_check_steps(tape, rnn, extent_of(rnn, x).T) ||
      !check_targets(tape, fn, x, targets, &now) ||
      !is_reduction(tape, fn, over_steps) ||
      !is_reduction(tape, fn, over_batch))
    return NULL;
  extent e = extent_of(rnn, x);
  cg_tensor *loss = sum_of_all(tape, rnn, fc, x, targets, e, &now);
  double n = over_steps == CG_REDUCE_MEAN ? (double)e.T : 1;
  if (over_batch == CG_REDUCE_MEAN) n *= (double)e.B;
  if (n != 1) loss = cg_mul_scalar(tape, loss, 1 / n);
  if (loss && last) *last = now.state;
  return loss;
}
